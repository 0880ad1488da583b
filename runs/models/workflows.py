"""The steps of workflows."""

from django.db import models
from django.db.models import Q

from accounts.models import Workspace
from core.exact_json import ExactDecoder, ExactEncoder
from core.ids import uuid7
from jobs.definition.workflow.contract import StepType
from runs.failures import FailureReason
from runs.models.history import Execution
from runs.querysets import StepStateQuerySet
from runs.states import StepStatus, WaitKind


class StepState(models.Model):
    """A step that an execution has reached, or whose request came before it was reached.

    A step without a row has not been reached, or is at its first calls: `Execution.step`. All writers hold the
    execution's row. `output` is what the step brought, `{"status", "headers", "body"}`; `extracted` the values it
    took of that; `private`, encrypted, both of them as far as they are secret. `decisions` are those of an approval.
    `carried_from` is the execution in which a step really ran, where a retry took over its result.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="steps", db_index=False, db_constraint=False
    )
    step = models.CharField(max_length=40)
    number = models.PositiveSmallIntegerField(default=1)
    type = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in StepType])
    status = models.CharField(max_length=10, choices=StepStatus.choices)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    wait_kind = models.CharField(max_length=10, choices=WaitKind.choices, default="", blank=True)
    wait_expires_at = models.DateTimeField(null=True)
    message = models.TextField(default="", blank=True)
    approvers = models.JSONField(default=list)
    output = models.JSONField(null=True, encoder=ExactEncoder, decoder=ExactDecoder)
    extracted = models.JSONField(null=True, encoder=ExactEncoder, decoder=ExactDecoder)
    private = models.BinaryField(null=True)
    decisions = models.JSONField(default=list)
    failure_reason = models.CharField(
        max_length=20, choices=[(reason.value, reason.value) for reason in FailureReason], default="", blank=True
    )
    error = models.TextField(default="", blank=True)
    resolved_by = models.CharField(max_length=200, default="", blank=True)
    resolved_how = models.CharField(max_length=20, default="", blank=True)
    carried_from = models.UUIDField(null=True)

    objects = StepStateQuerySet.as_manager()

    class Meta:
        constraints = [
            # Each step is reached once; also serves "the steps of this execution".
            models.UniqueConstraint(fields=["execution", "step", "number"], name="step_state_unique"),
            models.CheckConstraint(condition=Q(status__in=StepStatus.values), name="step_state_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "running", "waiting"], finished_at__isnull=True)
                | (~Q(status__in=["pending", "running", "waiting"]) & Q(finished_at__isnull=False)),
                name="step_state_ended_is_finished",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", wait_kind__in=WaitKind.values, wait_expires_at__isnull=False)
                | ~Q(status="waiting"),
                name="step_state_waiting_has_end",
            ),
        ]
        indexes = [
            # What waits for people in a workspace, the longest first.
            models.Index(
                fields=["workspace", "id"],
                condition=Q(status="waiting", wait_kind="approval"),
                name="step_state_approvals",
            ),
            # Key rotation and doctor: results with secret values.
            models.Index(fields=["id"], condition=Q(private__isnull=False), name="step_state_private"),
        ]

    def __str__(self) -> str:
        return f"{self.step} of {self.execution_id}"
