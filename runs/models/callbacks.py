"""Callbacks: the calls that report executions after they have ended, and the attempts to make them."""

from django.db import models
from django.db.models import Q

from accounts.models import Environment, Workspace
from core.ids import uuid7
from jobs.models import Job
from runs.models.history import Execution
from runs.querysets import HistoryQuerySet
from runs.states import CallbackStatus


class Callback(models.Model):
    """A call that reports an execution, inserted by the statement that ends it: see the triggers on executions.

    A `pending` one can be claimed from `next_attempt_at` on. While an attempt is under way it has a lease, and
    `next_attempt_at` is when that expires. `attempts` fences: an attempt is named by the callback and its number. After
    `attempt_limit` of them it is `failed`; sending it again raises the limit. `sequence` tells receivers the order.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="callbacks", db_index=False, db_constraint=False
    )
    event = models.CharField(max_length=40)
    sequence = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=CallbackStatus.choices, default=CallbackStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempt_limit = models.PositiveSmallIntegerField()
    next_attempt_at = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null is "no lease", as in lease_expires_at
    lease_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    last_status_code = models.PositiveSmallIntegerField(null=True)
    last_error = models.TextField(default="", db_default="", blank=True)

    objects = HistoryQuerySet.as_manager()

    class Meta:
        constraints = [
            # An execution ends once; also serves "the callbacks of this execution".
            models.UniqueConstraint(fields=["execution", "event"], name="callback_event_unique"),
            models.CheckConstraint(condition=Q(status__in=CallbackStatus.values), name="callback_status_known"),
            models.CheckConstraint(
                condition=Q(status="pending", finished_at__isnull=True, next_attempt_at__isnull=False)
                | (~Q(status="pending") & Q(finished_at__isnull=False, next_attempt_at__isnull=True)),
                name="callback_pending_has_instant",
            ),
            models.CheckConstraint(
                condition=Q(lease_owner__isnull=True, lease_expires_at__isnull=True)
                | Q(status="pending", lease_owner__isnull=False, lease_expires_at__isnull=False),
                name="callback_lease_is_pending",
            ),
        ]
        indexes = [
            # Workers: what is due, the longest due first. Nearly always a few rows.
            models.Index(fields=["next_attempt_at"], condition=Q(status="pending"), name="callback_due"),
            # The list of a workspace, newest first.
            models.Index(fields=["workspace", "-id"], name="callback_history"),
            # The list of a job, newest first.
            models.Index(fields=["job", "-id"], name="callback_job_history"),
            # What failed, for the list and to send it again. Nearly always a few rows.
            models.Index(fields=["workspace", "-id"], condition=Q(status="failed"), name="callback_failures"),
        ]

    def __str__(self) -> str:
        return f"{self.event}, {self.status}"

    @property
    def audit_label(self) -> str:
        return self.job.slug


class CallbackAttempt(models.Model):
    """One attempt of a callback: one HTTP exchange, or why there was none."""

    callback = models.ForeignKey(
        Callback, on_delete=models.CASCADE, related_name="attempt_rows", db_index=False, db_constraint=False
    )
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    response_body = models.TextField(null=True)  # noqa: DJ001 - null is "no response"
    error = models.TextField(default="", blank=True)
    remote_ip = models.GenericIPAddressField(null=True)
    worker = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        constraints = [
            # One row per attempt; also serves "the attempts of this callback".
            models.UniqueConstraint(fields=["callback", "number"], name="callback_attempt_unique"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"
