"use strict";
// Swagger UI. Requests that change something in the dashboard's session need its CSRF token, which is in a cookie.
{
  const csrfToken = () => /(?:^|; )hourhand_csrf=([^;]+)/.exec(document.cookie)?.[1] ?? "";
  const container = document.getElementById("swagger-ui");
  SwaggerUIBundle({
    url: container.dataset.schema,
    domNode: container,
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
