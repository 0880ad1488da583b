"""The steps of workflows: as an execution shows them, and as a list of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin

from accounts.models import Scope
from api.base.pagination import Keyset
from api.base.views import ApiViewSet
from api.runs import examples
from api.runs.querysets import reachable_executions
from api.runs.step_representation import represent_step
from core.validation.fields import Choice, Flag, Instant, Text, Whole
from core.validation.strict import ListQuery, Query
from jobs.definition.workflow.contract import StepType
from jobs.validation.approval import FIELD_TYPES
from runs.failures import OCCURRING
from runs.models import Execution
from runs.states import StepStatus, WaitKind
from runs.workflows.representation import StepView, steps_of

STEP_TYPES = tuple(kind.value for kind in StepType)
DECISIONS = ("approved", "rejected")
_HOW = ("request", "early", "approved", "rejected", "expired")


class WaitingSerializer(serializers.Serializer):
    """What an execution waits for."""

    kind = Choice(
        choices=WaitKind.choices, help_text="`delay`; `poll`: a step's next call; `webhook`: a request; `approval`."
    )
    step = Text(help_text="Id of the step.")
    since = Instant(allow_null=True, help_text="Since when; for `poll` since the step's first call.")
    expires_at = Instant(
        allow_null=True, help_text="When a delay is over, and when any other wait ends without a result."
    )
    resume_url = Text(
        allow_null=True,
        help_text="The URL that resumes a `webhook`, or leads to an `approval`. Null for others, and for callers "
        "without `executions:write`.",
    )
    url_set = Flag(help_text="Whether the step has such a URL.")


class ApprovalFieldSerializer(serializers.Serializer):
    """A field that people fill in when they approve."""

    name = Text(help_text="Its name in `form`.")
    label = Text(help_text="Its label for people.")  # type: ignore[assignment]
    type = Choice(choices=FIELD_TYPES, help_text="What its value should be.")
    required = Flag(help_text="Whether an approval needs it.")  # type: ignore[assignment]
    options = serializers.ListField(child=Text(), help_text="The values of a `choice`; empty for other types.")


class DecisionSerializer(serializers.Serializer):
    """What one person decided."""

    by = Text(help_text="Who decided: a user or an API key.")
    how = Choice(choices=DECISIONS, help_text="The decision.")
    note = Text(help_text="A note; may be empty.")
    form = serializers.DictField(help_text="The values of the step's form.")
    at = Instant(help_text="When.")


class ApprovalSerializer(serializers.Serializer):
    """What an approval step asks, of whom, and what they decided."""

    message = Text(allow_null=True, help_text="The question after template expansion; null before the step is reached.")
    approvers = serializers.ListField(
        child=Text(),
        help_text="Who may decide: `role:NAME`, which includes higher roles, and `user:NAME`. Empty: whoever may "
        "write executions.",
    )
    required = Whole(help_text="How many approvals it needs.")  # type: ignore[assignment]
    decisions = DecisionSerializer(many=True, help_text="The decisions so far, in order.")
    form = ApprovalFieldSerializer(many=True, help_text="The fields to fill in.")


class StepOutputSerializer(serializers.Serializer):
    """What a step brought, as later steps can use it. A part that was not kept is absent."""

    status = serializers.JSONField(
        help_text="The HTTP status of a call; `received` for a request, `approved` or `rejected` for an approval."
    )
    headers = serializers.DictField(child=Text(), required=False, help_text="Headers that other steps name.")
    body = Text(required=False, help_text="The body, absent if it is larger than 64 KiB; secrets are redacted.")


@extend_schema_serializer(examples=examples.STEP)
class ExecutionStepSerializer(serializers.Serializer):
    """A step of a workflow's execution."""

    id = Text(help_text="Id of the step in the workflow.")
    type = Choice(choices=STEP_TYPES, help_text="What it does.")
    number = Whole(help_text="Always 1; reserved.")
    section = Choice(choices=("steps", "finally"), help_text="Where the workflow has it.")
    status = Choice(
        choices=StepStatus.choices,
        help_text="`pending` if it is not reached, also after the execution's end; `skipped` if a condition of `if` "
        "does not hold.",
    )
    attempts = Whole(help_text="Number of its calls: attempts and polls. 0 for other types, and for carried results.")
    started_at = Instant(allow_null=True, help_text="When it was reached: its first call, or the begin of its wait.")
    finished_at = Instant(allow_null=True, help_text="When it ended.")
    waiting = WaitingSerializer(allow_null=True, help_text="What it waits for; null unless `waiting`.")
    approval = ApprovalSerializer(allow_null=True, help_text="The approval; null for other types.")
    output = StepOutputSerializer(allow_null=True, help_text="What it brought; null for none.")
    extracted = serializers.DictField(
        allow_null=True, help_text="The values that it extracted; secret ones are `[redacted]`. Null for none."
    )
    failure_reason = Choice(
        choices=[reason.value for reason in OCCURRING], allow_null=True, help_text="Why it failed; null unless failed."
    )
    error = Text(
        allow_null=True,
        help_text="An explanation of its end, or why the last request to a waiting webhook was refused. Else null.",
    )
    resolved_by = Text(allow_null=True, help_text="Who ended the wait for an approval; else null.")
    resolved_how = Choice(
        choices=_HOW,
        allow_null=True,
        help_text="How a wait ended: a `request`, one that came `early`, a decision, or the time. Null for others.",
    )
    carried_from = serializers.UUIDField(
        allow_null=True, help_text="The execution in which it ran, if a retry took over its result; else null."
    )

    def to_representation(self, instance: StepView) -> dict[str, Any]:
        return represent_step(instance)


class _ByPosition(Keyset):
    """The order of the definition, for steps that are read already."""

    def rows(
        self, queryset: Sequence[StepView], position: Any, *, backward: bool, first: int, count: int
    ) -> list[StepView]:
        steps = list(reversed(queryset)) if backward else list(queryset)
        if position is not None:
            (at,) = position
            steps = [step for step in steps if (step.position < at if backward else step.position > at)]
        return steps[first : first + count]


@extend_schema_view(
    list=extend_schema(
        operation_id="executions_steps_list",
        summary="List the steps of an execution",
        description="In the order of the workflow, those of `finally` last. Empty for other kinds of jobs.",
        responses=ExecutionStepSerializer(many=True),
    )
)
class StepViewSet(ListModelMixin, ApiViewSet):
    """The steps of one execution within reach."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    query_classes: Mapping[str, type[Query]] = {"list": ListQuery}
    serializer_class = ExecutionStepSerializer
    keyset = _ByPosition(("position",), descending=False)

    def get_queryset(self) -> Any:
        executions = reachable_executions(self.access).select_related("job_version")
        execution: Execution = get_object_or_404(executions, pk=self.kwargs["execution"])
        return steps_of(execution, may_resume=Scope.EXECUTIONS_WRITE in self.access.scopes)
