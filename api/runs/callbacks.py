"""Routes of callbacks: what was sent after executions had ended, and sending it again."""

from collections.abc import Mapping
from typing import Any, cast

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.accounts.access import Access
from api.base.views import ApiViewSet, EmptySerializer
from api.jobs.lookups import past_job
from api.runs import examples
from api.runs.filters import environment_ids_of
from api.runs.querysets import reachable_executions
from core.ids import first_uuid7_at
from core.validation.fields import Bound, Choice, CommaList, Flag, Instant, Text, Whole, instant_text
from core.validation.strict import ListQuery, Query, StrictSerializer
from runs.callbacks.redeliver import MAX_CALLBACKS, redeliver, redeliver_matching
from runs.models import Callback, CallbackAttempt, Execution
from runs.states import CallbackStatus


class CallbackAttemptSerializer(serializers.Serializer):
    """One attempt to send a callback."""

    number = Whole(help_text="1 for the first attempt.")
    started_at = Instant(help_text="When the call started, by the database's clock.")
    duration_ms = Whole(allow_null=True, help_text="Milliseconds of the call; null if its worker was lost.")
    status_code = Whole(allow_null=True, help_text="The HTTP status of the response; null without one.")
    response_body = Text(allow_null=True, help_text="The first 2 KiB of the response, in base64 if it is no text.")
    error = Text(allow_null=True, help_text="Why the attempt failed; null if the callback was delivered.")
    remote_ip = Text(allow_null=True, help_text="The IP address of the server.")
    worker = Text(allow_null=True, help_text="Name of the worker process.")

    def to_representation(self, instance: CallbackAttempt) -> dict[str, Any]:
        return {
            "number": instance.number,
            "started_at": instant_text(instance.started_at),
            "duration_ms": instance.duration_ms,
            "status_code": instance.status_code,
            "response_body": instance.response_body,
            "error": instance.error or None,
            "remote_ip": instance.remote_ip,
            "worker": instance.worker or None,
        }


class ListedCallbackSerializer(serializers.Serializer):
    """A callback in a list."""

    id = serializers.UUIDField(help_text="Id of the callback, a UUIDv7, which all its attempts send as `webhook-id`.")
    execution = serializers.UUIDField(help_text="Id of the execution that it reports.")
    job = Text(help_text="The job's current slug.")
    environment = Text(help_text="Slug of the environment.")
    event = Text(help_text="What it reports: `execution.finished`.")
    sequence = Whole(help_text="Increases from one callback to the next: attempts may arrive in another order.")
    status = Choice(
        choices=CallbackStatus.choices,
        help_text="`pending`: to be sent, or sent again; `delivered`: answered with 2xx; `failed`: given up.",
    )
    attempts = Whole(help_text="Number of attempts, with one that is under way.")
    created_at = Instant(help_text="When the execution ended.")
    finished_at = Instant(allow_null=True, help_text="When it was delivered or given up; null while it is pending.")
    next_attempt_at = Instant(
        allow_null=True, help_text="When the next attempt may start; null unless pending, and while one is under way."
    )
    last_status_code = Whole(allow_null=True, help_text="The HTTP status of the last attempt; null without a response.")
    last_error = Text(allow_null=True, help_text="Why the last attempt failed; null if it did not.")

    def to_representation(self, instance: Callback) -> dict[str, Any]:
        next_at = None if instance.lease_owner else instance.next_attempt_at
        return {
            "id": str(instance.pk),
            "execution": str(instance.execution_id),
            "job": instance.job.slug,
            "environment": instance.environment.slug,
            "event": instance.event,
            "sequence": instance.sequence,
            "status": instance.status,
            "attempts": instance.attempts,
            "created_at": instant_text(instance.created_at),
            "finished_at": instance.finished_at and instant_text(instance.finished_at),
            "next_attempt_at": next_at and instant_text(next_at),
            "last_status_code": instance.last_status_code,
            "last_error": instance.last_error or None,
        }


@extend_schema_serializer(examples=examples.CALLBACK)
class CallbackWithAttemptsSerializer(ListedCallbackSerializer):
    """A callback with its attempts."""

    calls = CallbackAttemptSerializer(many=True, help_text="The attempts that have ended, in order.")

    def to_representation(self, instance: Callback) -> dict[str, Any]:
        attempts = CallbackAttemptSerializer(instance.attempt_rows.all(), many=True).data
        return {**super().to_representation(instance), "calls": attempts}


