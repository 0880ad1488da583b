"""Writes finished attempts: fenced transitions of their executions, the runs by COPY, the streaks of their jobs.

Works on any psycopg2 cursor inside a transaction: the workers' own connections, or Django's (for the reaper).
"""

import datetime
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jobs.definition.contract import Overlap
from runs import counters
from runs.attempts.contract import (
    IN_FLIGHT_CANCELED,
    UNSENT_CANCELED,
    Attempt,
    AttemptKey,
    Ending,
    FinishedAttempt,
    Received,
)
from runs.attempts.counting import of_attempts
from runs.attempts.fence import IS_HELD
from runs.attempts.retry import Canceled, GiveUp, PollIn, RetryIn, StepCanceled, StepDone, Succeeded
from runs.attempts.steps import move_steps, write_results
from runs.overlap import lock_environments, release_queued
from runs.postgres_text import array, as_json, as_text, clean, escaped, escaped_json, text_array
from runs.states import ExecutionStatus, RunStatus

_RUN_COLUMNS = (
    "id", "execution_id", "workspace_id", "job_id", "environment_id", "job_version_id", "trigger", "number", "step",
    "status", "failure_reason", "error", "started_at", "finished_at", "duration_ms", "queue_ms", "dns_ms", "connect_ms",
    "tls_ms", "first_byte_ms", "total_ms", "request_method", "request_url", "request_headers", "request_body",
    "request_body_encoding", "response_status", "response_headers", "response_body", "response_body_encoding",
    "body_truncated", "body_bytes", "http_version", "body_note", "remote_ip", "worker",
)  # fmt: skip
_COPY_RUNS = f"COPY runs_run ({', '.join(_RUN_COLUMNS)}) FROM STDIN"
_MOVE_EXECUTIONS = f"""
    UPDATE runs_execution AS execution
       SET status = moved.status,
           finished_at = CASE WHEN moved.status <> 'pending' THEN moved.finished_at END,
           next_attempt_at = CASE WHEN moved.status = 'pending'
               THEN greatest(clock_timestamp(), moved.finished_at + moved.delay_ms * interval '1 millisecond') END,
           enqueued_at = CASE WHEN moved.status <> 'pending' THEN execution.enqueued_at END,
           failure_reason = moved.failure_reason, error = moved.error,
           lease_owner = NULL, lease_expires_at = NULL
      FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::text[], %s::timestamptz[], %s::bigint[],
                  %s::text[], %s::text[])
           AS moved (id, lease_owner, attempts, status, finished_at, delay_ms, failure_reason, error)
     WHERE execution.id = moved.id
       AND {IS_HELD}
 RETURNING execution.id::text, execution.attempts, execution.overlap,
           CASE WHEN execution.trigger = 'schedule' AND execution.overlap <> 'queue' THEN
               extract(epoch FROM execution.scheduled_for)::float8 + execution.jitter_ms / 1000.0::float8 END
"""  # noqa: S608 - our own text
# Only rows that change are locked, and always in the order of their ids, so that two recorders can't deadlock.
_MOVE_STREAKS = """
    WITH ended AS (
        SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::boolean[])
            AS ended (id, status, failures, broken)
    ), changed AS (
        SELECT row.id FROM jobs_jobenvironment AS row JOIN ended USING (id)
         WHERE row.last_status <> ended.status
            OR row.consecutive_failures
               <> ended.failures + CASE WHEN ended.broken THEN 0 ELSE row.consecutive_failures END
         ORDER BY row.id FOR NO KEY UPDATE OF row
    )
    UPDATE jobs_jobenvironment AS row
       SET last_status = ended.status,
           consecutive_failures = ended.failures + CASE WHEN ended.broken THEN 0 ELSE row.consecutive_failures END
      FROM ended, changed
     WHERE row.id = ended.id AND row.id = changed.id
"""
#: The most that a column of milliseconds holds, 24 days: a lost attempt may be found later than that.
LONGEST_MS = 2**31 - 1
#: The verdicts that end the execution.
_ENDS = (Succeeded, GiveUp, Canceled)
_NULL = "\\N"
_NOTHING_RECEIVED = f"{_NULL}\t{_NULL}\t{_NULL}\tutf-8\tf\t{_NULL}\t\t{_NULL}"
_SUCCEEDED, _FAILED, _CANCELED = RunStatus.SUCCEEDED.value, RunStatus.FAILED.value, RunStatus.CANCELED.value
# The cancel wrote the canceled run; it could not know whether the worker had sent the request.
_MARK_UNSENT = """
    WITH unsent AS (
        SELECT * FROM unnest(%s::uuid[], %s::smallint[], %s::text[], %s::text[], %s::smallint[])
            AS unsent (id, attempts, lease_owner, step, number)
    ), corrected AS (
        UPDATE runs_execution AS execution SET error = %s FROM unsent
         WHERE execution.id = unsent.id
           AND CASE WHEN execution.status = 'canceled'
                    THEN execution.attempts = unsent.attempts AND execution.error = %s END
    )
    UPDATE runs_run AS run SET error = %s FROM unsent
     WHERE run.execution_id = unsent.id AND run.step = unsent.step AND run.number = unsent.number
       AND run.worker = unsent.lease_owner AND run.status = 'canceled' AND run.error = %s
"""


