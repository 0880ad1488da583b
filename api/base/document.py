"""The OpenAPI document, and Swagger UI for it."""

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

_rendering = threading.Lock()


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


@cache
def _rendered(renderer: Callable[[], BaseRenderer]) -> bytes:
    rendered: str | bytes = renderer().render(document())
    return force_bytes(rendered)


def rendered_document(renderer: Callable[[], BaseRenderer]) -> bytes:
    """The document as YAML or JSON, the same for every caller, rendered once per process.

    It takes seconds of processor time, so concurrent requests wait for the first one.
    """
    with _rendering:
        return _rendered(renderer)


class Schema(RateLimited, PlainOptions, SpectacularAPIView):
    """Serves the document, rate-limited like the API."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *_args: Any, **_path: Any) -> HttpResponse:
        renderer: Any = request.accepted_renderer
        name = self._get_filename(request, version=None)
        return HttpResponse(
            rendered_document(type(renderer)),
            content_type=f"{renderer.media_type}; charset={renderer.charset}"
            if renderer.charset
            else renderer.media_type,
            headers={"Content-Disposition": f'inline; filename="{name}"'},
        )


@method_decorator(ensure_csrf_cookie, name="dispatch")
class Docs(TemplateView):
    """Swagger UI. In the dashboard's session its requests send the CSRF token."""

    template_name = "hourhand/api_docs.html"
    extra_context: dict[str, Any] = {"title": "Hourhand API"}
