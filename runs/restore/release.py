"""Releases a database that was restored from a backup, without repeating what may have been done since.

The backup knows neither what fired after it was taken, nor how executions ended that were live then. So occurrences
that were due since are counted as missed, and live executions are canceled; each says so in the history.
"""

import datetime
from dataclasses import dataclass, replace

import structlog
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment, SchedulePeriod
from runs import restore_guard
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.executions.bulk import cancel_bulk
from runs.executions.cancel import cancel_live
from runs.models import BulkOperation, Callback, Execution, Run
from runs.monitoring import system
from runs.querysets import ExecutionQuerySet
from runs.states import BulkState, CallbackStatus, ExecutionStatus

log = structlog.get_logger(__name__)

UNKNOWN = "Canceled: the database was restored from a backup, which does not know whether this was delivered since."
UNSENT = "Not sent: the database was restored from a backup, which does not know whether it was sent since."
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored database contains that must not simply continue; after `bring_back`, what was done about it.

    `due_jobs` counts job-environments with something due, `missed` their occurrences (None before these are counted).
    `live` counts executions that have not ended, except those `planned` for a later time.
    """

    now: datetime.datetime
    latest_run_at: datetime.datetime | None
    due_jobs: int
    missed: int | None
    live: int
    planned: int
    bulk_operations: int
    sessions: int


def inspect(now: datetime.datetime) -> Restored:
    """Count it, without changing anything."""
    latest = Run.objects.order_by("-pk").values_list("started_at", flat=True).first()
    due = JobEnvironment.objects.filter(enabled=True, next_fire_at__lte=now)
    left = SchedulePeriod.objects.filter(unsettled_from__isnull=False, until_at__lte=now)
    due_jobs = due.values("pk").union(left.values("job_environment"))
    doubtful = _doubtful(now)
    return Restored(
        now=now,
        latest_run_at=latest,
        due_jobs=due_jobs.count(),
        missed=None,
        live=doubtful.count(),
        planned=Execution.objects.filter(finished_at__isnull=True).count() - doubtful.count(),
        bulk_operations=_bulk_operations().count(),
        sessions=Session.objects.count(),
    )


def bring_back(now: datetime.datetime, *, keep_live: bool) -> Restored:
    """Count what is due as missed, cancel live executions, end every session; then release the clock.

    With `keep_live` live executions and pending callbacks continue, at the risk that they are delivered twice: running
    executions fail with `worker_lost`, and are retried by policy. It can be called again after an interruption.
    """
    before = inspect(now)
    if not keep_live:
        for operation in _bulk_operations():
            cancel_bulk(workspace=operation.workspace, operation_id=operation.pk, now=now, actor=SYSTEM)
        while cancel_live(_doubtful(now), now=now, error=UNKNOWN, error_in_flight=UNKNOWN, limit=_BATCH):
            pass
        _give_up_callbacks(now)
    missed = _count_as_missed(now)
    Session.objects.all().delete()
    resume()
    log.warning("database_brought_back", missed=missed, live=before.live, live_kept=keep_live)
    return replace(before, missed=missed)


def resume() -> None:
    """Let the clock and the workers continue with this database as it is."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        restore_guard.mark(cursor)


def is_copy() -> bool:
    """Whether this database was restored from a dump and not released yet."""
    with connection.cursor() as cursor:
        return restore_guard.is_copy(cursor)


def alive_processes() -> list[str]:
    """The names of the beats and workers that have reported within the last half minute."""
    with connection.cursor() as cursor:
        return [process.name for process in system.processes(cursor) if process.is_alive]


def database_now() -> datetime.datetime:
    """The database's instant."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime.datetime = cursor.fetchone()[0]
        return now


def _doubtful(now: datetime.datetime) -> ExecutionQuerySet:
    """Executions that had not ended, and may have since. Those planned for later can't have been delivered."""
    executions: ExecutionQuerySet = Execution.objects.filter(finished_at__isnull=True)
    return executions.exclude(status=ExecutionStatus.PENDING, next_attempt_at__gt=now)


def _give_up_callbacks(now: datetime.datetime) -> None:
    """End the callbacks that may have been sent since, and those of what was just canceled: they can be sent again."""
    Callback.objects.filter(status=CallbackStatus.PENDING).update(
        status=CallbackStatus.FAILED,
        finished_at=now,
        next_attempt_at=None,
        lease_owner=None,
        lease_expires_at=None,
        last_error=UNSENT,
    )


def _bulk_operations() -> QuerySet[BulkOperation]:
    return BulkOperation.objects.filter(state=BulkState.RUNNING).select_related("workspace").order_by("pk")


def _count_as_missed(now: datetime.datetime) -> int:
    """Account for all that is due, in the clock's order, firing nothing. Returns the number of missed occurrences."""
    missed = 0
    for account_for in (settle_due, fire_due):
        while (counted := account_for(now, only_count=True)).due:
            missed += counted.missed
    return missed
