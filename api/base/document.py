"""The OpenAPI document and the page to read and try it, both served from here."""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.utils.encoding import force_bytes
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import TemplateView
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.base.throttling import RateLimited
from api.base.views import PlainOptions

_building = threading.Lock()


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document as it is."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


@cache
def _written(renderer: Callable[[], BaseRenderer]) -> bytes:
    written: str | bytes = renderer().render(document())
    return force_bytes(written)


def written_document(renderer: Callable[[], BaseRenderer]) -> bytes:
    """The document as YAML or JSON. It is that of the release, the same for every caller: a process makes it once.

    Making it takes seconds of processor time, so those who ask meanwhile wait for the one that is at it.
    """
    with _building:
        return _written(renderer)


class Schema(RateLimited, PlainOptions, SpectacularAPIView):
    """The document. Strangers are counted by address here too."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *_args: Any, **_path: Any) -> HttpResponse:
        renderer: Any = request.accepted_renderer
        name = self._get_filename(request, version=None)
        return HttpResponse(
            written_document(type(renderer)),
            content_type=f"{renderer.media_type}; charset={renderer.charset}"
            if renderer.charset
            else renderer.media_type,
            headers={"Content-Disposition": f'inline; filename="{name}"'},
        )


@method_decorator(ensure_csrf_cookie, name="dispatch")
class Docs(TemplateView):
    """Swagger UI. In the dashboard's session its requests carry the CSRF token."""

    template_name = "hourhand/api_docs.html"
    extra_context: dict[str, Any] = {"title": "Hourhand API"}
