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


#: How deep callbacks and webhooks may call each other.
MAX_DEPTH = 5


class SkipReason(models.TextChoices):
    OVERLAP = "overlap"
    MISSED = "missed"
    PAUSED = "paused"
    DST_GAP = "dst_gap"
    QUOTA = "quota"
    ENDED = "ended"


class StepStatus(models.TextChoices):
    """The states of a workflow's step. A pending one was resolved by a request that came before its time."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"


class WaitKind(models.TextChoices):
    """What a workflow waits for."""

    DELAY = "delay"
    POLL = "poll"
    WEBHOOK = "webhook"
    APPROVAL = "approval"


class WebhookStatus(models.TextChoices):
    """What became of a request to a webhook's URL."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    REFUSED = "refused"


class WebhookReason(models.TextChoices):
    """Why a request to a webhook's URL was refused or ignored. Labels are for people."""

    MISSING_SIGNATURE = "missing_signature", "no signature"
    BAD_SIGNATURE = "bad_signature", "bad signature"
    STALE_TIMESTAMP = "stale_timestamp", "its timestamp is more than 5 minutes off"
    SECRET_UNUSABLE = "secret_unusable", "the secret that verifies it is missing or malformed"
    DISABLED = "disabled", "the webhook is off"
    TOO_LARGE = "too_large", "the body is larger than 1 MiB"
    NOT_TEXT = "not_text", "the body is not UTF-8 text"
    NOT_JSON = "not_json", "the body is not the JSON that its content type promises"
    UNREADABLE = "unreadable", "the job's version can't be read or run"
    NOT_ENABLED = "not_enabled", "the job is not enabled in that environment"
    AMBIGUOUS_ENVIRONMENT = "ambiguous_environment", "the job is enabled in several environments: add ?environment=NAME"
    JOB_DELETED = "job_deleted", "the job was deleted"
    PAUSED = "paused", "the job is paused"
    CONDITION = "condition", "a condition does not hold"
    QUOTA = "quota", "the workspace's plan lets no more runs start"
    LOOP = "loop", "callbacks and webhooks call each other more than 5 deep"


class CallbackStatus(models.TextChoices):
    """What became of a callback: to be sent or sent again, answered with 2xx, or given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class BulkKind(models.TextChoices):
    REPLAY = "replay"
    RETRY = "retry"
    CANCEL = "cancel"


class BulkState(models.TextChoices):
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"


def _without(states: type[models.TextChoices], *later: str) -> tuple[tuple[str, str], ...]:
    return tuple((value, str(label)) for value, label in states.choices if value not in later)


# What can occur in this release, for filters and menus. The database also accepts the values of later ones.
OCCURRING_STATUSES = _without(ExecutionStatus)
#: A run is written once it has ended.
OCCURRING_RUN_STATUSES = _without(RunStatus, RunStatus.RUNNING)
OCCURRING_TRIGGERS = _without(Trigger)

LIVE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
#: Live, with nothing under way.
IDLE = (ExecutionStatus.PENDING, ExecutionStatus.WAITING)
TERMINAL = (
    ExecutionStatus.SUCCEEDED,
    ExecutionStatus.FAILED,
    ExecutionStatus.CANCELED,
    ExecutionStatus.SKIPPED,
)

#: From each status, those that an execution may go to. A retry goes back to pending, as does a workflow after each step
#: and wait: a worker claims it and decides what follows. Skipped rows begin as such.
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
    ExecutionStatus.WAITING: frozenset({ExecutionStatus.PENDING, ExecutionStatus.CANCELED}),
    ExecutionStatus.SUCCEEDED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
    ExecutionStatus.CANCELED: frozenset(),
    ExecutionStatus.SKIPPED: frozenset(),
}
