"""Live executions at this moment: running, due and waiting for a worker, or waiting for their time."""

import itertools
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection

from runs.states import LIVE, ExecutionStatus

#: Only the first of the live executions to be due are read, so that the cost is the same with any backlog.
MAX_READ = 10_000
_MAX_IDS = 8
# Running executions have been due the longest, so they come first. Those of jobs with a limit wait on purpose.
_LIVE = """
    WITH live AS MATERIALIZED (
        SELECT id, workspace_id, status, next_attempt_at, started_at, concurrency FROM runs_execution
         WHERE finished_at IS NULL ORDER BY next_attempt_at LIMIT %(max_read)s
    ), visible AS (
        SELECT *, status = 'pending' AND next_attempt_at <= clock_timestamp() AS is_due FROM live
         WHERE %(workspaces)s::uuid[] IS NULL OR workspace_id = ANY(%(workspaces)s::uuid[])
    )
    SELECT status, count(*), count(*) FILTER (WHERE is_due),
           coalesce(extract(epoch FROM clock_timestamp() - min(next_attempt_at)
                                       FILTER (WHERE is_due AND concurrency IS NULL)), 0)::float8,
           (array_agg(id ORDER BY started_at, next_attempt_at, id))[1:%(max_ids)s],
           (SELECT count(*) = %(max_read)s FROM live)
      FROM visible GROUP BY status
"""


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Live executions by status, how many of them are `due` and not claimed, and for how long the first of these.

    `running_ids` and `waiting_ids` are some of them, the longest running and the soonest due first. `is_cut`: there may
    be more than were read.
    """

    counts: dict[str, int]
    due: int
    lag_seconds: float
    running_ids: tuple[uuid.UUID, ...]
    waiting_ids: tuple[uuid.UUID, ...]
    is_cut: bool


def count_live(workspace_ids: Collection[uuid.UUID] | None) -> LiveCounts:
    """Count the live executions of these workspaces. None: of all."""
    visible = None if workspace_ids is None else list(workspace_ids)
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, {"workspaces": visible, "max_read": MAX_READ, "max_ids": _MAX_IDS})
        by_status: dict[str, Any] = {status: values for status, *values in cursor.fetchall()}
    ids = {status: tuple(values[3]) for status, values in by_status.items()}
    running = ids.pop(ExecutionStatus.RUNNING, ())
    return LiveCounts(
        counts={status.value: by_status[status][0] if status in by_status else 0 for status in LIVE},
        due=sum(values[1] for values in by_status.values()),
        lag_seconds=max((values[2] for values in by_status.values()), default=0.0),
        running_ids=running,
        waiting_ids=tuple(itertools.chain(*ids.values()))[:_MAX_IDS],
        is_cut=any(values[4] for values in by_status.values()),
    )
