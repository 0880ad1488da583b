"""Bulk operations: executions selected by a filter are replayed, retried or canceled in the background."""

import uuid
from typing import Any, cast

from django.core import signing
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers, status
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.views import ApiViewSet, EmptySerializer
from api.runs import examples
from api.runs.filters import ExecutionFields, history_filter
from core.validation.fields import Choice, Flag, Instant, Text, Whole, instant_text
from core.validation.strict import ListQuery, Query, StrictSerializer
from runs.executions.bulk import MAX_EXECUTIONS, MAX_RATE, cancel_bulk, matching, start_bulk
from runs.models import BulkOperation
from runs.states import BulkKind, BulkState
from runs.workflows.carrying import FAILED, START

#: Number of ids in a response.
IDS = 100


class BulkSerializer(StrictSerializer):
    """Which executions to process, and at which rate."""

    filter = ExecutionFields(
        help_text="The query parameters of `GET /executions/`; comma-separated values may also be JSON lists."
    )
    dry_run = Flag(default=False, help_text="Return what matches, without processing it.")
    limit = Whole(
        default=MAX_EXECUTIONS,
        min_value=1,
        max_value=MAX_EXECUTIONS,
        help_text="Maximum number of executions; the latest are selected.",
    )
    rate_per_second = Whole(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=MAX_RATE,
        help_text="Executions per second; null: unlimited.",
    )


@extend_schema_serializer(examples=examples.BULK_CANCEL)
class BulkCancelSerializer(BulkSerializer):
    pass


@extend_schema_serializer(examples=examples.BULK_REPLAY)
class BulkReplaySerializer(BulkSerializer):
    config = Choice(
        choices=("current", "original"),
        default="current",
        help_text="Use the job's current configuration, or that of the replayed execution.",
    )


@extend_schema_serializer(examples=examples.BULK_RETRY)
class BulkRetrySerializer(BulkSerializer):
    """Which failed executions to retry; `from` is a word of Python."""

    def get_fields(self) -> dict[str, Any]:
        help_text = f"Where workflows start; from `{FAILED}` the results of earlier steps are carried over."
        return {**super().get_fields(), "from": Choice(choices=(START, FAILED), default=FAILED, help_text=help_text)}


@extend_schema_serializer(examples=examples.BULK_MATCHED)
class MatchedSerializer(serializers.Serializer):
    """The result of a dry run."""

    dry_run = Flag(default=True, help_text="Always true.")
    matched = Whole(help_text="Number of executions that would be processed, at most `limit`.")
    more = Flag(help_text="Whether more than `limit` executions match.")
    ids = serializers.ListField(child=serializers.UUIDField(), help_text="The first 100 ids, in processing order.")


class ListedBulkOperationSerializer(serializers.Serializer):
    """A bulk operation in a list."""

    id = serializers.UUIDField(help_text="Id of the operation.")
    kind = Choice(choices=BulkKind.choices, help_text="What is done with each execution.")
    state = Choice(
        choices=BulkState.choices,
        help_text="`running`, `completed` when no execution remains, or `canceled` with the remaining ones "
        "unprocessed.",
    )
    filter = serializers.DictField(help_text="The filter of the request.")
    config = Choice(
        choices=("current", "original"), allow_null=True, help_text="Configuration used by a replay; else null."
    )
    rate_per_second = Whole(allow_null=True, help_text="Maximum executions per second; null: unlimited.")
    asked_by = Text(help_text="Name of the API key or user that started the operation.")
    matched = Whole(help_text="Number of selected executions: `done` + `skipped` + `remaining`.")
    more = Flag(help_text="Whether more executions matched than `limit`.")
    done = Whole(help_text="Number of executions replayed, retried or canceled so far.")
    skipped = Whole(
        help_text="Number of executions that could not be processed: already ended, job deleted, or quota exceeded."
    )
    remaining = Whole(help_text="Number of executions not processed yet.")
    created_at = Instant(help_text="When the operation was started and its executions were selected.")
    finished_at = Instant(allow_null=True, help_text="When it completed or was canceled; null while running.")

    def get_fields(self) -> dict[str, Any]:
        where = Choice(choices=(START, FAILED), allow_null=True, help_text="Where retries start; else null.")
        return {**super().get_fields(), "from": where}

    def to_representation(self, instance: BulkOperation) -> dict[str, Any]:
        config = "original" if instance.original_config else "current"
        return {
            "id": str(instance.pk),
            "kind": instance.kind,
            "state": instance.state,
            "filter": instance.filter,
            "config": config if instance.kind == BulkKind.REPLAY else None,
            "from": instance.from_step or None,
            "rate_per_second": instance.rate_per_second,
            "asked_by": instance.asked_by,
            "matched": len(instance.execution_ids),
            "more": instance.more,
            "done": instance.done,
            "skipped": instance.position - instance.done,
            "remaining": len(instance.execution_ids) - instance.position,
            "created_at": instant_text(instance.created_at),
            "finished_at": instance.finished_at and instant_text(instance.finished_at),
        }


