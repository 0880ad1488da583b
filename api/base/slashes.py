"""Paths of the API end in a slash. One without it means the same: a redirect could cost a client its body or key."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_API = "/api/"


class SlashlessPathsMiddleware:
    """Gives a path below /api/ the slash that it lacks, whatever the method, before a view is looked for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.endswith("/") and f"{request.path_info}/".startswith(_API):
            request.path_info += "/"
            request.path += "/"
        return self._get_response(request)
