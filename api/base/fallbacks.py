"""Errors outside the API's views: problem+json for programs, Django's pages for browsers."""

from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

from api.base.problems import CONTENT_TYPE, BodyTooLarge, internal_error, problem, shortened

#: Paths of programs and of browsers; other paths depend on the Accept header.
_PROGRAM_PATHS = ("/api/", "/hooks/")
_BROWSER_PATHS = ("/admin/", "/invitations/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_browser(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return _response(problem(413, "too_large", str(BodyTooLarge.default().detail)))
    if isinstance(exception, TooManyFieldsSent):
        return _response(problem(400, "too_many_parameters", "The request has too many parameters."))
    return _response(problem(400, "bad_request", "The request is malformed."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_browser(request):
        return defaults.permission_denied(request, exception)
    return _response(problem(403, "permission_denied", "Not allowed."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_browser(request):
        return defaults.page_not_found(request, exception)
    return _response(problem(404, "not_found", f"There is no {shortened(request.path)}."))


def server_error(request: HttpRequest) -> HttpResponseBase:
    return defaults.server_error(request) if _is_browser(request) else _response(internal_error())


def _is_browser(request: HttpRequest) -> bool:
    if request.path.startswith(_PROGRAM_PATHS):
        return False
    return request.path.startswith(_BROWSER_PATHS) or "text/html" in request.META.get("HTTP_ACCEPT", "")


def _response(body: dict[str, Any]) -> JsonResponse:
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)
