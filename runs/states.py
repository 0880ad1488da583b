"""The states of executions and runs, and the one table of legal transitions."""

from django.db import models


class ExecutionStatus(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


class RunStatus(models.TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Trigger(models.TextChoices):
    SCHEDULE = "schedule"
    MANUAL = "manual"
    WEBHOOK = "webhook"
    REPLAY = "replay"
    RETRY = "retry"


class SkipReason(models.TextChoices):
    OVERLAP = "overlap"
    MISSED = "missed"
    PAUSED = "paused"
    DST_GAP = "dst_gap"
    QUOTA = "quota"
    ENDED = "ended"


class BulkKind(models.TextChoices):
    REPLAY = "replay"
    CANCEL = "cancel"


class BulkState(models.TextChoices):
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"


def _without(states: type[models.TextChoices], *later: str) -> tuple[tuple[str, str], ...]:
    return tuple((value, str(label)) for value, label in states.choices if value not in later)


# What can occur in this release, for filters and menus. The database also accepts the values of later ones.
#: Only workflows wait.
OCCURRING_STATUSES = _without(ExecutionStatus, ExecutionStatus.WAITING)
#: A run is written once it has ended.
OCCURRING_RUN_STATUSES = _without(RunStatus, RunStatus.RUNNING)
OCCURRING_TRIGGERS = _without(Trigger, Trigger.WEBHOOK)

LIVE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
#: Live, with nothing under way.
IDLE = (ExecutionStatus.PENDING, ExecutionStatus.WAITING)
TERMINAL = (
    ExecutionStatus.SUCCEEDED,
    ExecutionStatus.FAILED,
    ExecutionStatus.CANCELED,
    ExecutionStatus.SKIPPED,
)

#: From each status, those that an execution may go to. A retry goes back to pending; skipped rows begin as such.
TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.PENDING: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.CANCELED}),
    ExecutionStatus.RUNNING: frozenset(
        {
            ExecutionStatus.PENDING,
            ExecutionStatus.WAITING,
            ExecutionStatus.SUCCEEDED,
            ExecutionStatus.FAILED,
            ExecutionStatus.CANCELED,
        }
    ),
    ExecutionStatus.WAITING: frozenset({ExecutionStatus.PENDING, ExecutionStatus.FAILED, ExecutionStatus.CANCELED}),
    ExecutionStatus.SUCCEEDED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
    ExecutionStatus.CANCELED: frozenset(),
    ExecutionStatus.SKIPPED: frozenset(),
}
