"""Counters and statistics, which outlive the history that they count, and the processes that do the work."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Environment


class CounterDelta(models.Model):
    """What one transaction counted, by key, until the clock adds it to the totals: `runs.counters`."""

    counts = models.JSONField()

    class Meta:
        db_table = "runs_tallyslip"

    def __str__(self) -> str:
        return f"delta {self.pk}"


class CounterTotal(models.Model):
    """How often something has happened since this installation began. Monotonic."""

    key = models.CharField(primary_key=True, max_length=100)
    amount = models.BigIntegerField()

    class Meta:
        db_table = "runs_tally"

    def __str__(self) -> str:
        return self.key


class ProcessKind(models.TextChoices):
    BEAT = "beat"
    WORKER = "worker"


class Heartbeat(models.Model):
    """What a beat or a worker last reported: `runs.monitoring.heartbeats`. Instants are the database's."""

    id = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=10, choices=ProcessKind.choices)
    name = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # The process's clock minus the database's, less the time of transmission.
    clock_ahead_seconds = models.FloatField(null=True)
    # Beats only.
    tick_ms = models.FloatField(null=True)
    sends_chores = models.BooleanField(null=True)
    # Workers only.
    in_flight = models.PositiveIntegerField(null=True)
    waiting = models.PositiveIntegerField(null=True)
    capacity = models.PositiveIntegerField(null=True)
    draining = models.BooleanField(null=True)
    #: The names of the settings for which the process takes no work: `runs.monitoring.agreement`.
    differs = models.CharField(max_length=300, default="", db_default="", blank=True)
    release = models.CharField(max_length=50, default="", db_default="", blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(kind__in=ProcessKind.values), name="heartbeat_kind_known")]

    def __str__(self) -> str:
        return self.name


class Agreement(models.Model):
    """The settings that all beats and workers must share, as fingerprints by name, and the installation's release.

    `runs.monitoring.agreement` creates and compares the only row.
    """

    id = models.SmallIntegerField(primary_key=True)
    salt = models.BinaryField()
    fingerprints = models.JSONField()
    release = models.CharField(max_length=50)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="agreement_only_one")]

    def __str__(self) -> str:
        return self.release


class DatabaseMark(models.Model):
    """Marks the database that fires, by the transaction that wrote this row: `runs.restore_guard` explains it."""

    id = models.SmallIntegerField(primary_key=True)
    transaction = models.CharField(max_length=20)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="database_mark_only_one")]

    def __str__(self) -> str:
        return self.transaction


class RollupDelta(models.Model):
    """The executions of an environment, due within an hour, that one statement ended: `runs.stats.rollups`.

    A trigger writes it with the executions, so that every end is counted, whatever statement makes it. Each column
    after the hour has an entry for each execution: its job-environment, the minute of the hour, how it ended
    (`runs.outcome_codes`), the occurrences that it counts for, and the bins of its duration and lateness
    (`runs.stats.histograms`), null where it has none.
    """

    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    hour = models.DateTimeField()
    job_environments = ArrayField(models.UUIDField())
    minutes = ArrayField(models.SmallIntegerField())
    outcomes = ArrayField(models.SmallIntegerField())
    occurrences = ArrayField(models.BigIntegerField())
    durations = ArrayField(models.SmallIntegerField(null=True))
    lateness = ArrayField(models.SmallIntegerField(null=True))

    class Meta:
        db_table = "runs_endedslip"

    def __str__(self) -> str:
        return f"delta {self.pk}"


class Rollup(models.Model):
    """The ended executions of a job-environment, or of a whole environment, that were due within an hour.

    `subject_id` is the job-environment's id, or the environment's. `amounts` counts each of the `codes`
    (`runs.stats.histograms`); in a `detailed` rollup they include the minute of the hour. It stays when executions are
    pruned.
    """

    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    subject_id = models.UUIDField()
    hour = models.DateTimeField()
    detailed = models.BooleanField()
    codes = ArrayField(models.IntegerField())
    amounts = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "runs_digest"
        constraints = [
            # Also serves "the hours of these subjects", for statistics.
            models.UniqueConstraint(fields=["subject_id", "detailed", "hour"], name="digest_unique"),
        ]
        indexes = [
            # The maintenance task: rollups past their retention.
            models.Index(fields=["detailed", "hour"], name="digest_age"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} at {self.hour:%Y-%m-%d %H:%M}"
