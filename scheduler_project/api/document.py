"""The OpenAPI document and the page to read and try it, both served from here."""

from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView

from scheduler_project.api.limiting import RateLimited


class Schema(RateLimited, SpectacularAPIView):
    """The document. Making it takes a while, so strangers are counted by address here too."""


@method_decorator(ensure_csrf_cookie, name="dispatch")
class Docs(TemplateView):
    """Swagger UI. In the dashboard's session its requests carry the CSRF token."""

    template_name = "hourhand/api_docs.html"
    extra_context: dict[str, Any] = {"title": "Hourhand API"}
