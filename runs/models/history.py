"""Executions (one per firing) and runs (one per attempt)."""

import datetime

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Environment, Workspace
from core.exact_json import ExactDecoder, ExactEncoder
from core.ids import uuid7
from jobs.definition.contract import Overlap
from jobs.models import Job, JobEnvironment, JobVersion
from runs.failures import FailureReason
from runs.outcome_codes import OUTCOMES, RUN_STATUSES, TRIGGERS, WIDTH
from runs.querysets import ExecutionQuerySet, RunQuerySet
from runs.states import (
    TERMINAL,
    ExecutionStatus,
    RunStatus,
    SkipReason,
    Trigger,
    WaitKind,
)

_LIMITING = tuple(policy.value for policy in Overlap if policy is not Overlap.ALLOW)
_OVERLAPS = [(policy, policy) for policy in _LIMITING]
_REASONS = [(reason.value, reason.value) for reason in FailureReason]


class Execution(models.Model):
    """One logical firing of a job in one environment: why, for when, in which version, and how it ended.

    A `pending` one can be claimed from `next_attempt_at` on; a `running` one always has a lease. Workspace, job and
    environment follow from the job-environment: their keys are copies for lists, without constraints. `concurrency` is
    a copy of its version's, for the claim: how many executions of the job may run at once. So is `overlap`, empty where
    overlap is allowed; a `queued` execution waits for the live ones of its job-environment to end, and has no
    `next_attempt_at` until then. A skipped one records the `occurrences` planned from `scheduled_for` to
    `scheduled_until` (null: only that one). `jitter_ms` is the planned delay of its start after `scheduled_for`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="executions", db_index=False, db_constraint=False
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    # No constraint, which would search the whole history on a delete. Code that creates an execution holds its
    # job-environment, and code that deletes a job-environment locks it first and then looks for executions.
    job_environment = models.ForeignKey(
        JobEnvironment, on_delete=models.CASCADE, related_name="executions", db_index=False, db_constraint=False
    )
    job_version = models.ForeignKey(
        JobVersion, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    status = models.CharField(max_length=10, choices=ExecutionStatus.choices, default=ExecutionStatus.PENDING)
    scheduled_for = models.DateTimeField(null=True)
    scheduled_until = models.DateTimeField(null=True)
    jitter_ms = models.PositiveIntegerField(default=0, db_default=0)
    occurrences = models.PositiveIntegerField(default=1)
    skip_reason = models.CharField(max_length=10, choices=SkipReason.choices, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    enqueued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null is "no lease", as in lease_expires_at
    lease_expires_at = models.DateTimeField(null=True)
    concurrency = models.PositiveSmallIntegerField(null=True)
    overlap = models.CharField(
        max_length=14, choices=[(value, value) for value in _LIMITING], default="", db_default="", blank=True
    )
    queued = models.BooleanField(default=False, db_default=False)
    failure_reason = models.CharField(max_length=20, choices=_REASONS, default="", blank=True)
    error = models.TextField(default="", blank=True)
    replay_of = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="replays", db_index=False, db_constraint=False
    )
    input = models.JSONField(null=True, encoder=ExactEncoder, decoder=ExactDecoder)
    state = models.JSONField(null=True)
    output = models.JSONField(null=True)
    #: Of a workflow that has begun: the step it is at, the runs of that step so far, and what it waits for, until when.
    step = models.CharField(max_length=40, default="", db_default="", blank=True)
    step_attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    wait_kind = models.CharField(max_length=10, choices=WaitKind.choices, default="", db_default="", blank=True)
    wait_expires_at = models.DateTimeField(null=True)
    #: How many callbacks and webhooks called each other before this one: `runs.webhooks`.
    depth = models.PositiveSmallIntegerField(default=0, db_default=0)
    #: After which endings a callback is due, a copy of its version's: `jobs.definition.callback`. A trigger inserts it.
    callback_on = models.PositiveSmallIntegerField(default=0, db_default=0)
    #: Where its callback goes instead of the version's URL; null: there.
    callback_url = models.TextField(null=True)  # noqa: DJ001 - null is "as in the version"
    due_at = models.GeneratedField(
        expression=Coalesce("scheduled_for", "created_at"), output_field=models.DateTimeField(), db_persist=True
    )

    #: Null until it has ended, so that claiming changes no indexed column: `runs.outcome_codes`.
    facet = models.GeneratedField(
        expression=Case(*(When(status=outcome, then=Value(index)) for index, outcome in enumerate(OUTCOMES)))
        + Case(*(When(trigger=trigger, then=Value(n * WIDTH)) for n, trigger in enumerate(TRIGGERS))),
        output_field=models.SmallIntegerField(null=True),
        db_persist=True,
        null=True,
    )

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        constraints = [
            # Elects the winner among any number of beats: one execution per occurrence.
            models.UniqueConstraint(
                fields=["job_environment", "scheduled_for"],
                condition=Q(trigger=Trigger.SCHEDULE),
                name="execution_occurrence_unique",
            ),
            # A job that must not overlap with itself has at most one live scheduled execution.
            models.UniqueConstraint(
                fields=["job_environment"],
                condition=Q(finished_at__isnull=True, queued=False, trigger=Trigger.SCHEDULE) & ~Q(overlap=""),
                name="execution_exclusive",
            ),
            # At most one is queued behind it.
            models.UniqueConstraint(
                fields=["job_environment"],
                condition=Q(finished_at__isnull=True, queued=True),
                name="execution_queued_unique",
            ),
            models.CheckConstraint(condition=Q(overlap="") | Q(overlap__in=_LIMITING), name="execution_overlap_known"),
            models.CheckConstraint(
                condition=Q(queued=False) | Q(status="pending", next_attempt_at__isnull=True),
                name="execution_queued_waits",
            ),
            models.CheckConstraint(condition=Q(status__in=ExecutionStatus.values), name="execution_status_known"),
            models.CheckConstraint(condition=Q(trigger__in=Trigger.values), name="execution_trigger_known"),
            models.CheckConstraint(
                condition=Q(status__in=TERMINAL, finished_at__isnull=False)
                | (~Q(status__in=TERMINAL) & Q(finished_at__isnull=True)),
                name="execution_terminal_is_finished",
            ),
            models.CheckConstraint(
                condition=Q(status="running", lease_owner__isnull=False, lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(lease_owner__isnull=True, lease_expires_at__isnull=True)),
                name="execution_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~Q(status="pending") | Q(next_attempt_at__isnull=False) | Q(queued=True),
                name="execution_pending_has_instant",
            ),
            models.CheckConstraint(
                condition=Q(status="skipped", skip_reason__in=SkipReason.values)
                | (~Q(status="skipped") & Q(skip_reason="")),
                name="execution_skipped_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(trigger="schedule", scheduled_for__isnull=False) | ~Q(trigger="schedule"),
                name="execution_scheduled_has_instant",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", wait_kind__in=WaitKind.values, wait_expires_at__isnull=False)
                | (~Q(status="waiting") & Q(wait_kind="", wait_expires_at__isnull=True)),
                name="execution_waiting_has_end",
            ),
            models.CheckConstraint(condition=Q(occurrences__gte=1), name="execution_counts_occurrences"),
            models.CheckConstraint(
                condition=Q(scheduled_until__isnull=True)
                | Q(status="skipped", scheduled_until__gte=F("scheduled_for")),
                name="execution_stretch_is_skipped",
            ),
        ]
        indexes = [
            # The clock and an idle worker: live executions, by when their next attempt may start. Claiming
            # changes no indexed column, so a claim is a heap-only update.
            models.Index(fields=["next_attempt_at"], condition=Q(finished_at__isnull=True), name="execution_live"),
            # The clock: retries and delayed executions whose id is not on Redis yet.
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(finished_at__isnull=True, enqueued_at__isnull=True),
                name="execution_unsent",
            ),
            # The clock: waits that are over, and the next to be. Claiming changes none of its columns.
            models.Index(
                fields=["wait_expires_at"], condition=Q(wait_expires_at__isnull=False), name="execution_waits"
            ),
            # A job's page, and pausing and deleting it: its executions that wait.
            models.Index(fields=["job"], condition=Q(wait_expires_at__isnull=False), name="execution_job_waits"),
            # Claiming for a job with a limit: what runs, and what is due. Other jobs' rows are not in it.
            models.Index(
                fields=["job", "next_attempt_at"],
                condition=Q(finished_at__isnull=True, concurrency__isnull=False),
                name="execution_limited",
            ),
            # The clock: live executions of a job that must not overlap with itself. Other jobs' rows are not in it.
            models.Index(
                fields=["job_environment"],
                condition=Q(finished_at__isnull=True) & ~Q(overlap=""),
                name="execution_overlap",
            ),
            # History of a workspace, newest first.
            models.Index(fields=["workspace", "-due_at", "-id"], name="execution_history"),
            # History of a job, newest first.
            models.Index(fields=["job", "-due_at", "-id"], name="execution_job_history"),
            # History by environment, status and trigger, newest first: ended executions only, one entry for each.
            models.Index(
                fields=["environment", "facet", "-due_at", "-id"],
                condition=Q(facet__isnull=False),
                name="execution_ended",
            ),
            # History by failure reason, and search in failures. Successes are not in it.
            models.Index(
                fields=["workspace", "failure_reason", "-due_at", "-id"],
                condition=~Q(failure_reason=""),
                name="execution_failures",
            ),
            # Retention: the newest failures of a job, which are kept however many successes follow.
            models.Index(
                fields=["job", "-due_at", "-id"], condition=~Q(failure_reason=""), name="execution_job_failures"
            ),
            # Retention: the source of a live replay or retry is kept.
            models.Index(
                fields=["replay_of"],
                condition=Q(finished_at__isnull=True, replay_of__isnull=False),
                name="execution_live_replays",
            ),
            # Retention: whether a version that was edited for a replay has executions. Only these triggers have one.
            models.Index(
                fields=["job_version"],
                condition=Q(trigger__in=[Trigger.REPLAY, Trigger.RETRY]),
                name="execution_edited_versions",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def audit_label(self) -> str:
        return self.job.slug

    @property
    def planned_start(self) -> datetime.datetime | None:
        """Its planned start: the occurrence plus the jitter."""
        jitter = datetime.timedelta(milliseconds=self.jitter_ms)
        return None if self.scheduled_for is None else self.scheduled_for + jitter

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


class Run(models.Model):
    """One attempt of an execution: exactly one HTTP exchange, with what was really sent and received.

    Durations and timings are whole milliseconds. Bodies are text; `*_body_encoding` is "base64" if the bytes are not
    UTF-8 text that PostgreSQL can store.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="runs", db_index=False, db_constraint=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job_version = models.ForeignKey(
        JobVersion, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="runs", db_index=False)
    step = models.CharField(max_length=100, default="", blank=True)
    number = models.PositiveSmallIntegerField()
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    status = models.CharField(max_length=10, choices=RunStatus.choices)
    failure_reason = models.CharField(max_length=20, choices=_REASONS, default="", blank=True)
    error = models.TextField(default="", blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    queue_ms = models.PositiveIntegerField(null=True)
    dns_ms = models.PositiveIntegerField(null=True)
    connect_ms = models.PositiveIntegerField(null=True)
    tls_ms = models.PositiveIntegerField(null=True)
    first_byte_ms = models.PositiveIntegerField(null=True)
    total_ms = models.PositiveIntegerField(null=True)
    request_method = models.CharField(max_length=10)
    request_url = models.TextField()
    request_headers = models.JSONField(default=dict)
    request_body = models.TextField(null=True)  # noqa: DJ001 - null is "no body", unlike an empty one
    request_body_encoding = models.CharField(max_length=10, default="utf-8")
    response_status = models.PositiveSmallIntegerField(null=True)
    response_headers = models.JSONField(null=True)
    response_body = models.TextField(null=True)  # noqa: DJ001 - null is "no response"
    response_body_encoding = models.CharField(max_length=10, default="utf-8")
    body_truncated = models.BooleanField(default=False)
    body_bytes = models.BigIntegerField(null=True)
    body_note = models.TextField(null=True)  # noqa: DJ001 - null, since a worker of an older release writes none
    exit_code = models.IntegerField(null=True)
    output = models.TextField(null=True)  # noqa: DJ001 - commands only
    error_output = models.TextField(null=True)  # noqa: DJ001 - commands only
    http_version = models.CharField(max_length=10, default="", blank=True)
    remote_ip = models.GenericIPAddressField(null=True)
    worker = models.CharField(max_length=200, default="", blank=True)
    #: `runs.outcome_codes`.
    facet = models.GeneratedField(
        expression=Case(*(When(status=status, then=Value(index)) for index, status in enumerate(RUN_STATUSES)))
        + Case(
            When(number__gt=1, then=Value(TRIGGERS.index(Trigger.RETRY) * WIDTH)),
            *(When(trigger=trigger, then=Value(n * WIDTH)) for n, trigger in enumerate(TRIGGERS)),
        ),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            # One row per attempt; also serves "the runs of this execution".
            models.UniqueConstraint(fields=["execution", "step", "number"], name="run_attempt_unique"),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="run_status_known"),
            models.CheckConstraint(
                condition=Q(status="running", finished_at__isnull=True)
                | (~Q(status="running") & Q(finished_at__isnull=False)),
                name="run_ended_is_finished",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(finished_at__gte=F("started_at")), name="run_time_goes_on"
            ),
        ]
        indexes = [
            # The flat list of runs, by environment, status and trigger, newest first: one entry for each run.
            models.Index(fields=["workspace", "environment", "facet", "-id"], name="run_history"),
            # Failures by failure reason. Successes are not in it.
            models.Index(
                fields=["workspace", "failure_reason", "-id"], condition=~Q(failure_reason=""), name="run_failures"
            ),
            # The runs of a job, newest first.
            models.Index(fields=["job", "-id"], name="run_job_history"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"
