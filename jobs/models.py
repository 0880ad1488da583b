"""Jobs, the versions of their configuration, their state in each environment, and retry policies."""

import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KeyTransform
from django.utils import timezone

from accounts.models import Environment, Workspace
from core.ids import uuid7
from jobs.definition.reading import presentable
from jobs.querysets import JobEnvironmentQuerySet, JobQuerySet, JobVersionQuerySet


class Kind(models.TextChoices):
    HTTP = "http"
    WORKFLOW = "workflow"


class Backoff(models.TextChoices):
    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"
    LIST = "list"


class ScheduleType(models.TextChoices):
    RECURRING = "recurring"
    ONE_OFF = "one_off"
    MANUAL = "manual"


class PeriodState(models.TextChoices):
    """The state of a job in an environment during a period. Only `active` and `paused` have occurrences."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    ENDED = "ended"


class RetryPolicy(models.Model):
    """Named retry rules that many jobs can use. A job's version keeps the rules as of its creation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="retry_policies", db_index=False)
    slug = models.SlugField(max_length=100)
    name = models.CharField(max_length=200)
    max_attempts = models.PositiveSmallIntegerField()
    backoff = models.CharField(max_length=20, choices=Backoff.choices)
    delay_ms = models.PositiveIntegerField()
    max_delay_ms = models.PositiveIntegerField()
    delays_ms = ArrayField(models.PositiveIntegerField(), null=True, blank=True)
    jitter = models.BooleanField()
    on_statuses = ArrayField(models.PositiveSmallIntegerField(), blank=True)
    except_statuses = ArrayField(models.PositiveSmallIntegerField(), blank=True)
    on_timeout = models.BooleanField()
    on_connection_error = models.BooleanField()
    on_assertion = models.BooleanField()
    on_worker_lost = models.BooleanField()
    honor_retry_after = models.BooleanField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "retry policies"
        constraints = [
            # Also serves "the policy with this slug", the way jobs and paths name one.
            models.UniqueConstraint(fields=["workspace", "slug"], name="retry_policy_slug_unique"),
            models.CheckConstraint(condition=Q(backoff__in=Backoff.values), name="retry_policy_backoff_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_label(self) -> str:
        return self.slug


class Job(models.Model):
    """A job. Its configuration is its current version; the columns here are those that lists search and sort by."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="jobs", db_index=False)
    slug = models.SlugField(max_length=100)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.HTTP)
    schedule_type = models.CharField(max_length=20, choices=ScheduleType.choices)
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    url = models.CharField(max_length=2048, blank=True)
    current_version = models.ForeignKey(
        "JobVersion", null=True, editable=False, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    # Null once the job is deleted, so that the policy can be deleted.
    retry_policy = models.ForeignKey(
        RetryPolicy, null=True, editable=False, on_delete=models.PROTECT, related_name="jobs", db_index=False
    )
    #: The ids of the policies that a workflow's steps use; they are deleted only when no live job names them.
    step_policies = ArrayField(models.UUIDField(), default=list, db_default=[], editable=False)
    #: Who applies this job from a file; null: nobody, it is changed by hand.
    managed_by = models.CharField(max_length=100, null=True, editable=False)  # noqa: DJ001 - as in the API
    #: Which of its webhook's URLs is the current one, and until when the one before it works: `jobs.services.webhooks`.
    webhook_number = models.PositiveSmallIntegerField(default=1, db_default=1, editable=False)
    previous_webhook_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: From then on the job and its history are hidden from every reader, and their rows are being removed.
    purged_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            # Also serves "the job with this slug".
            models.UniqueConstraint(
                fields=["workspace", "slug"], condition=Q(deleted_at__isnull=True), name="job_slug_unique"
            ),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="job_kind_known"),
            models.CheckConstraint(condition=Q(schedule_type__in=ScheduleType.values), name="job_schedule_type_known"),
            models.CheckConstraint(
                condition=Q(purged_at__isnull=True) | Q(deleted_at__isnull=False), name="job_purged_is_deleted"
            ),
        ]
        indexes = [
            # The API's list of jobs by creation and by name, in both directions.
            models.Index(
                fields=["workspace", "created_at", "id"], condition=Q(deleted_at__isnull=True), name="job_list_created"
            ),
            models.Index(
                fields=["workspace", "name", "id"], condition=Q(deleted_at__isnull=True), name="job_list_name"
            ),
            # The dashboard's list of jobs, newest first.
            models.Index(fields=["workspace", "-id"], condition=Q(deleted_at__isnull=True), name="job_list"),
            # The API's list of what somebody applies from files.
            models.Index(
                fields=["workspace", "managed_by", "id"],
                condition=Q(deleted_at__isnull=True, managed_by__isnull=False),
                name="job_managed",
            ),
            # The workflows whose steps use a retry policy.
            GinIndex(fields=["step_policies"], name="job_step_policies"),
            # The jobs that use a retry policy.
            models.Index(fields=["retry_policy"], condition=Q(retry_policy__isnull=False), name="job_retry_policy"),
            # Jobs to remove, which readers leave out. Nearly always empty.
            models.Index(fields=["workspace", "purged_at"], condition=Q(purged_at__isnull=False), name="job_purged"),
            # The foreign key's check when a version is deleted.
            models.Index(fields=["current_version"], name="job_current_version"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_label(self) -> str:
        return self.slug


class DefinitionField(models.JSONField):
    """The JSON of a definition, made presentable when it is read: unknown shapes become blanks, marked as such.

    So no list or page fails because of a single stored version. The clock and the workers read the column itself.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        config = super().from_db_value(value, expression, connection)
        return config if isinstance(expression, KeyTransform) else presentable(config)

    def deconstruct(self) -> Any:
        """A plain JSONField to migrations, as to the database."""
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.JSONField", arguments, options


class JobVersion(models.Model):
    """The immutable snapshot of a job's configuration: `config` is the whole definition, overrides included.

    An `edited` one is not in the job's list of versions: it is the version of its number with another request, for one
    replay.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    config = DefinitionField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    edited = models.BooleanField(default=False, db_default=False, editable=False)

    objects = JobVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            # Also serves "the versions of this job, newest first".
            models.UniqueConstraint(
                fields=["job", "number"], condition=Q(edited=False), name="job_version_number_unique"
            ),
        ]
        indexes = [
            # All versions of a job, edited ones included: for retention, and for deleting a job.
            models.Index(fields=["job"], name="job_version_job"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


class JobEnvironment(models.Model):
    """A job in one environment: whether and when it fires there next. The clock's due query reads this table only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="job_environments", db_index=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="job_environments", db_index=False
    )
    enabled = models.BooleanField(default=True)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True)
    pause_note = models.CharField(max_length=500, blank=True)
    next_fire_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Every occurrence up to this instant has fired, is counted, or belongs to a closed period. Never moves back.
    accounted_until = models.DateTimeField(null=True, editable=False)
    #: The ledger begins here: records of earlier occurrences may be pruned. Never moves back.
    history_from = models.DateTimeField(null=True, editable=False)
    last_fired_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_status = models.CharField(max_length=20, blank=True, editable=False)
    consecutive_failures = models.PositiveIntegerField(default=0, editable=False)

    objects = JobEnvironmentQuerySet.as_manager()

    class Meta:
        constraints = [
            # Also serves "the environments of this job".
            models.UniqueConstraint(fields=["job", "environment"], name="job_environment_unique"),
            models.CheckConstraint(
                condition=Q(enabled=True) | Q(next_fire_at__isnull=True), name="job_environment_disabled_never_fires"
            ),
            models.CheckConstraint(
                condition=Q(paused_until__isnull=True) | Q(paused_at__isnull=False),
                name="job_environment_pause_has_start",
            ),
        ]
        indexes = [
            # The clock: due rows, and the next one to become due.
            models.Index(
                fields=["next_fire_at"],
                condition=Q(enabled=True, next_fire_at__isnull=False),
                name="job_environment_due",
            ),
            # The dashboard: failing jobs, the most consecutive failures first.
            models.Index(
                fields=["workspace", "-consecutive_failures"],
                condition=Q(consecutive_failures__gt=0),
                name="job_environment_failing",
            ),
            # The dashboard: paused jobs, the latest first.
            models.Index(
                fields=["workspace", "-paused_at"],
                condition=Q(paused_at__isnull=False),
                name="job_environment_paused",
            ),
            # The next firings in an environment; also serves "the jobs of this environment".
            models.Index(fields=["environment", "next_fire_at"], name="job_environment_next"),
        ]

    def __str__(self) -> str:
        return f"{self.job} in {self.environment}"

    def is_paused(self, now: datetime.datetime) -> bool:
        return self.paused_at is not None and (self.paused_until is None or self.paused_until > now)


