"""Every route of the API, from the URL conf."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from api.base.views import ApiView

BASE = "api/v1/"
METHODS = ("get", "post", "put", "patch", "delete")
#: Paths below /api/v1/ that ask for no key, by decision: each is tried by tests of its own.
OPEN: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    view: type[ApiView]
    #: The name of the view's method that answers.
    handler: str

    @property
    def scope(self) -> str:
        return self.view.read_scope if self.method == "GET" else self.view.write_scope

    @property
    def names(self) -> list[str]:
        return re.findall(r"<(?:\w+:)?(\w+)>", self.template)

    def path(self, values: dict[str, str]) -> str:
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], self.template)

    def __str__(self) -> str:
        return f"{self.method} /{self.template}"


def patterns(found: URLResolver | URLPattern, start: str = "") -> Iterator[tuple[str, Any]]:
    """Every path that a resolver knows, with its view."""
    here = start + str(found.pattern)
    if isinstance(found, URLPattern):
        yield here, found.callback
        return
    for inner in found.url_patterns:
        yield from patterns(inner, here)


def api_patterns() -> list[tuple[str, Any]]:
    """The paths below /api/v1/, without that, and their views."""
    found = ((path.removeprefix("^/"), view) for path, view in patterns(get_resolver()))
    return [(path.removeprefix(BASE), view) for path, view in found if path.startswith(BASE)]


def handlers(view: Any) -> dict[str, str]:
    """What answers each method: of a viewset what the URL conf says, of another view the method of that name."""
    return getattr(view, "actions", None) or {method: method for method in METHODS if hasattr(view.cls, method)}


def routes() -> list[Route]:
    return [
        Route(method.upper(), path, view.cls, handler)
        for path, view in api_patterns()
        for method, handler in handlers(view).items()
        if path not in OPEN and method in METHODS
    ]


ROUTES = routes()
