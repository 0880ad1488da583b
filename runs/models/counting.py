"""What was counted of what happened, and who is there to do it: kept beside the history, and outliving it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Environment


class TallySlip(models.Model):
    """What one transaction counted, by key, until the clock adds it to the tallies: `runs.counters`."""

    counts = models.JSONField()

    def __str__(self) -> str:
        return f"slip {self.pk}"


class Tally(models.Model):
    """How often something happened since the start. It never goes back."""

    key = models.CharField(primary_key=True, max_length=100)
    amount = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return self.key


class ProcessKind(models.TextChoices):
    BEAT = "beat"
    WORKER = "worker"


class Heartbeat(models.Model):
    """What a beat or a worker last told of itself: `runs.monitoring.heartbeats`. Instants are the database's."""

    id = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=10, choices=ProcessKind.choices)
    name = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # Its own clock minus the database's, less what the word took to come here.
    clock_ahead_seconds = models.FloatField(null=True)
    # Of a beat.
    tick_ms = models.FloatField(null=True)
    sends_chores = models.BooleanField(null=True)
    # Of a worker.
    in_flight = models.PositiveIntegerField(null=True)
    waiting = models.PositiveIntegerField(null=True)
    capacity = models.PositiveIntegerField(null=True)
    draining = models.BooleanField(null=True)
    #: The settings for which it takes no work, by name: `runs.monitoring.agreement`.
    differs = models.CharField(max_length=300, default="", db_default="", blank=True)
    release = models.CharField(max_length=50, default="", db_default="", blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(kind__in=ProcessKind.values), name="heartbeat_kind_known")]

    def __str__(self) -> str:
        return self.name


class Agreement(models.Model):
    """What all beats and workers must share, as fingerprints by the names of settings, and the house's release.

    The one row is made and compared by `runs.monitoring.agreement`.
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
    """Where this database was made the one that fires: the row's own transaction, as `runs.restore_guard` explains."""

    id = models.SmallIntegerField(primary_key=True)
    transaction = models.CharField(max_length=20)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="database_mark_only_one")]

    def __str__(self) -> str:
        return self.transaction


class EndedSlip(models.Model):
    """What one statement ended of an environment's executions that were due within an hour: `runs.stats.rollups`.

    A trigger writes it with the executions, so that none ends uncounted, whoever ends it. Each column after the hour
    has an entry for each of them: its job in that environment, the minute of the hour, how it ended
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

    def __str__(self) -> str:
        return f"slip {self.pk}"


class Digest(models.Model):
    """All that ended of a job in one environment, or of a whole environment, and was due within an hour.

    `subject_id` is the job-environment's id, or the environment's. `amounts` says how many there are of each of the
    `codes` (`runs.stats.histograms`); a `detailed` one tells the minutes of the hour apart. It stays when executions
    are pruned.
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
        constraints = [
            # Also serves "the hours of these subjects", for statistics.
            models.UniqueConstraint(fields=["subject_id", "detailed", "hour"], name="digest_unique"),
        ]
        indexes = [
            # The chore: what is kept no longer.
            models.Index(fields=["detailed", "hour"], name="digest_age"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} at {self.hour:%Y-%m-%d %H:%M}"
