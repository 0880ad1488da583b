"""Routes of bulk operations: many executions replayed or canceled by a filter, by the house's chores."""

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

#: How many ids an answer holds.
IDS = 100


class BulkSerializer(StrictSerializer):
    """Which executions, and how fast."""

    filter = ExecutionFields(help_text="As the list's query parameters; lists may be JSON lists.")
    dry_run = Flag(default=False, help_text="Only tell what matches.")
    limit = Whole(
        default=MAX_EXECUTIONS, min_value=1, max_value=MAX_EXECUTIONS, help_text="The latest so many of those."
    )
    rate_per_second = Whole(
        allow_null=True, default=None, min_value=1, max_value=MAX_RATE, help_text="Null: as fast as it goes."
    )


@extend_schema_serializer(examples=examples.BULK_CANCEL)
class BulkCancelSerializer(BulkSerializer):
    pass


@extend_schema_serializer(examples=examples.BULK_REPLAY)
class BulkReplaySerializer(BulkSerializer):
    config = Choice(
        choices=("current", "original"), default="current", help_text="The job as it is now, or as it was then."
    )


@extend_schema_serializer(examples=examples.BULK_MATCHED)
class MatchedSerializer(serializers.Serializer):
    """What a dry run found."""

    dry_run = Flag(default=True, help_text="Always true: nothing was done.")
    matched = Whole(help_text="How many executions would be dealt with, `limit` at most.")
    more = Flag(help_text="Whether more match than `limit` allows.")
    ids = serializers.ListField(child=serializers.UUIDField(), help_text="The first 100, in the order they are taken.")


class ListedBulkOperationSerializer(serializers.Serializer):
    """A bulk operation, as lists show it."""

    id = serializers.UUIDField(help_text="Of this operation; leads to the ids of its executions.")
    kind = Choice(choices=BulkKind.choices, help_text="What is done with each execution.")
    state = Choice(
        choices=BulkState.choices,
        help_text="`completed` once none remains; `canceled`: the remaining ones are left as they are.",
    )
    filter = serializers.DictField(help_text="As it was sent.")
    config = Choice(choices=("current", "original"), allow_null=True, help_text="Of replays.")
    rate_per_second = Whole(allow_null=True, help_text="How many a second at most; null: as fast as it goes.")
    asked_by = Text(help_text="The key's or the person's name.")
    matched = Whole(help_text="How many executions it is about: `done`, `skipped` and `remaining` together.")
    more = Flag(help_text="Whether more matched than the limit allowed.")
    done = Whole(help_text="How many were replayed or canceled so far.")
    skipped = Whole(help_text="Taken, but could not be any more: already ended, without a job, or quota used up.")
    remaining = Whole(help_text="How many were not taken yet.")
    created_at = Instant(help_text="When it was asked for, and what matched was settled.")
    finished_at = Instant(allow_null=True, help_text="When it completed or was canceled; null while it goes on.")

    def to_representation(self, instance: BulkOperation) -> dict[str, Any]:
        config = "original" if instance.original_config else "current"
        return {
            "id": str(instance.pk),
            "kind": instance.kind,
            "state": instance.state,
            "filter": instance.filter,
            "config": config if instance.kind == BulkKind.REPLAY else None,
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
    """A bulk operation, with a page of the ids of the executions that it is about."""

    ids = serializers.ListField(child=serializers.UUIDField(), help_text="In the order they are taken.")
    cursor = serializers.CharField(allow_null=True, help_text="Send it back for the next ids; null on the last page.")

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
    cursor = serializers.CharField(required=False, help_text="Opaque; from the `cursor` of another page of ids.")


@extend_schema_view(
    list=extend_schema(
        operation_id="bulk_operations_list",
        summary="List bulk operations, newest first",
        responses=ListedBulkOperationSerializer(many=True),
    ),
    retrieve=extend_schema(operation_id="bulk_operations_get", summary="Get a bulk operation with its executions' ids"),
)
class BulkOperationViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """The bulk operations within reach: for a key that is bound to environments, those that touch no other."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    query_classes = {"list": ListQuery, "retrieve": BulkDetailQuery}
    serializer_class = BulkOperationSerializer
    list_serializer_class = ListedBulkOperationSerializer
    lookup_url_kwarg = "operation"
    noun = "bulk operation"
    needs_quota = frozenset({"replay_executions"})

    def get_queryset(self) -> Any:
        operations = BulkOperation.objects.filter(workspace=self.access.workspace)
        bound = self.access.environment_ids
        return operations if bound is None else operations.filter(environment_ids__contained_by=list(bound))

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "first": self._first()}

    @extend_schema(
        operation_id="executions_bulk_replay",
        summary="Replay executions by a filter",
        request=BulkReplaySerializer,
        responses={200: MatchedSerializer, 202: BulkOperationSerializer},
    )
    def replay_executions(self, request: Request) -> Response:
        return self._start(request, BulkKind.REPLAY, self.read_body(request, BulkReplaySerializer))

    @extend_schema(
        operation_id="executions_bulk_cancel",
        summary="Cancel executions by a filter",
        request=BulkCancelSerializer,
        responses={200: MatchedSerializer, 202: BulkOperationSerializer},
    )
    def cancel_executions(self, request: Request) -> Response:
        return self._start(request, BulkKind.CANCEL, self.read_body(request, BulkCancelSerializer))

    @extend_schema(
        operation_id="bulk_operations_cancel",
        summary="Do no more of a bulk operation",
        request=EmptySerializer,
        responses=BulkOperationSerializer,
    )
    def cancel(self, request: Request, **_path: Any) -> Response:
        self.read_body(request, EmptySerializer)
        key = self.get_object().pk
        cancel_bulk(workspace=self.access.workspace, operation_id=key, now=self.now, actor=self.access.actor)
        return Response(self.get_serializer(self.get_object()).data)

    def _start(self, request: Request, kind: BulkKind, body: dict[str, Any]) -> Response:
        """Start what a body asks for, or only say what it matches."""
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
            now=self.now,
            actor=self.access.actor,
        )
        shown = BulkOperationSerializer(operation).data
        headers = self.location(f"bulk-operations/{operation.pk}")
        return Response(shown, status=status.HTTP_202_ACCEPTED, headers=headers)

    def _first(self) -> int:
        """The place of the first id that is shown, from the cursor."""
        if "cursor" not in self.query or self.action != "retrieve":
            return 0
        try:
            first: int = signing.loads(self.query["cursor"], salt=_salt(self.kwargs["operation"]))
        except signing.BadSignature as error:
            detail = ErrorDetail("This cursor belongs to another bulk operation, or to none.", code="invalid_cursor")
            raise ValidationError({"cursor": [detail]}) from error
        return first


def _salt(operation_id: uuid.UUID) -> str:
    return f"bulk-operation:{operation_id}"
