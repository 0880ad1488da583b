"""Cancels executions: the one way to do it, in bulk. A single one is a batch of one."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import DateTimeField, F, Func
from django.db.models.functions import Greatest

from core.version import USER_AGENT
from jobs.definition.contract import Overlap
from runs import counters
from runs.attempts.contract import IN_FLIGHT_CANCELED, AttemptKey
from runs.attempts.reaping import end_canceled
from runs.live_tail.publish import publish_on_commit
from runs.models import Execution
from runs.overlap import lock_environments, release_queued
from runs.querysets import ExecutionQuerySet
from runs.queue import abort_on_commit
from runs.states import IDLE, ExecutionStatus
from runs.workflows.cleanup import CANCELED, Cleanup, begin_cleanup, end_waits, with_cleanup

_DATABASE_NOW = Func(function="clock_timestamp", output_field=DateTimeField())
_LOCKED = (
    "pk", "status", "attempts", "workspace_id", "job_environment_id", "overlap", "queued", "step", "job_version_id"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CanceledExecutions:
    """`idle` had sent nothing; the requests of the attempts `in_flight` may have arrived.

    Both include workflows whose `finally` runs first.
    """

    idle: tuple[uuid.UUID, ...]
    in_flight: tuple[AttemptKey, ...]

    def __len__(self) -> int:
        return len(self.idle) + len(self.in_flight)


@transaction.atomic(savepoint=False)
def cancel_live(
    executions: ExecutionQuerySet,
    *,
    now: datetime.datetime | None,
    error: str = "",
    error_in_flight: str = IN_FLIGHT_CANCELED,
    skip_locked: bool = False,
    limit: int | None = None,
    release: bool = False,
    abort: bool = True,
    cleanup: Cleanup = Cleanup.LEFT_OUT,
) -> CanceledExecutions:
    """Cancel those of `executions` that have not ended, at most `limit`; each keeps the reason as its error.

    One in flight ends at once, with a canceled run: its worker is told to abort the transfer, and moves nothing any
    more, whether or not it hears that. Without `now` the others end at the database's clock. With `release` the queued
    executions that waited for these start. Without `abort` the caller aborts those in flight after its commit. What
    `cleanup` says of a workflow's `finally` applies once: a second cancel ends that too.

    Executions are locked before their job-environments, as when they are recorded.
    """
    live = executions.filter(finished_at__isnull=True).select_for_update(no_key=True, skip_locked=skip_locked)
    locked = list(live.order_by("pk").values_list(*_LOCKED, named=True)[:limit])
    going_on = set() if cleanup is Cleanup.LEFT_OUT else with_cleanup(locked)
    idle = [row for row in locked if row.status in IDLE]
    in_flight = [row for row in locked if row.status not in IDLE]
    attempts = tuple((str(row.pk), row.attempts) for row in in_flight)
    canceled = CanceledExecutions(tuple(row.pk for row in idle), attempts)
    ending = [row for row in idle if row.pk not in going_on]
    at = Greatest(_DATABASE_NOW, F("created_at")) if now is None else now
    if ending:
        _end_idle(ending, at=at, error=error)
    if in_flight:
        ids = [row.pk for row in in_flight]
        end_canceled(ids, user_agent=USER_AGENT, error=error_in_flight, go_on=going_on)
        if abort:
            abort_on_commit(canceled.in_flight)
    if any(row.step for row in locked):
        end_waits([row.pk for row in locked if row.step], error=error or CANCELED)
    if going_on:
        begin_cleanup(going_on, error=error or CANCELED, steps_aside=cleanup is Cleanup.BESIDE_THE_NEXT)
    freed = {str(row.job_environment_id) for row in ending if row.overlap == Overlap.QUEUE and not row.queued}
    if release and freed:
        with connection.cursor() as cursor:
            lock_environments(cursor, freed)
            release_queued(cursor, freed)
    return canceled


def _end_idle(rows: Sequence[Any], *, at: Any, error: str) -> None:
    """pending and waiting -> canceled."""
    Execution.objects.filter(pk__in=[row.pk for row in rows], status__in=IDLE).update(
        status=ExecutionStatus.CANCELED,
        finished_at=at,
        next_attempt_at=None,
        wait_kind="",
        wait_expires_at=None,
        queued=False,
        error=error,
    )
    publish_on_commit((str(row.workspace_id), str(row.pk)) for row in rows)
    with connection.cursor() as cursor:
        counters.add(cursor, counters.of_canceled(len(rows)))
