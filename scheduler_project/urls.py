"""All of the house's doors: the dashboard, the REST API and its schema, health checks, metrics."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from accounts.admin.invitations import AcceptInvitation
from scheduler_project.api.document import Docs, Schema
from scheduler_project.api.views import UnknownPath
from scheduler_project.dashboard import overview
from scheduler_project.health import healthz, readyz
from scheduler_project.metrics import metrics

handler400 = "scheduler_project.api.fallbacks.bad_request"
handler403 = "scheduler_project.api.fallbacks.permission_denied"
handler404 = "scheduler_project.api.fallbacks.not_found"
handler500 = "scheduler_project.api.fallbacks.server_error"

admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/overview/", admin.site.admin_view(overview.parts), name="overview-parts"),
    path("admin/", admin.site.urls),
    path("invitations/<uuid:reference>/<str:token>/", AcceptInvitation.as_view(), name="invitation"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("api/schema/", Schema.as_view(), name="schema"),
    path("api/docs/", Docs.as_view(), name="docs"),
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("jobs.api.urls")),
    path("api/v1/", include("runs.api.urls")),
    re_path(r"^api/", UnknownPath.as_view()),
]
