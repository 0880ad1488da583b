"""Claimed executions whose version this worker can't read: they go back to pending at once, and wait.

Another worker, of a newer release or with newer time zones, may read them; this one reads them anew each time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.definition.overrides import PerEnvironment
from runs.attempts import unreadable
from runs.postgres_text import array, text_array
from workers.worker.claimed import ClaimedRow

#: So long an execution stays pending before it is claimed again.
WAIT_SECONDS = 10
_LEAVE = """
    UPDATE runs_execution AS execution
       SET status = 'pending', attempts = attempts - 1, enqueued_at = NULL, lease_owner = NULL, lease_expires_at = NULL,
           started_at = CASE WHEN attempts > 1 THEN started_at END, error = unread.error,
           next_attempt_at = clock_timestamp() + %s * interval '1 second'
      FROM unnest(%s::uuid[], %s::text[]) AS unread (id, error)
     WHERE execution.id = unread.id AND execution.status = 'running' AND execution.lease_owner = %s
"""


class Unread(str):
    """In place of a version: why it can't be read."""

    __slots__ = ()


def leave_unread(
    cursor: Any, rows: Sequence[ClaimedRow], versions: Mapping[str, PerEnvironment[Any]], *, owner: str
) -> Sequence[ClaimedRow]:
    """Give back what was just claimed and can't be read, in the claim's transaction. Returns the other rows."""
    if not any(isinstance(made, Unread) for key in {row.job_version_id for row in rows} for made in versions[key].all):
        return rows
    unread = [(row, error) for row in rows if isinstance(error := _of(versions, row), Unread)]
    errors = [f"It waits: its version of the job can't be read by the workers' release: {error}" for _, error in unread]
    cursor.execute(_LEAVE, [WAIT_SECONDS, array([row.execution_id for row, _ in unread]), text_array(errors), owner])
    if unread:
        found = [
            unreadable.UnreadableVersionFound(row.job_environment_id, row.job_version_id, str(error))
            for row, error in unread
        ]
        unreadable.mark(cursor, found, doing="delivery")
    return [row for row in rows if not isinstance(_of(versions, row), Unread)]


def _of(versions: Mapping[str, PerEnvironment[Any]], row: ClaimedRow) -> Any:
    return versions[row.job_version_id].of(row.environment_id)
