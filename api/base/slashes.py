"""Adds the trailing slash to paths of the API: after a redirect clients may drop the body or the key."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_API = "/api/"


class SlashlessPathsMiddleware:
    """Add a missing slash to paths below /api/, for every method, before routing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.endswith("/") and f"{request.path_info}/".startswith(_API):
            request.path_info += "/"
            request.path += "/"
        return self._get_response(request)
