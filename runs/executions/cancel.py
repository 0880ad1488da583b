"""Cancels executions: the one way to do it, in bulk. A single one is a batch of one."""

import datetime
import uuid
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import DateTimeField, F, Func
from django.db.models.functions import Greatest

from core.version import USER_AGENT
from jobs.definition.contract import Overlap
from runs import counters
from runs.attempts.contract import IN_FLIGHT_CANCELED
from runs.attempts.reaping import end_canceled
from runs.live_tail.publish import publish_on_commit
from runs.models import Execution
from runs.overlap import lock_environments, release_queued
from runs.querysets import ExecutionQuerySet
from runs.queue import abort_on_commit
from runs.states import IDLE, ExecutionStatus

_DATABASE_NOW = Func(function="clock_timestamp", output_field=DateTimeField())
_LOCKED = ("pk", "status", "workspace_id", "job_environment_id", "overlap", "queued")


@dataclass(frozen=True, slots=True)
class CanceledExecutions:
    """`idle` had sent nothing; the requests of those `in_flight` may have arrived."""

    idle: tuple[uuid.UUID, ...]
    in_flight: tuple[uuid.UUID, ...]

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
) -> CanceledExecutions:
    """Cancel those of `executions` that have not ended, at most `limit`; each keeps the reason as its error.

    One in flight ends at once, with a canceled run: its worker is told to abort the transfer, and moves nothing any
    more, whether or not it hears that. Without `now` the others end at the database's clock. With `release` the queued
    executions that waited for these start. Without `abort` the caller aborts those in flight after its commit.

    Executions are locked before their job-environments, as when they are recorded.
    """
    live = executions.filter(finished_at__isnull=True).select_for_update(no_key=True, skip_locked=skip_locked)
    locked = list(live.order_by("pk").values_list(*_LOCKED, named=True)[:limit])
    idle = [row for row in locked if row.status in IDLE]
    in_flight = [row.pk for row in locked if row.status not in IDLE]
    canceled = CanceledExecutions(tuple(row.pk for row in idle), tuple(in_flight))
    if idle:
        Execution.objects.filter(pk__in=canceled.idle, status__in=IDLE).update(
            status=ExecutionStatus.CANCELED,
            finished_at=Greatest(_DATABASE_NOW, F("created_at")) if now is None else now,
            next_attempt_at=None,
            queued=False,
            error=error,
        )
        publish_on_commit((str(row.workspace_id), str(row.pk)) for row in idle)
        with connection.cursor() as cursor:
            counters.add(cursor, counters.of_canceled(len(idle)))
    if in_flight:
        end_canceled(canceled.in_flight, user_agent=USER_AGENT, error=error_in_flight)
        if abort:
            abort_on_commit(canceled.in_flight)
    freed = {str(row.job_environment_id) for row in idle if row.overlap == Overlap.QUEUE and not row.queued}
    if release and freed:
        with connection.cursor() as cursor:
            lock_environments(cursor, freed)
            release_queued(cursor, freed)
    return canceled
