"""Cancels many executions at once: what makes way for the next occurrence, and what is left of jobs that go."""

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from core.version import USER_AGENT
from runs import counters
from runs.attempts.contract import IN_FLIGHT_CANCELED
from runs.attempts.reaping import cancel_running
from runs.live_tail.publish import tell_on_commit
from runs.querysets import ExecutionQuerySet
from runs.queue import abort
from runs.states import ExecutionStatus

#: What an execution says that was canceled before its request was sent, or while.
NEVER_STARTED = "Canceled: the next occurrence was due."
IN_FLIGHT = "Canceled in flight, since the next occurrence was due; the request may have arrived."
_LOCK = """
    SELECT id, status FROM runs_execution
     WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
_LIVE = "SELECT id FROM runs_execution WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL"
_CANCEL_IDLE = """
    UPDATE runs_execution
       SET status = 'canceled', finished_at = greatest(clock_timestamp(), created_at), next_attempt_at = NULL,
           queued = false, error = %s
     WHERE id = ANY(%s::uuid[])
 RETURNING workspace_id::text, id::text
"""


@dataclass(frozen=True, slots=True)
class MadeWay:
    """`aborted` were in flight: their workers are still to be told. `busy` are somebody else's just now."""

    aborted: tuple[uuid.UUID, ...] = ()
    busy: frozenset[uuid.UUID] = frozenset()


@transaction.atomic
def cancel_live(
    rows: ExecutionQuerySet,
    *,
    error: str,
    in_flight: str = IN_FLIGHT_CANCELED,
    now: datetime.datetime,
    waits: bool = False,
    limit: int | None = None,
) -> int:
    """Cancel those of these executions that have not ended, at most `limit`. Returns how many there were.

    Requests in flight are aborted; they may have arrived, as the error `in_flight` says. Without `waits`, what somebody
    else holds is left to him.
    """
    live = rows.filter(finished_at__isnull=True).select_for_update(no_key=True, skip_locked=not waits).order_by("pk")
    found = list(live.values_list("pk", "status", "workspace_id")[:limit])
    running = [key for key, status, _ in found if status == ExecutionStatus.RUNNING]
    idle = {key: workspace_id for key, status, workspace_id in found if status != ExecutionStatus.RUNNING}
    canceled = rows.model._default_manager.filter(pk__in=idle).update(
        status=ExecutionStatus.CANCELED, finished_at=now, next_attempt_at=None, queued=False, error=error
    )
    tell_on_commit((str(workspace_id), str(key)) for key, workspace_id in idle.items())
    with connection.cursor() as cursor:
        counters.add(cursor, counters.of_canceled(canceled))
    if running:
        cancel_running(running, error=in_flight, user_agent=USER_AGENT)
        transaction.on_commit(lambda: abort(running))
    return len(found)


def make_way(cursor: Any, execution_ids: Collection[uuid.UUID]) -> MadeWay:
    """Cancel live executions in the caller's transaction, which holds their job-environments.

    A worker that records one of them waits for that lock while it holds the execution, so this must not wait for it:
    such executions are left and told as `busy`.
    """
    wanted = [str(key) for key in execution_ids]
    cursor.execute(_LOCK, [wanted])
    locked: dict[uuid.UUID, str] = dict(cursor.fetchall())
    cursor.execute(_LIVE, [wanted])
    busy = frozenset(row[0] for row in cursor.fetchall()) - locked.keys()
    running = [key for key, status in locked.items() if status == ExecutionStatus.RUNNING]
    idle = [str(key) for key in locked if key not in set(running)]
    if idle:
        cursor.execute(_CANCEL_IDLE, [NEVER_STARTED, idle])
        tell_on_commit(cursor.fetchall())
        counters.add(cursor, counters.of_canceled(len(idle)))
    if running:
        cancel_running(running, error=IN_FLIGHT, user_agent=USER_AGENT)
    return MadeWay(tuple(running), busy)
