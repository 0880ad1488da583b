"""Approvals: what people decide about waiting workflows, and what waits for the caller."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin

from accounts.models import Membership, Scope
from api.base.pagination import Keyset
from api.base.views import ApiViewSet
from api.runs import examples
from api.runs.steps import ApprovalFieldSerializer
from core.validation.fields import BoundedDict, Instant, Text, Whole, instant_text
from core.validation.strict import ListQuery, Query, StrictSerializer
from jobs.validation.approval import MAX_FORM_FIELDS
from runs.models import StepState
from runs.workflows.approvals import MAX_NOTE_CHARACTERS
from runs.workflows.awaiting import ApproverAccess, approvals_for

_COLUMNS = (
    "step", "message", "approvers", "started_at", "wait_expires_at", "decisions", "execution__job__slug",
    "execution__job__name", "execution__environment__slug",
)  # fmt: skip


@extend_schema_serializer(examples=examples.DECISION)
class DecideSerializer(StrictSerializer):
    """A decision on what an execution waits for."""

    step = Text(
        required=False,
        max_length=40,
        help_text="Id of the step that was decided on: 409 if the execution waits at another. Default: any.",
    )
    note = Text(
        default="", allow_blank=True, max_length=MAX_NOTE_CHARACTERS, help_text="A note, which later steps can use."
    )
    form = BoundedDict(
        default=dict,
        max_length=MAX_FORM_FIELDS,
        help_text="Values of the step's form, by name. Ignored for a rejection.",
    )


@extend_schema_serializer(examples=examples.PENDING_APPROVAL)
class PendingApprovalSerializer(serializers.Serializer):
    """An approval that waits for the caller."""

    execution = serializers.UUIDField(help_text="Id of the execution that waits.")
    job = Text(help_text="The job's current slug.")
    job_name = Text(help_text="The job's current name.")
    environment = Text(help_text="Slug of the environment.")
    step = Text(help_text="Id of the step.")
    message = Text(help_text="The question; may be empty.")
    since = Instant(help_text="Since when it waits.")
    expires_at = Instant(help_text="Until when it can be decided.")
    approvers = serializers.ListField(child=Text(), help_text="Who may decide; empty: whoever may write executions.")
    required = Whole(help_text="How many approvals it needs.")  # type: ignore[assignment]
    approvals = Whole(help_text="How many it has.")
    form = ApprovalFieldSerializer(many=True, help_text="The fields to fill in when approving.")

    def to_representation(self, instance: StepState) -> dict[str, Any]:
        execution, definition = instance.execution, instance.definition  # type: ignore[attr-defined]
        return {
            "execution": str(instance.execution_id),
            "job": execution.job.slug,
            "job_name": execution.job.name,
            "environment": execution.environment.slug,
            "step": instance.step,
            "message": instance.message,
            "since": instance.started_at and instant_text(instance.started_at),
            "expires_at": instance.wait_expires_at and instant_text(instance.wait_expires_at),
            "approvers": instance.approvers,
            "required": definition["required"],
            "approvals": len(instance.decisions),
            "form": definition["form"],
        }


@extend_schema_view(
    list=extend_schema(
        operation_id="approvals_list",
        summary="List the approvals that wait for you",
        description="Those that the caller may decide on and has not yet, the longest waiting first. Empty for callers "
        "without `executions:write`.",
        responses=PendingApprovalSerializer(many=True),
    )
)
class ApprovalViewSet(ListModelMixin, ApiViewSet):
    """The steps that wait for the caller, in environments within reach."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    query_classes: Mapping[str, type[Query]] = {"list": ListQuery}
    serializer_class = PendingApprovalSerializer
    keyset = Keyset(("id",), descending=False)

    def get_queryset(self) -> Any:
        if Scope.EXECUTIONS_WRITE not in self.access.scopes:
            return StepState.objects.none()
        access = self.access
        members = Membership.objects.filter(workspace=access.workspace, user=access.actor.user)
        roles = dict(members.values_list("workspace_id", "role")) if access.actor.user is not None else {}
        states = approvals_for(ApproverAccess(access.actor, roles, frozenset({access.workspace.pk})), now=self.now)
        if access.environment_ids is not None:
            states = states.filter(execution__environment__in=access.environment_ids)
        visible = states.filter(workspace=access.workspace, execution__job__purged_at__isnull=True)
        related = visible.select_related("execution__job", "execution__environment")
        return related.only(*_COLUMNS)