class Moved(NamedTuple):
    """An execution's overlap policy and its planned start, in seconds since the epoch.

    The latter is None for one that no schedule made, or that may have queued.
    """

    overlap: str
    scheduled_start: float | None


def record(cursor: Any, finished: Sequence[FinishedAttempt]) -> set[AttemptKey]:
    """Record attempts in the caller's transaction. Returns those that moved their execution.

    A batch may have several attempts of one execution, at most one of which still holds it. An attempt that has lost
    its execution (its lease expired and it was reaped, or it was canceled) moves nothing and gets no run. But if a
    canceled run says that the request may have arrived, and it was never sent, its error is corrected.
    """
    if not finished:
        return set()
    moved = _moved(cursor, finished)
    held = finished if len(moved) == len(finished) else [item for item in finished if item.attempt.key in moved]
    if held:
        cursor.copy_expert(_COPY_RUNS, io.StringIO("".join(map(_copy_line, held))))
        if steps := [item for item in held if item.step is not None]:
            write_results(cursor, steps)
        queues = _queues_to_release(held, moved)
        if queues:
            lock_environments(cursor, {item.attempt.job_environment_id for item in held})
        _move_streaks(cursor, held)
        if queues:
            release_queued(cursor, queues)
        scheduled = {key: row.scheduled_start for key, row in moved.items() if row.scheduled_start is not None}
        counters.add(cursor, of_attempts(held, scheduled))
    if held is not finished:
        fenced = [item for item in finished if item.attempt.key not in moved]
        _mark_unsent(cursor, [item.attempt for item in fenced if _unsent(item)])
    return set(moved)


def _moved(cursor: Any, finished: Sequence[FinishedAttempt]) -> dict[AttemptKey, Moved]:
    """The attempts that moved their execution: to its end or a retry, or a workflow to what follows its step."""
    steps = [item for item in finished if item.step is not None and not isinstance(item.ending.verdict, Canceled)]
    if not steps:
        return _move_executions(cursor, finished)
    keys = {item.attempt.key for item in steps}
    others = [item for item in finished if item.attempt.key not in keys]
    moved = {key: Moved(*row) for key, row in move_steps(cursor, steps).items()}
    return moved | (_move_executions(cursor, others) if others else {})


def _unsent(item: FinishedAttempt) -> bool:
    verdict = item.ending.verdict
    return isinstance(verdict, Canceled | StepCanceled) and not verdict.sent


def _mark_unsent(cursor: Any, attempts: Sequence[Attempt]) -> None:
    if attempts:
        fences = [
            (attempt.execution_id, attempt.number, attempt.lease_owner, attempt.step, attempt.run_number)
            for attempt in attempts
        ]
        errors = [UNSENT_CANCELED, IN_FLIGHT_CANCELED]
        cursor.execute(_MARK_UNSENT, [*map(array, zip(*fences, strict=True)), *errors, *errors])


def _queues_to_release(held: Iterable[FinishedAttempt], moved: Mapping[AttemptKey, Moved]) -> set[str]:
    """The job-environments where an execution ended that a queued one may have waited for."""
    queued = {key for key, row in moved.items() if row.overlap == Overlap.QUEUE}
    return {
        item.attempt.job_environment_id
        for item in held
        if queued and item.attempt.key in queued and isinstance(item.ending.verdict, _ENDS)
    }


def _move_executions(cursor: Any, finished: Sequence[FinishedAttempt]) -> dict[AttemptKey, Moved]:
    """The attempts that moved their execution."""
    rows = [_transition(item) for item in sorted(finished, key=lambda item: item.attempt.key)]
    *columns, errors = zip(*rows, strict=True)
    cursor.execute(_MOVE_EXECUTIONS, [*map(array, columns), text_array(errors)])
    return {(execution_id, number): Moved(*row) for execution_id, number, *row in cursor.fetchall()}


