"""Security headers: what browsers may do with a response."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def _policy(**directives: str) -> str:
    policy = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
    policy |= {name.replace("_", "-"): sources for name, sources in directives.items()}
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


#: For everything except pages: JSON, the schema, redirects, static files.
_NOTHING = _policy()
_OWN = {"img_src": "'self' data:", "font_src": "'self'", "connect_src": "'self'", "style_src": "'self'"}
# The theme's Alpine.js evaluates expressions in attributes, which needs `unsafe-eval`. No page has inline scripts, so
# those stay forbidden. Bars and widths are style attributes, which can't load or run anything under this policy.
_THEMED = _policy(script_src="'self' 'unsafe-eval'", **_OWN, style_src_attr="'unsafe-inline'", form_action="'self'")
_PAGES = {
    "/admin/": _THEMED,
    "/invitations/": _THEMED,
    "/hooks/resume/": _policy(form_action="'self'"),
    "/api/docs/": _policy(script_src="'self'", **_OWN, style_src_attr="'unsafe-inline'"),
}
_PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class SecurityHeadersMiddleware:
    """Add the headers. It comes before all other middleware, so that their responses have them too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response["Content-Security-Policy"] = content_security_policy(request.path)
        response["Permissions-Policy"] = _PERMISSIONS
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if request.path.startswith("/api/v1/"):
            response["Cache-Control"] = "no-store"
        return response


def content_security_policy(path: str) -> str:
    return next((policy for start, policy in _PAGES.items() if path.startswith(start)), _NOTHING)
