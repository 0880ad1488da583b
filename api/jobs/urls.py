"""URL paths of jobs and what they use. Those that run a job or list its history are in api/runs/urls.py."""

from django.urls import path

from api.jobs.environments import EnvironmentViewSet
from api.jobs.exporting import JobExport
from api.jobs.importing import JobImport
from api.jobs.retry_policies import RetryPolicyViewSet
from api.jobs.schedules import SchedulePreview
from api.jobs.secrets import SecretViewSet
from api.jobs.usage import UsageReport
from api.jobs.versions import VersionViewSet
from api.jobs.views import JobViewSet

urlpatterns = [
    path("environments/", EnvironmentViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "environments/<str:environment>/",
        EnvironmentViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("jobs/", JobViewSet.as_view({"get": "list", "post": "create"})),
    path("jobs/import/", JobImport.as_view()),
    path("jobs/export/", JobExport.as_view()),
    path(
        "jobs/<str:job>/",
        JobViewSet.as_view({"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("jobs/<str:job>/pause/", JobViewSet.as_view({"post": "pause"})),
    path("jobs/<str:job>/resume/", JobViewSet.as_view({"post": "resume"})),
    path("jobs/<str:job>/webhook/rotate/", JobViewSet.as_view({"post": "rotate_webhook"})),
    path("jobs/<str:job>/versions/", VersionViewSet.as_view({"get": "list"})),
    path("jobs/<str:job>/versions/<int:number>/", VersionViewSet.as_view({"get": "retrieve"})),
    path("jobs/<str:job>/versions/<int:number>/diff/<int:other>/", VersionViewSet.as_view({"get": "diff"})),
    path("jobs/<str:job>/versions/<int:number>/restore/", VersionViewSet.as_view({"post": "restore"})),
    path("retry-policies/", RetryPolicyViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "retry-policies/<str:policy>/",
        RetryPolicyViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("schedules/preview/", SchedulePreview.as_view()),
    path("secrets/", SecretViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "secrets/<uuid:secret>/",
        SecretViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("usage/", UsageReport.as_view()),
]