def _transition(item: FinishedAttempt) -> tuple[Any, ...]:
    attempt, ending = item.attempt, item.ending
    fence = (attempt.execution_id, attempt.lease_owner, attempt.number)
    match ending.verdict:
        case Succeeded():
            return (*fence, ExecutionStatus.SUCCEEDED.value, ending.finished_at, 0, "", "")
        case RetryIn(delay_ms):
            return (*fence, ExecutionStatus.PENDING.value, ending.finished_at, delay_ms, "", "")
        case GiveUp(reason):
            return (*fence, ExecutionStatus.FAILED.value, ending.finished_at, 0, reason.value, clean(ending.error))
        case Canceled():
            return (*fence, ExecutionStatus.CANCELED.value, ending.finished_at, 0, "", clean(ending.error))
        case StepDone() | PollIn() | StepCanceled():
            raise TypeError("runs.attempts.steps moves the attempts of steps.")


def run_status(ending: Ending) -> str:
    """The status of a run with this ending."""
    if isinstance(ending.verdict, Canceled | StepCanceled):
        return _CANCELED
    return _FAILED if ending.failure_reason else _SUCCEEDED


class Streak(NamedTuple):
    """An execution that ended, as far as the streak of its job-environment goes."""

    job_environment_id: str
    finished_at: datetime.datetime
    succeeded: bool


def _move_streaks(cursor: Any, held: Iterable[FinishedAttempt]) -> None:
    """Count the executions that ended. Canceled ones change neither the last status nor the streak."""
    move_streaks(
        cursor,
        [
            Streak(item.attempt.job_environment_id, item.ending.finished_at, isinstance(item.ending.verdict, Succeeded))
            for item in held
            if isinstance(item.ending.verdict, Succeeded | GiveUp)
        ],
    )


def move_streaks(cursor: Any, ended: Iterable[Streak]) -> None:
    """Update each job-environment's last status and its consecutive failures."""
    streaks: dict[str, tuple[str, int, bool]] = {}
    for key, _, succeeded in sorted(ended, key=lambda streak: streak.finished_at):
        _, failures, broken = streaks.get(key, ("", 0, False))
        if succeeded:
            streaks[key] = (ExecutionStatus.SUCCEEDED.value, 0, True)
        else:
            streaks[key] = (ExecutionStatus.FAILED.value, failures + 1, broken)
    if streaks:
        columns = zip(*((key, *streak) for key, streak in sorted(streaks.items())), strict=True)
        cursor.execute(_MOVE_STREAKS, [list(column) for column in columns])


def _copy_line(item: FinishedAttempt) -> str:
    """One row in COPY's text format. Only text from outside needs escaping."""
    attempt, sent, received, remote_ip, queue_ms, timings, ending, worker, _ = item
    run_id, _, execution_id, workspace_id, job_id, environment_id, _, version_id, trigger, number, step, own = attempt
    reason, started_at, finished_at = ending.failure_reason, ending.started_at, ending.finished_at
    body, encoding = as_text(sent.body)
    milliseconds, failure = _numbers((queue_ms, *timings)), reason.value if reason else ""
    return (
        f"{run_id}\t{execution_id}\t{workspace_id}\t{job_id}\t{environment_id}\t{version_id}\t{trigger}\t"
        f"{own or number}\t{step}\t{run_status(ending)}\t{failure}\t{ending.error and escaped(clean(ending.error))}\t"
        f"{started_at.isoformat()}\t{finished_at.isoformat()}\t"
        f"{min(round((finished_at - started_at).total_seconds() * 1000), LONGEST_MS)}\t{milliseconds}\t"
        f"{sent.method}\t{escaped(sent.url)}\t{escaped_json(sent.headers)}\t"
        f"{_NULL if body is None else escaped(body)}\t{encoding}\t"
        f"{_NOTHING_RECEIVED if received is None else _received(received)}\t{remote_ip or _NULL}\t{escaped(worker)}\n"
    )


def _numbers(values: Iterable[int | None]) -> str:
    return "\t".join([_NULL if value is None else str(value) for value in values])


def _received(received: Received) -> str:
    body, encoding = as_text(received.body)
    return (
        f"{received.status_code}\t{escaped_json(as_json(received.headers))}\t"
        f"{_NULL if body is None else escaped(body)}\t{encoding}\t"
        f"{'t' if received.body_truncated else 'f'}\t{received.body_bytes}\t{received.http_version}\t"
        f"{_NULL if received.note is None else escaped(clean(received.note))}"
    )
