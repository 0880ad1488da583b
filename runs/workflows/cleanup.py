"""Cancels workflows: their waits end at once, and the steps of their `finally` run before the end."""

import enum
import uuid
from collections.abc import Collection, Iterable
from typing import Any

from django.db import connection

from jobs.definition.workflow.contract import FINALLY_SECONDS
from runs.live_tail.publish import publish_on_commit
from runs.queue import enqueue_on_commit

#: The error of what is canceled without another reason.
CANCELED = "Canceled."
# What has not begun has nothing to clean up. What has begun to clean up does not begin again.
_WITH_CLEANUP = """
    SELECT execution.id
      FROM runs_execution AS execution JOIN jobs_jobversion AS version ON version.id = execution.job_version_id
     WHERE execution.id = ANY(%s::uuid[]) AND execution.step <> ''
       AND jsonb_array_length(coalesce(version.config #> '{workflow,finally}', '[]')) > 0
       AND NOT coalesce(execution.state ? 'finally', false)
"""
_END_WAITS = """
    UPDATE runs_stepstate
       SET status = 'canceled', error = %s, finished_at = greatest(clock_timestamp(), started_at)
     WHERE execution_id = ANY(%s::uuid[]) AND status = 'waiting'
"""
# A step between two attempts has runs, and no row yet.
_END_RETRIES = """
    INSERT INTO runs_stepstate
           (id, workspace_id, execution_id, step, number, type, status, attempts, started_at, finished_at, wait_kind,
            message, approvers, decisions, failure_reason, error, resolved_by, resolved_how)
    SELECT last.id, execution.workspace_id, execution.id, execution.step, 1, 'http', 'canceled',
           execution.step_attempts, first.started_at, greatest(clock_timestamp(), last.finished_at), '', '', '[]', '[]',
           '', %s, '', ''
      FROM runs_execution AS execution
      JOIN runs_run AS first
        ON first.execution_id = execution.id AND first.step = execution.step AND first.number = 1
      JOIN runs_run AS last
        ON last.execution_id = execution.id AND last.step = execution.step AND last.number = execution.step_attempts
     WHERE execution.id = ANY(%s::uuid[]) AND execution.step_attempts > 0
        ON CONFLICT DO NOTHING
"""
# A canceled call has made its execution pending already. `at` is text as `Execution.state` keeps it.
_BEGIN = """
    UPDATE runs_execution AS execution
       SET status = 'pending', next_attempt_at = clock_timestamp(), enqueued_at = clock_timestamp(),
           wait_kind = '', wait_expires_at = NULL, queued = false,
           overlap = CASE WHEN %(aside)s THEN '' ELSE execution.overlap END,
           state = coalesce(execution.state, '{}') || jsonb_build_object('finally', jsonb_build_object(
               'status', 'canceled', 'failure_reason', '', 'error', %(error)s::text,
               'until', to_char((clock_timestamp() + %(seconds)s * interval '1 second') AT TIME ZONE 'UTC',
                                'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')))
     WHERE id = ANY(%(ids)s::uuid[]) AND status IN ('pending', 'waiting')
 RETURNING workspace_id::text, id
"""


class Cleanup(enum.Enum):
    """What a cancel does about `finally`: nothing, as when rows are removed; runs it; or runs it beside the execution
    that replaces this one, which must not wait for it.
    """

    LEFT_OUT = enum.auto()
    FIRST = enum.auto()
    BESIDE_THE_NEXT = enum.auto()


def with_cleanup(locked: Iterable[Any]) -> set[uuid.UUID]:
    """Those of the locked executions whose `finally` is to run."""
    begun = [row.pk for row in locked if row.step]
    if not begun:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_WITH_CLEANUP, [begun])
        return {row[0] for row in cursor.fetchall()}


def end_waits(execution_ids: Collection[uuid.UUID], *, error: str) -> None:
    """End the waits of canceled executions, also for another attempt: their URLs and buttons do nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(_END_WAITS, [error, list(execution_ids)])
        cursor.execute(_END_RETRIES, [error, list(execution_ids)])


def begin_cleanup(execution_ids: Collection[uuid.UUID], *, error: str, steps_aside: bool) -> None:
    """Let workers run `finally` of canceled executions, which end as canceled afterwards.

    With `steps_aside` they no longer count for their job's overlap policy.
    """
    parameters: dict[str, Any] = {
        "ids": list(execution_ids),
        "error": error,
        "aside": steps_aside,
        "seconds": FINALLY_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, parameters)
        moved = cursor.fetchall()
    enqueue_on_commit([execution_id for _, execution_id in moved])
    publish_on_commit((workspace_id, str(execution_id)) for workspace_id, execution_id in moved)
