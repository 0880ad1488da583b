"""Returns claimed executions whose job version this worker can't read to pending, to wait for another worker.

A worker of a newer release, or with newer time zones, may read them. This one tries again each time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.definition.overrides import PerEnvironment
from runs.attempts import unreadable
from runs.postgres_text import array, text_array
from workers.worker.claimed import ClaimedRow

#: How long an execution stays pending before it is claimed again.
WAIT_SECONDS = 10
_RETURN = """
    UPDATE runs_execution AS execution
       SET status = 'pending', attempts = attempts - 1, enqueued_at = NULL, lease_owner = NULL, lease_expires_at = NULL,
           started_at = CASE WHEN attempts > 1 THEN started_at END, error = unread.error,
           next_attempt_at = clock_timestamp() + %s * interval '1 second'
      FROM unnest(%s::uuid[], %s::text[]) AS unread (id, error)
     WHERE execution.id = unread.id AND execution.status = 'running' AND execution.lease_owner = %s
"""


class UnreadableReason(str):
    """In place of a version: why it can't be read."""

    __slots__ = ()


def return_unreadable(
    cursor: Any, rows: Sequence[ClaimedRow], versions: Mapping[str, PerEnvironment[Any]], *, owner: str
) -> Sequence[ClaimedRow]:
    """Return the unreadable executions of a claim to pending, in its transaction. Returns the other rows."""
    version_ids = {row.job_version_id for row in rows}
    if not any(isinstance(version, UnreadableReason) for key in version_ids for version in versions[key].all):
        return rows
    failed = [(row, error) for row in rows if isinstance(error := _of(versions, row), UnreadableReason)]
    errors = [f"It waits: its version of the job can't be read by the workers' release: {error}" for _, error in failed]
    cursor.execute(_RETURN, [WAIT_SECONDS, array([row.execution_id for row, _ in failed]), text_array(errors), owner])
    if failed:
        marks = [
            unreadable.UnreadableVersionFound(row.job_environment_id, row.job_version_id, str(error))
            for row, error in failed
        ]
        unreadable.mark(cursor, marks, doing="delivery")
    return [row for row in rows if not isinstance(_of(versions, row), UnreadableReason)]


def _of(versions: Mapping[str, PerEnvironment[Any]], row: ClaimedRow) -> Any:
    return versions[row.job_version_id].of(row.environment_id)
