"""Long operations on history: bulk operations, and rounds of retention."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import IsNull
from django.utils import timezone

from accounts.models import Workspace
from core.ids import uuid7
from runs.states import BulkKind, BulkState


class BulkOperation(models.Model):
    """Many executions to replay, retry or cancel, processed in batches: each batch and `position` move together.

    `execution_ids` are those that matched at its creation, in the order of processing. The first `position` of them are
    processed: `done` of these were replayed, retried or canceled, and the others could not be. `filter` is what the
    caller sent. `environment_ids` are those that it is narrowed to (null: all). `from_step` is where retries start.
    `asked_by` names for people who started it; `started_by` is the id of a person, which new executions keep.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=BulkKind.choices)
    state = models.CharField(max_length=10, choices=BulkState.choices, default=BulkState.RUNNING)
    filter = models.JSONField()
    asked_by = models.CharField(max_length=254, default="", blank=True)
    started_by = models.CharField(max_length=40, default="", db_default="", blank=True)
    environment_ids = ArrayField(models.UUIDField(), null=True)
    original_config = models.BooleanField(default=False)
    from_step = models.CharField(max_length=10, default="", db_default="", blank=True)
    rate_per_second = models.PositiveIntegerField(null=True)
    execution_ids = ArrayField(models.UUIDField())
    #: Whether more matched than its limit allowed.
    more = models.BooleanField(default=False)
    position = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    next_batch_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=BulkKind.values), name="bulk_kind_known"),
            models.CheckConstraint(
                condition=Q(state=BulkState.RUNNING, finished_at__isnull=True)
                | Q(state__in=[BulkState.COMPLETED, BulkState.CANCELED], finished_at__isnull=False),
                name="bulk_ended_is_finished",
            ),
            models.CheckConstraint(condition=Q(done__lte=F("position")), name="bulk_done_was_taken"),
        ]
        indexes = [
            # The operations of a workspace, newest first.
            models.Index(fields=["workspace", "-id"], name="bulk_history"),
            # The maintenance task: operations under way, the longest due first.
            models.Index(fields=["next_batch_at"], condition=Q(finished_at__isnull=True), name="bulk_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {len(self.execution_ids)}"

    @property
    def audit_label(self) -> str:
        return str(self)


class PruningRound(models.Model):
    """One night's retention of all jobs in the order of their ids; the job `reached` was the last one processed.

    Each batch counts itself here in its own transaction. An interrupted round continues where it was.
    """

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    reached = models.UUIDField(null=True)
    executions = models.PositiveIntegerField(default=0)
    runs = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            # At most one is under way.
            models.UniqueConstraint(
                IsNull(F("finished_at"), True), condition=Q(finished_at__isnull=True), name="pruning_round_one_goes_on"
            ),
        ]

    def __str__(self) -> str:
        return f"round of {self.started_at:%Y-%m-%d %H:%M}"