@extend_schema_serializer(examples=examples.BULK_OPERATION)
class BulkOperationSerializer(ListedBulkOperationSerializer):
    """A bulk operation with a page of the ids of its executions."""

    ids = serializers.ListField(child=serializers.UUIDField(), help_text="Up to 100 ids, in processing order.")
    cursor = serializers.CharField(
        allow_null=True, help_text="Value of `cursor` for the next page of ids; null on the last page."
    )

    def to_representation(self, instance: BulkOperation) -> dict[str, Any]:
        first = self.context.get("first", 0)
        after = first + IDS
        more = after < len(instance.execution_ids)
        return {
            **super().to_representation(instance),
            "ids": [str(key) for key in instance.execution_ids[first:after]],
            "cursor": signing.dumps(after, salt=_salt(instance.pk)) if more else None,
        }


class BulkDetailQuery(Query):
    cursor = serializers.CharField(required=False, help_text="The `cursor` of the previous page of ids.")


@extend_schema_view(
    list=extend_schema(
        operation_id="bulk_operations_list",
        summary="List bulk operations, newest first",
        responses=ListedBulkOperationSerializer(many=True),
    ),
    retrieve=extend_schema(
        operation_id="bulk_operations_get", summary="Get a bulk operation with the ids of its executions"
    ),
)
class BulkOperationViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """The bulk operations within reach: for a bound key those with executions in its environments only."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    query_classes = {"list": ListQuery, "retrieve": BulkDetailQuery}
    serializer_class = BulkOperationSerializer
    list_serializer_class = ListedBulkOperationSerializer
    lookup_url_kwarg = "operation"
    noun = "bulk operation"
    needs_quota = frozenset({"replay_executions", "retry_executions"})

    def get_queryset(self) -> Any:
        operations = BulkOperation.objects.filter(workspace=self.access.workspace)
        bound = self.access.environment_ids
        return operations if bound is None else operations.filter(environment_ids__contained_by=list(bound))

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "first": self._first()}

    @extend_schema(
        operation_id="executions_bulk_replay",
        summary="Replay executions by filter",
        description="Up to 10,000 executions, processed in the background. `dry_run` answers 200 with what matches.",
        request=BulkReplaySerializer,
        responses={200: MatchedSerializer, 202: BulkOperationSerializer},
    )
    def replay_executions(self, request: Request) -> Response:
        return self._start(request, BulkKind.REPLAY, self.read_body(request, BulkReplaySerializer))

    @extend_schema(
        operation_id="executions_bulk_retry",
        summary="Retry failed executions by filter",
        description="Up to 10,000 executions that failed, with their own configuration, processed in the background. "
        "`dry_run` answers 200 with what matches.",
        request=BulkRetrySerializer,
        responses={200: MatchedSerializer, 202: BulkOperationSerializer},
    )
    def retry_executions(self, request: Request) -> Response:
        return self._start(request, BulkKind.RETRY, self.read_body(request, BulkRetrySerializer))

    @extend_schema(
        operation_id="executions_bulk_cancel",
        summary="Cancel executions by filter",
        description="Up to 10,000 executions, processed in the background. `dry_run` answers 200 with what matches.",
        request=BulkCancelSerializer,
        responses={200: MatchedSerializer, 202: BulkOperationSerializer},
    )
    def cancel_executions(self, request: Request) -> Response:
        return self._start(request, BulkKind.CANCEL, self.read_body(request, BulkCancelSerializer))

    @extend_schema(
        operation_id="bulk_operations_cancel",
        summary="Cancel a bulk operation",
        description="Remaining executions are not processed. 409 if the operation has ended.",
        request=EmptySerializer,
        responses=BulkOperationSerializer,
    )
    def cancel(self, request: Request, **_path: Any) -> Response:
        self.read_body(request, EmptySerializer)
        key = self.get_object().pk
        cancel_bulk(workspace=self.access.workspace, operation_id=key, now=self.now, actor=self.access.actor)
        return Response(self.get_serializer(self.get_object()).data)

    def _start(self, request: Request, kind: BulkKind, body: dict[str, Any]) -> Response:
        """Start the operation of a body or, for a dry run, return what it matches."""
        executions = history_filter(body["filter"], self.access)
        if body["dry_run"]:
            matched = matching(executions, kind, limit=body["limit"])
            ids = [str(key) for key in matched.ids[:IDS]]
            return Response({"dry_run": True, "matched": len(matched.ids), "more": matched.more, "ids": ids})
        operation = start_bulk(
            criteria=executions,
            kind=kind,
            filter_as_sent=dict(cast(dict[str, Any], request.data)["filter"]),
            limit=body["limit"],
            rate_per_second=body["rate_per_second"],
            original_config=body.get("config") == "original",
            from_step=body.get("from", ""),
            now=self.now,
            actor=self.access.actor,
        )
        shown = BulkOperationSerializer(operation).data
        headers = self.location(f"bulk-operations/{operation.pk}")
        return Response(shown, status=status.HTTP_202_ACCEPTED, headers=headers)

    def _first(self) -> int:
        """The index of the first id on the page."""
        if "cursor" not in self.query or self.action != "retrieve":
            return 0
        try:
            first: int = signing.loads(self.query["cursor"], salt=_salt(self.kwargs["operation"]))
        except signing.BadSignature as error:
            detail = ErrorDetail("Not a cursor of this bulk operation.", code="invalid_cursor")
            raise ValidationError({"cursor": [detail]}) from error
        return first


def _salt(operation_id: uuid.UUID) -> str:
    return f"bulk-operation:{operation_id}"
