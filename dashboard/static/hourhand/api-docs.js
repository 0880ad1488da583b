"use strict";
// Swagger UI of our own document. Changes made in the dashboard's session need its CSRF token, which is in a cookie.
{
  const csrfToken = () => /(?:^|; )hourhand_csrf=([^;]+)/.exec(document.cookie)?.[1] ?? "";
  const place = document.getElementById("swagger-ui");
  SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    requestInterceptor: (request) => {
      const url = new URL(request.url, location.href);
      if (url.origin === location.origin && !["GET", "HEAD", undefined].includes(request.method?.toUpperCase())) {
        request.headers["X-CSRFToken"] = csrfToken();
      }
      return request;
    },
  });
}
