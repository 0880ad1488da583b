"""Errors raised outside every view: problem+json for programs, Django's own pages for people."""

from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

from api.base.problems import CONTENT_TYPE, BodyTooLarge, internal_error, problem, shortened

#: Where programs come, and where people do; elsewhere it is whether they ask for a page.
_PROGRAMS = ("/api/", "/hooks/")
_PEOPLE = ("/admin/", "/invitations/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_for_people(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return _answer(problem(413, "too_large", str(BodyTooLarge.of_most_routes().detail)))
    if isinstance(exception, TooManyFieldsSent):
        return _answer(problem(400, "too_many_parameters", "The request has more parameters than any route takes."))
    return _answer(problem(400, "bad_request", "The request can't be understood."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_for_people(request):
        return defaults.permission_denied(request, exception)
    return _answer(problem(403, "permission_denied", "This is not allowed."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_for_people(request):
        return defaults.page_not_found(request, exception)
    return _answer(problem(404, "not_found", f"There is no {shortened(request.path)} here."))


def server_error(request: HttpRequest) -> HttpResponseBase:
    return defaults.server_error(request) if _is_for_people(request) else _answer(internal_error())


def _is_for_people(request: HttpRequest) -> bool:
    if request.path.startswith(_PROGRAMS):
        return False
    return request.path.startswith(_PEOPLE) or "text/html" in request.META.get("HTTP_ACCEPT", "")


def _answer(body: dict[str, Any]) -> JsonResponse:
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)
