"""Ends attempts without their worker, each with a run that says what was sent as far as rows can tell.

The attempt of a dead worker is `failed` with `worker_lost`, and the retry policy decides the rest. An attempt that is
canceled in flight is `canceled`, whether its worker is alive or not. The fence keeps the worker from moving anything
afterwards.
"""

import datetime
import json
import random
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import structlog
from django.db import connection, transaction

from core.failpoints import failpoint
from core.ids import uuid7_text_at
from jobs.definition.contract import JobDefinition
from jobs.definition.reading import UnreadableError, definition_in
from runs.attempts import unreadable
from runs.attempts.contract import Attempt, AttemptKey, Ending, FinishedAttempt, Sent, Timings
from runs.attempts.recording import record
from runs.attempts.requests import Firing, PreparedRequest
from runs.attempts.retry import Canceled, verdict
from runs.attempts.unreadable import UnreadableVersionFound
from runs.failures import FailureReason
from runs.live_tail.publish import publish_on_commit
from runs.postgres_text import array

log = structlog.get_logger(__name__)

BATCH = 500
_ERROR = "The worker stopped renewing its lease; the request may have been sent."
_HELD = """
    SELECT execution.id::text, execution.workspace_id::text, execution.job_id::text, execution.environment_id::text,
           execution.job_environment_id::text, execution.job_version_id::text, execution.trigger, execution.attempts,
           execution.lease_owner, execution.scheduled_for,
           CASE WHEN execution.attempts > 1 THEN execution.next_attempt_at ELSE execution.started_at END, job.slug,
           version.config::text, workspace.redact_allow_headers
      FROM runs_execution AS execution
      JOIN accounts_workspace AS workspace ON workspace.id = execution.workspace_id
      JOIN jobs_job AS job ON job.id = execution.job_id
      JOIN jobs_jobversion AS version ON version.id = execution.job_version_id
"""
# A row claimed before its lease could expire was due before that too: the bound keeps the scan off the fresh backlog.
_EXPIRED = (
    _HELD
    + """
     WHERE execution.finished_at IS NULL AND execution.next_attempt_at <= clock_timestamp()
       AND execution.status = 'running' AND execution.lease_expires_at < clock_timestamp()
       AND NOT (execution.id = ANY(%s::uuid[]))
     ORDER BY execution.id
     LIMIT %s
       FOR NO KEY UPDATE OF execution SKIP LOCKED
"""
)
_RUNNING = (
    _HELD
    + """
     WHERE execution.id = ANY(%s::uuid[]) AND execution.status = 'running'
     ORDER BY execution.id
       FOR NO KEY UPDATE OF execution
"""
)


def seconds_since_database_start() -> float:
    """How long the database has been up. After an outage no lease is reaped before its worker could renew it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())")
        return float(cursor.fetchone()[0])


def require_renewable() -> None:
    """Raise the database's error if no worker could renew a lease now: it is read-only, or a table is locked.

    This takes the locks of a renewal, and those of recording, behind which a worker's renewals wait: at once, or not at
    all. It renews nothing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE runs_execution, runs_run, jobs_jobenvironment IN ROW EXCLUSIVE MODE NOWAIT")
        cursor.execute("UPDATE runs_execution SET lease_expires_at = lease_expires_at WHERE false")


def reap_expired(*, user_agent: str, rng: random.Random, limit: int = BATCH) -> int:
    """End the attempts whose lease has expired, on the database's clock. Returns how many executions moved."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        cursor.execute(_EXPIRED, [array(unreadable.reaping.waiting()), limit])
        lost = [_lost(*held, now=now, rng=rng) for held in _readable(cursor, cursor.fetchall(), user_agent)]
        moved = _record(cursor, lost)
        if moved:
            failpoint("reap.written")
    if moved:
        failpoint("reap.committed")
    for attempt in (item.attempt for item in lost if item.attempt.key in moved):
        log.warning(
            "worker_lost",
            execution_id=attempt.execution_id,
            attempt=attempt.number,
            job_id=attempt.job_id,
            worker=attempt.lease_owner,
        )
    return len(moved)


def _readable(cursor: Any, rows: Iterable[tuple[Any, ...]], user_agent: str) -> "list[Held]":
    """The attempts to end. Those whose version this release can't read are set aside."""
    held, unread = [], []
    for row in rows:
        try:
            held.append(_held(row, user_agent))
        except UnreadableError as error:
            unread.append((row[0], UnreadableVersionFound(row[4], row[5], str(error))))
    if unread:
        unreadable.reaping.put(key for key, _ in unread)
        unreadable.mark(cursor, [version for _, version in unread], doing="reaping")
    return held


def end_canceled(execution_ids: Collection[uuid.UUID], *, user_agent: str, error: str) -> None:
    """running -> canceled, each with a canceled run, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        cursor.execute(_RUNNING, [[str(key) for key in execution_ids]])
        held = [_sent(row, user_agent) for row in cursor.fetchall()]
        ended = [
            _without_response(attempt, sent, Ending(Canceled(), None, error, since, max(now, since)))
            for attempt, sent, since in held
        ]
        _record(cursor, ended)


def _record(cursor: Any, finished: list[FinishedAttempt]) -> set[AttemptKey]:
    """Record attempts, and publish their changes."""
    moved = record(cursor, finished)
    attempts = (item.attempt for item in finished)
    publish_on_commit((attempt.workspace_id, attempt.execution_id) for attempt in attempts if attempt.key in moved)
    return moved


Held = tuple[Attempt, Sent, datetime.datetime, JobDefinition]


def _held(row: tuple[Any, ...], user_agent: str) -> Held:
    """An attempt that a worker holds, with its request, its start, and its definition. Raises UnreadableError."""
    *ids, lease_owner, scheduled_for, started_at, slug, config, allowed = row
    definition = definition_in(json.loads(config), ids[3])
    attempt = Attempt(uuid7_text_at(started_at), lease_owner, *ids)
    firing = Firing(attempt.execution_id, slug, attempt.number, scheduled_for)
    sent = PreparedRequest.of(definition.request, user_agent=user_agent, allowed=allowed).sent(firing.headers)
    return attempt, sent, started_at, definition


def _sent(row: tuple[Any, ...], user_agent: str) -> tuple[Attempt, Sent, datetime.datetime]:
    """The same without the definition. Of a version that can't be read, the request is unknown."""
    try:
        attempt, sent, started_at, _ = _held(row, user_agent)
    except UnreadableError:
        *ids, lease_owner, _, started_at, _, _, _ = row
        return Attempt(uuid7_text_at(started_at), lease_owner, *ids), Sent("", "", "{}", None), started_at
    return attempt, sent, started_at


def _lost(
    attempt: Attempt,
    sent: Sent,
    started_at: datetime.datetime,
    definition: JobDefinition,
    *,
    now: datetime.datetime,
    rng: random.Random,
) -> FinishedAttempt:
    reason = FailureReason.WORKER_LOST
    ending = verdict(definition.retry, attempt=attempt.number, reason=reason, rng=rng)
    return _without_response(attempt, sent, Ending(ending, reason, _ERROR, started_at, max(now, started_at)))


def _without_response(attempt: Attempt, sent: Sent, ending: Ending) -> FinishedAttempt:
    return FinishedAttempt(
        attempt=attempt,
        sent=sent,
        received=None,
        remote_ip=None,
        queue_ms=None,
        timings=Timings(),
        ending=ending,
        worker=attempt.lease_owner,
    )
