"""Paths of executions and runs, and those of a job that run it or list its history."""

from django.urls import path

from api.runs import bulk, deleting, events, ledger, stats, testing, views, wiping

urlpatterns = [
    path("jobs/<str:job>/", deleting.JobDetailWithDeletion.as_view()),
    path("jobs/<str:job>/run/", views.JobRun.as_view()),
    path("jobs/<str:job>/test/", testing.JobTest.as_view()),
    path("jobs/<str:job>/executions/", views.JobExecutionList.as_view()),
    path("jobs/<str:job>/stats/", stats.JobStats.as_view()),
    path("jobs/<str:job>/ledger/", ledger.JobLedger.as_view()),
    path("jobs/<str:job>/ledger/at/", ledger.JobLedgerAt.as_view()),
    path("executions/", views.ExecutionList.as_view()),
    path("executions/replay/", bulk.BulkReplay.as_view()),
    path("executions/cancel/", bulk.BulkCancel.as_view()),
    path("executions/<uuid:execution>/", views.ExecutionDetail.as_view()),
    path("executions/<uuid:execution>/cancel/", views.ExecutionCancel.as_view()),
    path("executions/<uuid:execution>/replay/", views.ExecutionReplay.as_view()),
    path("executions/<uuid:execution>/retry/", views.ExecutionRetry.as_view()),
    path("bulk-operations/", bulk.BulkOperationList.as_view()),
    path("bulk-operations/<uuid:operation>/", bulk.BulkOperationDetail.as_view()),
    path("bulk-operations/<uuid:operation>/cancel/", bulk.BulkOperationCancel.as_view()),
    path("events/", events.Events.as_view()),
    path("stats/", stats.Stats.as_view()),
    path("runs/", views.RunList.as_view()),
    path("runs/<uuid:run>/", views.RunDetail.as_view()),
    path("wipe/", wiping.Wipe.as_view()),
]