class CallbackFields(StrictSerializer):
    """Filters of callbacks, in the list and to send them again."""

    status = CommaList(
        child=Choice(choices=CallbackStatus.values), required=False, help_text="Statuses, separated by commas."
    )
    job = serializers.CharField(required=False, help_text="Slug or id of a job, deleted or not.")
    environment = CommaList(
        child=serializers.CharField(), required=False, help_text="Slugs of environments, separated by commas."
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["from"] = Bound("Of executions that ended at or after this instant.")
        fields["to"] = Bound("Of executions that ended before this instant.")
        return fields


class CallbackListQuery(CallbackFields, ListQuery):
    pass


@extend_schema_serializer(examples=examples.REDELIVER)
class RedeliverSerializer(StrictSerializer):
    """Which callbacks to send again."""

    filter = CallbackFields(
        help_text="The query parameters of `GET /callbacks/`; comma-separated values may also be JSON lists. Without "
        "`status`: those that failed. Pending ones are left out."
    )
    dry_run = Flag(default=False, help_text="Count what matches, without sending it.")
    limit = Whole(
        default=MAX_CALLBACKS,
        min_value=1,
        max_value=MAX_CALLBACKS,
        help_text="Maximum number of callbacks; the latest are selected.",
    )


@extend_schema_serializer(examples=examples.REDELIVERED)
class RedeliveredSerializer(serializers.Serializer):
    """What became of it."""

    dry_run = Flag(help_text="Whether nothing was sent.")
    matched = Whole(help_text="Number of callbacks that match, at most `limit`.")
    redelivered = Whole(help_text="Number of callbacks that are sent again.")
    more = Flag(help_text="Whether more than `limit` callbacks match.")


def reachable_callbacks(access: Access, query: Mapping[str, Any]) -> QuerySet[Callback]:
    """The callbacks that match a query within the caller's reach."""
    callbacks: QuerySet[Callback] = Callback.objects.of(access.workspace)
    if (environment_ids := environment_ids_of(dict(query), access)) is not None:
        callbacks = callbacks.filter(environment__in=environment_ids)
    if "job" in query:
        job = past_job(access, query["job"])
        callbacks = callbacks.none() if job is None else callbacks.filter(job=job)
    if "status" in query:
        callbacks = callbacks.filter(status__in=query["status"])
    # An id begins with the instant at which its execution ended.
    if since := query.get("from"):
        callbacks = callbacks.filter(pk__gte=first_uuid7_at(since))
    if until := query.get("to"):
        callbacks = callbacks.filter(pk__lt=first_uuid7_at(until))
    return callbacks


@extend_schema_view(
    list=extend_schema(
        operation_id="callbacks_list", summary="List callbacks", responses=ListedCallbackSerializer(many=True)
    )
)
class CallbackViewSet(ListModelMixin, ApiViewSet):
    """The callbacks within reach, newest first."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    serializer_class = ListedCallbackSerializer
    query_classes: Mapping[str, type[Query]] = {"list": CallbackListQuery}

    def get_queryset(self) -> QuerySet[Callback]:
        return reachable_callbacks(self.access, self.query).select_related("job", "environment")

    @extend_schema(
        operation_id="callbacks_redeliver",
        summary="Send callbacks again",
        description="Each gets five more attempts, with the same `webhook-id`.",
        request=RedeliverSerializer,
        responses={202: RedeliveredSerializer},
    )
    def redeliver(self, request: Request) -> Response:
        body = self.read_body(request, RedeliverSerializer)
        criteria = {"status": [CallbackStatus.FAILED.value], **body["filter"]}
        result = redeliver_matching(
            reachable_callbacks(self.access, criteria),
            workspace=self.access.workspace,
            limit=body["limit"],
            dry_run=body["dry_run"],
            filter_as_sent=dict(cast(dict[str, Any], request.data)["filter"]),
            now=self.now,
            actor=self.access.actor,
        )
        answer = {
            "dry_run": body["dry_run"],
            "matched": result.matched,
            "redelivered": result.redelivered,
            "more": result.more,
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(
    list=extend_schema(
        operation_id="executions_callbacks_list",
        summary="List the callbacks of an execution",
        responses=CallbackWithAttemptsSerializer(many=True),
    )
)
class ExecutionCallbackViewSet(ListModelMixin, ApiViewSet):
    """The callbacks of one execution, with their attempts."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    serializer_class = CallbackWithAttemptsSerializer
    lookup_url_kwarg = "callback"
    noun = "callback"

    def get_queryset(self) -> QuerySet[Callback]:
        execution: Execution = get_object_or_404(reachable_executions(self.access), pk=self.kwargs["execution"])
        attempts = Prefetch("attempt_rows", queryset=CallbackAttempt.objects.order_by("number"))
        callbacks = Callback.objects.filter(execution=execution).select_related("job", "environment")
        return callbacks.prefetch_related(attempts)

    @extend_schema(
        operation_id="executions_callbacks_redeliver",
        summary="Send a callback again",
        description="It gets five more attempts, with the same `webhook-id`. 409 while it is pending.",
        request=EmptySerializer,
        responses={202: CallbackWithAttemptsSerializer},
    )
    def redeliver(self, request: Request, **_path: Any) -> Response:
        self.read_body(request, EmptySerializer)
        callback: Callback = self.get_object()
        redeliver(callback=callback, now=self.now, actor=self.access.actor)
        return Response(self.get_serializer(self.get_object()).data, status=status.HTTP_202_ACCEPTED)
