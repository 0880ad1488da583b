"""Errors raised outside every view: problem+json below /api/, Django's own pages elsewhere."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

from scheduler_project.api.problems import CONTENT_TYPE, internal_error, problem

_API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path.startswith(_API):
        return _answer(problem(400, "bad_request", "The request can't be understood."))
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    return _answer(internal_error()) if request.path.startswith(_API) else defaults.server_error(request)


def _answer(body: dict[str, Any]) -> JsonResponse:
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)
