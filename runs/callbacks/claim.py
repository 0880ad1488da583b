"""Claims due callbacks for a worker, with all that their requests need.

A lease names its owner and the attempt's number. A callback whose lease has expired is due again: its worker was lost,
and so is the outcome of that attempt.
"""

import datetime
import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from core import exact_json
from runs import counters
from runs.history.representation import represent_finished_execution
from runs.history.rows import executions_for_callbacks
from runs.models import Execution
from runs.restore_guard import IS_COPY
from runs.states import MAX_DEPTH, CallbackStatus

LOST = "The worker was lost; the request may have arrived."
TOO_DEEP = f"Not sent: callbacks and webhooks call each other more than {MAX_DEPTH} deep."

# Purged jobs are looked up once per query, and nearly always there are none: see `HistoryQuerySet.in_sight`.
_CLAIM = f"""
    UPDATE runs_callback AS callback
       SET attempts = due.attempts + 1, lease_owner = %(owner)s,
           lease_expires_at = clock_timestamp() + %(lease)s * interval '1 second',
           next_attempt_at = clock_timestamp() + %(lease)s * interval '1 second'
      FROM (
          SELECT id, attempts, lease_owner, lease_expires_at FROM runs_callback
           WHERE status = 'pending' AND next_attempt_at <= clock_timestamp() AND NOT {IS_COPY}
             AND workspace_id <> ALL(%(full)s::uuid[])
             AND job_id <> ALL(ARRAY(SELECT id FROM jobs_job WHERE purged_at IS NOT NULL))
           ORDER BY next_attempt_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
      ) AS due
     WHERE callback.id = due.id
 RETURNING callback.id::text, callback.workspace_id::text, callback.execution_id, callback.event, callback.sequence,
           callback.attempts, callback.attempt_limit, due.lease_owner, due.lease_expires_at, clock_timestamp()
"""  # noqa: S608 - our own text
# The outcome of a lost attempt stays unknown. It counts as an attempt: a receiver may kill workers.
_KEEP_LOST = """
    INSERT INTO runs_callbackattempt (callback_id, number, started_at, error, worker)
    SELECT lost.id, lost.number, lost.expired_at - %s * interval '1 second', %s, lost.worker
      FROM unnest(%s::uuid[], %s::smallint[], %s::timestamptz[], %s::text[]) AS lost (id, number, expired_at, worker)
        ON CONFLICT DO NOTHING
"""
_GIVE_UP = """
    UPDATE runs_callback
       SET status = 'failed', attempts = attempts - 1, finished_at = clock_timestamp(), next_attempt_at = NULL,
           lease_owner = NULL, lease_expires_at = NULL, last_status_code = NULL, last_error = %s
     WHERE id = ANY(%s::uuid[]) AND status = 'pending' AND lease_owner = %s
"""
# The environment's own callback, even a null one, hides that of the job.
_TARGETS = """
    SELECT execution.id, execution.depth, coalesce(execution.callback_url, definition.callback ->> 'url'),
           coalesce((definition.callback ->> 'include_body')::boolean, FALSE)
      FROM runs_execution AS execution
      JOIN jobs_jobversion AS version ON version.id = execution.job_version_id
     CROSS JOIN LATERAL (
         SELECT coalesce(version.config #> ARRAY['overrides', execution.environment_id::text, 'callback'],
                         version.config -> 'callback') AS callback
     ) AS definition
     WHERE execution.id = ANY(%s)
"""


class ClaimedCallback(NamedTuple):
    """An attempt that this worker holds: the call to make. Ids are text; `claimed_at` is the database's clock."""

    callback_id: str
    workspace_id: str
    execution_id: uuid.UUID
    event: str
    sequence: int
    number: int
    attempt_limit: int
    claimed_at: datetime.datetime
    url: str
    depth: int
    body: bytes


class _Due(NamedTuple):
    callback_id: str
    workspace_id: str
    execution_id: uuid.UUID
    event: str
    sequence: int
    number: int
    attempt_limit: int
    lost_owner: str | None
    lost_at: datetime.datetime | None
    claimed_at: datetime.datetime


class CallbackClaim(NamedTuple):
    """What a claim took: callbacks to send, and how many it gave up instead."""

    callbacks: list[ClaimedCallback]
    given_up: int


def claim_callbacks(
    cursor: Any, *, owner: str, lease_seconds: float, limit: int, full: Collection[str] = ()
) -> CallbackClaim:
    """Claim due callbacks in the caller's transaction of Django's connection, but none of the workspaces in `full`.

    Those that can't be sent are `failed` at once: too deep, or lost in their last attempt.
    """
    parameters = {"owner": owner, "lease": lease_seconds, "limit": limit, "full": list(full)}
    cursor.execute(_CLAIM, parameters)
    due = list(map(_Due._make, cursor.fetchall()))
    if not due:
        return CallbackClaim([], 0)
    lost = [row for row in due if row.lost_owner is not None]
    if lost:
        _keep_lost(cursor, lost, lease_seconds)
    last = [row.callback_id for row in due if row.number > row.attempt_limit]
    claimed = _with_requests(cursor, [row for row in due if row.number <= row.attempt_limit])
    deep = [item.callback_id for item in claimed if item.depth > MAX_DEPTH]
    for ids, error in ((last, LOST), (deep, TOO_DEEP)):
        if ids:
            cursor.execute(_GIVE_UP, [error, ids, owner])
            counters.add(cursor, counters.of_callbacks([CallbackStatus.FAILED] * len(ids)))
    return CallbackClaim([item for item in claimed if item.depth <= MAX_DEPTH], len(last) + len(deep))


def _keep_lost(cursor: Any, lost: Sequence[_Due], lease_seconds: float) -> None:
    rows = [(row.callback_id, row.number - 1, row.lost_at, row.lost_owner) for row in lost]
    cursor.execute(_KEEP_LOST, [lease_seconds, LOST, *map(list, zip(*rows, strict=True))])


def _with_requests(cursor: Any, due: Sequence[_Due]) -> list[ClaimedCallback]:
    ids = [row.execution_id for row in due]
    cursor.execute(_TARGETS, [ids])
    targets = {execution_id: target for execution_id, *target in cursor.fetchall()}
    executions = {row.pk: row for row in executions_for_callbacks(Execution.objects.filter(pk__in=ids))}
    return list(_claimed(due, targets, executions))


def _claimed(due: Iterable[_Due], targets: dict[uuid.UUID, Any], executions: dict[uuid.UUID, Any]) -> Any:
    for row in due:
        if row.execution_id not in targets or row.execution_id not in executions:
            continue  # it is being removed, and this callback with it
        depth, url, include_body = targets[row.execution_id]
        body = callback_body(row.event, row.sequence, executions[row.execution_id], include_body=include_body)
        yield ClaimedCallback(*row[:7], claimed_at=row.claimed_at, url=url or "", depth=depth + 1, body=body)


def callback_body(event: str, sequence: int, execution: Any, *, include_body: bool) -> bytes:
    """Return the body that reports an execution, read with `executions_for_callbacks`: the same for all attempts."""
    job = execution.job
    content = {
        "event": event,
        "sequence": sequence,
        "execution": represent_finished_execution(execution, include_body=include_body),
        "job": {"id": str(job.pk), "slug": job.slug, "name": job.name},
    }
    return exact_json.compact(content).encode()