class SchedulePeriod(models.Model):
    """A period in which one schedule and state were in force in one environment. Executions and periods are the ledger.

    A period covers the instants later than `from_at` and no later than `until_at` (null: in force): each instant is
    in one period. `job_version` is the version that opened it or, once it is closed, its last one: both have the same
    occurrences. Occurrences of a closed period later than `unsettled_from` are not accounted for yet; `followed_by` is
    the state of the next period, which decides their skip reason.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job_environment = models.ForeignKey(
        JobEnvironment, on_delete=models.CASCADE, related_name="periods", db_index=False
    )
    job_version = models.ForeignKey(JobVersion, on_delete=models.CASCADE, related_name="+", db_index=False)
    state = models.CharField(max_length=10, choices=PeriodState.choices)
    from_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=500, default="", blank=True)
    unsettled_from = models.DateTimeField(null=True)
    followed_by = models.CharField(max_length=10, choices=PeriodState.choices, default="", blank=True)

    class Meta:
        constraints = [
            # Also serves "the periods of this job in this environment, in order".
            models.UniqueConstraint(fields=["job_environment", "from_at"], name="period_start_unique"),
            # One period is in force. Also serves "the period in force".
            models.UniqueConstraint(
                fields=["job_environment"], condition=Q(until_at__isnull=True), name="period_in_force_unique"
            ),
            models.CheckConstraint(condition=Q(state__in=PeriodState.values), name="period_state_known"),
            models.CheckConstraint(
                condition=Q(until_at__isnull=True) | Q(until_at__gt=F("from_at")), name="period_time_goes_on"
            ),
            models.CheckConstraint(
                condition=Q(until_at__isnull=True, followed_by="", unsettled_from__isnull=True)
                | Q(until_at__isnull=False, followed_by__in=PeriodState.values),
                name="period_closed_is_followed",
            ),
        ]
        indexes = [
            # The clock: closed periods to settle. Nearly always empty.
            models.Index(fields=["until_at"], condition=Q(unsettled_from__isnull=False), name="period_unsettled"),
            # The foreign key's check when a version is deleted.
            models.Index(fields=["job_version"], name="period_version"),
        ]

    def __str__(self) -> str:
        return f"{self.state} from {self.from_at:%Y-%m-%d %H:%M:%S}"


class UnreadableVersion(models.Model):
    """A version that a process could not read: its job waits in that environment until a process can.

    Without foreign key constraints: a review deletes a mark whose rows are gone. `audited`: it is in the audit log.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job_environment = models.ForeignKey(
        JobEnvironment, on_delete=models.CASCADE, related_name="unreadable", db_index=False, db_constraint=False
    )
    job_version = models.ForeignKey(
        JobVersion, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    error = models.CharField(max_length=300)
    #: The host of the process that could not read it.
    seen_by = models.CharField(max_length=255)
    since = models.DateTimeField()
    looked_at = models.DateTimeField()
    audited = models.BooleanField(default=False)

    class Meta:
        constraints = [
            # One mark, however many processes can't read the version. Also serves "why this job waits here".
            models.UniqueConstraint(fields=["job_environment", "job_version"], name="unreadable_version_unique"),
        ]

    def __str__(self) -> str:
        return self.error
