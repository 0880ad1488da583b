"""All URLs: the dashboard, the REST API and its schema, health checks, metrics."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from api.base.document import Docs, Schema
from api.base.views import UnknownPath
from api.hooks.views import resume_step, webhook
from dashboard.accounts.invitations import AcceptInvitation
from dashboard.base import overview
from dashboard.urls import admin_urls
from ops.health import healthz, readyz
from ops.metrics import metrics

handler400 = "api.base.fallbacks.bad_request"
handler403 = "api.base.fallbacks.permission_denied"
handler404 = "api.base.fallbacks.not_found"
handler500 = "api.base.fallbacks.server_error"

admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/overview/", admin.site.admin_view(overview.parts), name="overview-parts"),
    path("admin/", admin_urls()),
    path("invitations/<uuid:reference>/<str:token>/", AcceptInvitation.as_view(), name="invitation"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    re_path(r"^hooks/resume/(?P<token>.*?)/?$", resume_step),
    re_path(r"^hooks/(?P<token>.*?)/?$", webhook),
    path("api/schema/", Schema.as_view(), name="schema"),
    path("api/docs/", Docs.as_view(), name="docs"),
    path("api/v1/", include("api.accounts.urls")),
    path("api/v1/", include("api.jobs.urls")),
    path("api/v1/", include("api.runs.urls")),
    re_path(r"^api/", UnknownPath.as_view()),
]
