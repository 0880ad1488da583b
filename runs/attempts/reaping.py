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
from typing import Any, NamedTuple

import structlog
from django.db import connection, transaction

from core.failpoints import failpoint
from core.ids import uuid7_text_at
from jobs.definition.contract import JobDefinition
from jobs.definition.reading import UnreadableError, definition_of, effective_in, workflow_definition_of
from jobs.definition.workflow.contract import HttpStep
from runs.attempts import unreadable
from runs.attempts.contract import Attempt, AttemptKey, Ending, FinishedAttempt, Sent, StepResult, Timings
from runs.attempts.recording import record
from runs.attempts.requests import Firing, PreparedRequest
from runs.attempts.retry import Canceled, GiveUp, RetryIn, StepCanceled, StepDone, Verdict, verdict
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
           greatest(execution.started_at, execution.next_attempt_at), job.slug,
           version.config::text, workspace.redact_allow_headers, execution.step, execution.step_attempts,
           coalesce((SELECT state.attempts FROM runs_stepstate AS state
                      WHERE state.execution_id = execution.id AND state.step = execution.step
                        AND execution.step <> ''), 0),
           execution.started_at, execution.state #>> '{finally,until}'
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
        lost = [_lost(held, now=now, rng=rng) for held in _readable(cursor, cursor.fetchall(), user_agent)]
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


def _readable(cursor: Any, rows: Iterable[tuple[Any, ...]], user_agent: str) -> list["Held"]:
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


def end_canceled(
    execution_ids: Collection[uuid.UUID],
    *,
    user_agent: str,
    error: str,
    go_on: Collection[uuid.UUID] = (),
) -> None:
    """running -> canceled, each with a canceled run, in the caller's transaction.

    Of the workflows in `go_on` only the step is canceled: they become pending, for their `finally`.
    """
    continued = {str(key) for key in go_on}
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        cursor.execute(_RUNNING, [[str(key) for key in execution_ids]])
        ended = []
        for held in (_sent(row, user_agent) for row in cursor.fetchall()):
            goes_on = held.step is not None and held.attempt.execution_id in continued
            outcome: Verdict = StepCanceled() if goes_on else Canceled()
            since = held.started_at
            ended.append(_without_response(held, Ending(outcome, None, error, since, max(now, since))))
        _record(cursor, ended)


def _record(cursor: Any, finished: list[FinishedAttempt]) -> set[AttemptKey]:
    """Record attempts, and publish their changes."""
    moved = record(cursor, finished)
    attempts = (item.attempt for item in finished)
    publish_on_commit((attempt.workspace_id, attempt.execution_id) for attempt in attempts if attempt.key in moved)
    return moved


class Held(NamedTuple):
    """An attempt that a worker holds, with what it called, and when it started. `retries`: as the retry policy counts.

    Without a `definition` this release can't read it, and the request is unknown.
    """

    attempt: Attempt
    sent: Sent
    started_at: datetime.datetime
    definition: JobDefinition | None
    step: StepResult | None
    retries: int
    #: Until when a workflow may call this step again.
    deadline: datetime.datetime | None = None


def _held(row: tuple[Any, ...], user_agent: str) -> Held:
    """Raises UnreadableError."""
    *columns, step, step_attempts, counted, began_at, cleanup_until = row
    *ids, lease_owner, scheduled_for, started_at, slug, config, allowed = columns
    effective = effective_in(json.loads(config), ids[3])
    attempt = Attempt(uuid7_text_at(started_at), lease_owner, *ids)
    result, retries, deadline = None, attempt.number, None
    if effective.get("kind") == "workflow":
        definition, result, seconds = _step_of(effective, step, counted)
        deadline = began_at + datetime.timedelta(seconds=seconds)
        deadline = datetime.datetime.fromisoformat(cleanup_until) if cleanup_until else deadline
        retries = step_attempts + 1
        attempt = attempt._replace(step=step, step_number=counted + retries)
    else:
        definition = definition_of(effective)
    firing = Firing(attempt.execution_id, slug, attempt.run_number, scheduled_for, attempt.step)
    sent = PreparedRequest.of(definition.request, user_agent=user_agent, allowed=allowed).sent(firing.headers)
    return Held(attempt, sent, started_at, definition, result, retries, deadline)


def _step_of(config: dict[str, Any], step: str, counted: int) -> tuple[JobDefinition, StepResult, int]:
    """The call of a workflow's step, where the workflow is after it, and its timeout in seconds.

    Raises UnreadableError.
    """
    workflow = workflow_definition_of(config)
    called = workflow.by_id.get(step)
    if not isinstance(called, HttpStep):
        raise UnreadableError(f"its workflow has no http step {step}.")
    return called.call, StepResult(workflow.following(called), counted), workflow.timeout_seconds


def _sent(row: tuple[Any, ...], user_agent: str) -> Held:
    """The same, whether its version can be read or not."""
    try:
        return _held(row, user_agent)
    except UnreadableError:
        *ids, lease_owner, _, started_at, _, _, _, step, step_attempts, counted, _, _ = row
        attempt = Attempt(uuid7_text_at(started_at), lease_owner, *ids)
        if step:
            attempt = attempt._replace(step=step, step_number=counted + step_attempts + 1)
        return Held(attempt, Sent("", "", "{}", None), started_at, None, None, attempt.number)


def _lost(held: Held, *, now: datetime.datetime, rng: random.Random) -> FinishedAttempt:
    reason, started_at = FailureReason.WORKER_LOST, held.started_at
    assert held.definition is not None
    outcome = verdict(held.definition.retry, attempt=held.retries, reason=reason, rng=rng)
    if held.step is not None and isinstance(outcome, GiveUp):
        outcome = StepDone(reason)
    if held.deadline is not None and isinstance(outcome, RetryIn):
        left_ms = round((held.deadline - now).total_seconds() * 1000)
        outcome = RetryIn(max(0, min(outcome.delay_ms, left_ms)))
    return _without_response(held, Ending(outcome, reason, _ERROR, started_at, max(now, started_at)))


def _without_response(held: Held, ending: Ending) -> FinishedAttempt:
    return FinishedAttempt(
        attempt=held.attempt,
        sent=held.sent,
        received=None,
        remote_ip=None,
        queue_ms=None,
        timings=Timings(),
        ending=ending,
        worker=held.attempt.lease_owner,
        step=held.step,
    )
