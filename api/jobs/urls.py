"""Paths of jobs. Those that run or delete a job or list its history are in api/runs/urls.py."""

from django.urls import path

from api.jobs import environments, exporting, importing, retry_policies, schedules, secrets, usage, views

urlpatterns = [
    path("environments/", environments.EnvironmentList.as_view()),
    path("environments/<str:environment>/", environments.EnvironmentDetail.as_view()),
    path("jobs/", views.JobList.as_view()),
    path("jobs/import/", importing.JobImport.as_view()),
    path("jobs/export/", exporting.JobExport.as_view()),
    path("jobs/<str:job>/pause/", views.JobPause.as_view()),
    path("jobs/<str:job>/resume/", views.JobResume.as_view()),
    path("jobs/<str:job>/versions/", views.VersionList.as_view()),
    path("jobs/<str:job>/versions/<int:number>/", views.VersionDetail.as_view()),
    path("jobs/<str:job>/versions/<int:number>/diff/<int:other>/", views.VersionDiff.as_view()),
    path("jobs/<str:job>/versions/<int:number>/restore/", views.VersionRestore.as_view()),
    path("retry-policies/", retry_policies.RetryPolicyList.as_view()),
    path("retry-policies/<str:policy>/", retry_policies.RetryPolicyDetail.as_view()),
    path("schedules/preview/", schedules.SchedulePreview.as_view()),
    path("secrets/", secrets.SecretList.as_view()),
    path("secrets/<uuid:secret>/", secrets.SecretDetail.as_view()),
    path("usage/", usage.UsageReport.as_view()),
]
