"""What lives at this moment: what runs, what is due and waits for a worker, what waits for its time."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection

from runs.states import LIVE, ExecutionStatus

#: Of what lives, the first so many to be due are looked at, so that a look costs the same behind any backlog.
LOOKED_AT = 10_000
_SHOWN = 8
# What runs has been due the longest, so it comes first. Jobs with a limit wait on purpose.
_LIVE = """
    WITH live AS MATERIALIZED (
        SELECT id, workspace_id, status, next_attempt_at, started_at, concurrency FROM runs_execution
         WHERE finished_at IS NULL ORDER BY next_attempt_at LIMIT %(looked_at)s
    ), mine AS (
        SELECT *, status = 'pending' AND next_attempt_at <= clock_timestamp() AS is_due FROM live
         WHERE %(workspaces)s::uuid[] IS NULL OR workspace_id = ANY(%(workspaces)s::uuid[])
    )
    SELECT status, count(*), count(*) FILTER (WHERE is_due),
           coalesce(extract(epoch FROM clock_timestamp() - min(next_attempt_at)
                                       FILTER (WHERE is_due AND concurrency IS NULL)), 0)::float8,
           (array_agg(id ORDER BY started_at, next_attempt_at, id))[1:%(shown)s],
           (SELECT count(*) = %(looked_at)s FROM live)
      FROM mine GROUP BY status
"""


@dataclass(frozen=True, slots=True)
class Present:
    """How many live, by status; how many of them are `due` and not claimed, and for how long the first of them is.

    `running_ids` and `waiting_ids` are some of them, the longest going on and the soonest due first. `is_cut`: there
    are more than were looked at.
    """

    counts: dict[str, int]
    due: int
    lag_seconds: float
    running_ids: tuple[uuid.UUID, ...]
    waiting_ids: tuple[uuid.UUID, ...]
    is_cut: bool


def look(workspace_ids: Collection[uuid.UUID] | None) -> Present:
    """What lives in these workspaces; None: in all."""
    asked = {"workspaces": None if workspace_ids is None else list(workspace_ids)}
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, {**asked, "looked_at": LOOKED_AT, "shown": _SHOWN})
        found: dict[str, Any] = {status: values for status, *values in cursor.fetchall()}
    ids = {status: tuple(values[3]) for status, values in found.items()}
    running = ids.pop(ExecutionStatus.RUNNING, ())
    return Present(
        counts={status.value: found[status][0] if status in found else 0 for status in LIVE},
        due=sum(values[1] for values in found.values()),
        lag_seconds=max((values[2] for values in found.values()), default=0.0),
        running_ids=running,
        waiting_ids=tuple(one for those in ids.values() for one in those)[:_SHOWN],
        is_cut=any(values[4] for values in found.values()),
    )
