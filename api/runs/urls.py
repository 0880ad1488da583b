"""URL paths of executions and runs, and those that run a job or list its history."""

from django.urls import path

from api.base.views import MAX_DEFINITION_BYTES
from api.runs.approvals import ApprovalViewSet
from api.runs.bulk import BulkOperationViewSet
from api.runs.callbacks import CallbackViewSet, ExecutionCallbackViewSet
from api.runs.events import Events
from api.runs.ledger import JobLedger, JobLedgerAt
from api.runs.stats import JobStats, Stats
from api.runs.steps import StepViewSet
from api.runs.testcalls import JobTest
from api.runs.views import ExecutionViewSet, JobExecutionViewSet, RunViewSet
from api.runs.webhooks import WebhookDeliveryViewSet
from api.runs.wipe import Wipe

urlpatterns = [
    path("jobs/<str:job>/run/", ExecutionViewSet.as_view({"post": "run"})),
    path("jobs/<str:job>/test/", JobTest.as_view()),
    path("jobs/<str:job>/executions/", JobExecutionViewSet.as_view({"get": "list"})),
    path("jobs/<str:job>/webhook/deliveries/", WebhookDeliveryViewSet.as_view({"get": "list"})),
    path("jobs/<str:job>/stats/", JobStats.as_view()),
    path("jobs/<str:job>/ledger/", JobLedger.as_view()),
    path("jobs/<str:job>/ledger/at/", JobLedgerAt.as_view()),
    path("executions/", ExecutionViewSet.as_view({"get": "list"})),
    path("executions/replay/", BulkOperationViewSet.as_view({"post": "replay_executions"})),
    path("executions/retry/", BulkOperationViewSet.as_view({"post": "retry_executions"})),
    path("executions/cancel/", BulkOperationViewSet.as_view({"post": "cancel_executions"})),
    path("executions/<uuid:execution>/", ExecutionViewSet.as_view({"get": "retrieve"})),
    path("executions/<uuid:execution>/cancel/", ExecutionViewSet.as_view({"post": "cancel"})),
    path(
        "executions/<uuid:execution>/replay/",
        ExecutionViewSet.as_view({"post": "replay"}, max_body_bytes=MAX_DEFINITION_BYTES),
    ),
    path("executions/<uuid:execution>/retry/", ExecutionViewSet.as_view({"post": "retry"})),
    path("executions/<uuid:execution>/callbacks/", ExecutionCallbackViewSet.as_view({"get": "list"})),
    path(
        "executions/<uuid:execution>/callbacks/<uuid:callback>/redeliver/",
        ExecutionCallbackViewSet.as_view({"post": "redeliver"}),
    ),
    path("callbacks/", CallbackViewSet.as_view({"get": "list"})),
    path("callbacks/redeliver/", CallbackViewSet.as_view({"post": "redeliver"})),
    path("executions/<uuid:execution>/approve/", ExecutionViewSet.as_view({"post": "approve"})),
    path("executions/<uuid:execution>/reject/", ExecutionViewSet.as_view({"post": "reject"})),
    path("executions/<uuid:execution>/steps/", StepViewSet.as_view({"get": "list"})),
    path("approvals/", ApprovalViewSet.as_view({"get": "list"})),
    path("bulk-operations/", BulkOperationViewSet.as_view({"get": "list"})),
    path("bulk-operations/<uuid:operation>/", BulkOperationViewSet.as_view({"get": "retrieve"})),
    path("bulk-operations/<uuid:operation>/cancel/", BulkOperationViewSet.as_view({"post": "cancel"})),
    path("events/", Events.as_view()),
    path("stats/", Stats.as_view()),
    path("runs/", RunViewSet.as_view({"get": "list"})),
    path("runs/<uuid:run>/", RunViewSet.as_view({"get": "retrieve"})),
    path("wipe/", Wipe.as_view()),
]
