"""Paths of executions and runs, and those of a job that run it or list its history."""

from django.urls import path

from runs.api import deleting, ledger, views

urlpatterns = [
    path("jobs/<str:job>/", deleting.JobDetail.as_view()),
    path("jobs/<str:job>/run/", views.JobRun.as_view()),
    path("jobs/<str:job>/executions/", views.JobExecutionList.as_view()),
    path("jobs/<str:job>/ledger/", ledger.JobLedger.as_view()),
    path("jobs/<str:job>/ledger/at/", ledger.JobLedgerAt.as_view()),
    path("executions/", views.ExecutionList.as_view()),
    path("executions/<uuid:execution>/", views.ExecutionDetail.as_view()),
    path("executions/<uuid:execution>/cancel/", views.ExecutionCancel.as_view()),
    path("executions/<uuid:execution>/replay/", views.ExecutionReplay.as_view()),
    path("runs/", views.RunList.as_view()),
    path("runs/<uuid:run>/", views.RunDetail.as_view()),
]
