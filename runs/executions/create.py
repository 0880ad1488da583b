"""Creates executions: the one place that sets the columns of a new one, in bulk. A single one is a batch of one."""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.ids import uuid7
from jobs.definition.callback import DEFAULT_ON, bits_of, callback_bits
from runs.live_tail.publish import publish_on_commit
from runs.models import Execution
from runs.postgres_text import sparse_array
from runs.queue import enqueue_on_commit
from runs.states import ExecutionStatus, Trigger

_COLUMNS = {
    "id": "uuid", "workspace_id": "uuid", "job_id": "uuid", "environment_id": "uuid", "job_environment_id": "uuid",
    "job_version_id": "uuid", "status": "text", "scheduled_for": "timestamptz", "scheduled_until": "timestamptz",
    "occurrences": "int", "skip_reason": "text", "enqueued_at": "timestamptz", "finished_at": "timestamptz",
    "next_attempt_at": "timestamptz", "concurrency": "smallint", "overlap": "text", "queued": "boolean",
    "jitter_ms": "int", "error": "text", "callback_on": "smallint",
}  # fmt: skip
_INSERT_SCHEDULED = f"""
    INSERT INTO runs_execution ({", ".join(_COLUMNS)}, trigger, created_at, attempts, failure_reason)
    SELECT *, 'schedule', %s::timestamptz, 0, ''
      FROM unnest({", ".join(f"%s::{kind}[]" for kind in _COLUMNS.values())})
    ON CONFLICT DO NOTHING
 RETURNING id::text
"""  # noqa: S608 - our own text


# Neither this nor NewExecution is frozen: the clock makes thousands at a time, at twice the cost.
@dataclass(slots=True)
class JobEnvironmentKey:
    """The job-environment and version of a new execution, with the limits that it copies of that version.

    Ids are text, as Postgres gives and takes them. `overlap` is empty where it limits nothing. `callback_on` says after
    which endings a callback is due.
    """

    job_environment_id: str
    workspace_id: str
    job_id: str
    environment_id: str
    job_version_id: str
    concurrency: int | None
    overlap: str
    callback_on: int


@dataclass(slots=True, kw_only=True)
class NewExecution:
    """An execution that is not inserted yet."""

    job_environment: JobEnvironmentKey
    trigger: Trigger
    created_at: datetime.datetime
    status: ExecutionStatus
    scheduled_for: datetime.datetime | None = None
    scheduled_until: datetime.datetime | None = None
    occurrences: int = 1
    skip_reason: str = ""
    enqueued_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    next_attempt_at: datetime.datetime | None = None
    queued: bool = False
    jitter_ms: int = 0
    error: str = ""
    input: Any = None
    state: dict[str, Any] | None = None
    depth: int = 0
    callback_url: str | None = None
    replay_of_id: uuid.UUID | None = None
    id: uuid.UUID = field(default_factory=uuid7)

    @classmethod
    def pending(
        cls,
        job_environment: JobEnvironmentKey,
        *,
        trigger: Trigger,
        now: datetime.datetime,
        starts_at: datetime.datetime,
        queued: bool = False,
        **columns: Any,
    ) -> "NewExecution":
        """One that starts at `starts_at`, or, if it is `queued`, once no other of its job-environment is live.

        The id of one that is due now is for the caller to enqueue; the clock enqueues those of later ones.
        """
        return cls(
            job_environment=job_environment,
            trigger=trigger,
            created_at=now,
            status=ExecutionStatus.PENDING,
            enqueued_at=None if queued or starts_at > now else now,
            next_attempt_at=None if queued else starts_at,
            queued=queued,
            **columns,
        )

    def scheduled_row(self) -> tuple[Any, ...]:
        """In the order of `_COLUMNS`."""
        key = self.job_environment
        return (
            str(self.id), key.workspace_id, key.job_id, key.environment_id, key.job_environment_id, key.job_version_id,
            self.status.value, self.scheduled_for, self.scheduled_until, self.occurrences, self.skip_reason,
            self.enqueued_at, self.finished_at, self.next_attempt_at, key.concurrency, key.overlap, self.queued,
            self.jitter_ms, self.error, key.callback_on,
        )  # fmt: skip

    def model(self) -> Execution:
        """As a row of the model, not saved."""
        key = self.job_environment
        return Execution(
            id=self.id,
            workspace_id=uuid.UUID(key.workspace_id),
            job_id=uuid.UUID(key.job_id),
            environment_id=uuid.UUID(key.environment_id),
            job_environment_id=uuid.UUID(key.job_environment_id),
            job_version_id=uuid.UUID(key.job_version_id),
            trigger=self.trigger,
            status=self.status,
            scheduled_for=self.scheduled_for,
            scheduled_until=self.scheduled_until,
            jitter_ms=self.jitter_ms,
            occurrences=self.occurrences,
            skip_reason=self.skip_reason,
            created_at=self.created_at,
            enqueued_at=self.enqueued_at,
            finished_at=self.finished_at,
            next_attempt_at=self.next_attempt_at,
            concurrency=key.concurrency,
            overlap=key.overlap,
            queued=self.queued,
            error=self.error,
            input=self.input,
            state=self.state,
            depth=self.depth,
            callback_on=key.callback_on,
            callback_url=self.callback_url,
            replay_of_id=self.replay_of_id,
        )


def callback_on(callback: Mapping[str, Any] | None, callback_url: str | None) -> int:
    """Return after which endings a callback is due, by the job's definition and the execution's own URL, as bits."""
    return callback_bits(callback) or (bits_of(DEFAULT_ON) if callback_url else 0)


def insert_scheduled(cursor: Any, new: Sequence[NewExecution], *, now: datetime.datetime) -> set[str]:
    """Insert executions of the clock. Returns the ids, as text, of those that no unique key forbids."""
    if not new:
        return set()
    columns = zip(*(row.scheduled_row() for row in new), strict=True)
    cursor.execute(_INSERT_SCHEDULED, [now, *(sparse_array(column) for column in columns)])
    inserted = {execution_id for (execution_id,) in cursor.fetchall()}
    publish_on_commit((row.job_environment.workspace_id, str(row.id)) for row in new if str(row.id) in inserted)
    return inserted


def insert_and_enqueue(new: Sequence[NewExecution]) -> list[Execution]:
    """Insert executions that people ask for. The ids of those that are due now are sent after the commit."""
    executions = Execution.objects.bulk_create([row.model() for row in new])
    enqueue_on_commit([execution.pk for execution in executions if execution.enqueued_at])
    publish_on_commit((str(execution.workspace_id), str(execution.pk)) for execution in executions)
    return executions
