"""Moves workflows on after a call of one of their steps, and keeps what the step brought.

What follows is decided when the execution is claimed next: here it only becomes pending, or waits for its next poll.
"""

from collections.abc import Sequence
from typing import Any

from jobs.definition.workflow.contract import StepType
from runs.attempts.contract import AttemptKey, FinishedAttempt
from runs.attempts.fence import IS_HELD
from runs.attempts.retry import PollIn, RetryIn, StepCanceled, StepDone, Succeeded
from runs.postgres_text import array, clean, sparse_array, text_array
from runs.states import StepStatus

# Its worker claims an execution that may go on at once by itself; if it dies first, the clock sends the id again.
_MOVE = f"""
    UPDATE runs_execution AS execution
       SET status = moved.status, step = moved.step, step_attempts = moved.step_attempts,
           wait_kind = CASE WHEN moved.status = 'waiting' THEN 'poll' ELSE '' END,
           wait_expires_at = CASE WHEN moved.status = 'waiting' THEN moved.due_at END,
           next_attempt_at = CASE WHEN moved.status = 'pending' THEN greatest(clock_timestamp(), moved.due_at) END,
           enqueued_at = CASE WHEN moved.due_at <= clock_timestamp() THEN clock_timestamp() END,
           finished_at = CASE WHEN moved.status = 'succeeded' THEN moved.finished_at END,
           output = coalesce(moved.output::jsonb, execution.output),
           failure_reason = '', error = '', lease_owner = NULL, lease_expires_at = NULL
      FROM (SELECT ended.*, ended.finished_at + ended.delay_ms * interval '1 millisecond' AS due_at
              FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::smallint[],
                          %s::timestamptz[], %s::bigint[], %s::text[])
                   AS ended (id, lease_owner, attempts, status, step, step_attempts, finished_at, delay_ms, output)
           ) AS moved
     WHERE execution.id = moved.id
       AND {IS_HELD}
 RETURNING execution.id::text, execution.attempts, execution.overlap,
           CASE WHEN execution.trigger = 'schedule' AND execution.overlap <> 'queue' THEN
               extract(epoch FROM execution.scheduled_for)::float8 + execution.jitter_ms / 1000.0::float8 END
"""  # noqa: S608 - our own text
# A step that polls has its row from its first call without what it waits for.
_RESULTS = """
    INSERT INTO runs_stepstate AS step
           (id, workspace_id, execution_id, step, number, type, status, attempts, started_at, finished_at, wait_kind,
            wait_expires_at, message, approvers, decisions, output, extracted, private, failure_reason, error,
            resolved_by, resolved_how)
    SELECT new.run_id, new.workspace_id, new.execution_id, new.step, 1, new.type, new.status, new.attempts,
           CASE WHEN new.attempts = 1 THEN new.started_at ELSE coalesce(
               (SELECT min(run.started_at) FROM runs_run AS run
                 WHERE run.execution_id = new.execution_id AND run.step = new.step), new.started_at) END,
           CASE WHEN new.status <> 'waiting' THEN new.finished_at END,
           CASE WHEN new.status = 'waiting' THEN 'poll' ELSE '' END, new.poll_until, '', '[]', '[]',
           new.output::jsonb, new.extracted::jsonb, decode(new.private, 'base64'), new.failure_reason, new.error, '', ''
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::smallint[],
                  %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
                  %s::text[], %s::text[])
           AS new (run_id, workspace_id, execution_id, step, type, status, attempts, started_at, finished_at,
                   poll_until, failure_reason, private, output, extracted, error)
        ON CONFLICT (execution_id, step, number) DO UPDATE
       SET status = excluded.status, attempts = excluded.attempts, finished_at = excluded.finished_at,
           output = excluded.output, extracted = excluded.extracted, private = excluded.private,
           failure_reason = excluded.failure_reason, error = excluded.error
     WHERE step.status = 'waiting'
"""


def move_steps(cursor: Any, finished: Sequence[FinishedAttempt]) -> dict[AttemptKey, tuple[Any, ...]]:
    """Move executions after calls of their steps. Returns those that moved, with overlap policy and planned start."""
    rows = [_transition(item) for item in sorted(finished, key=lambda item: item.attempt.key)]
    *columns, outputs = zip(*rows, strict=True)
    cursor.execute(_MOVE, [*map(array, columns), list(outputs)])
    return {(execution_id, number): tuple(row) for execution_id, number, *row in cursor.fetchall()}


def _transition(item: FinishedAttempt) -> tuple[Any, ...]:
    attempt, ending, result = item.attempt, item.ending, item.step
    assert result is not None
    fence = (attempt.execution_id, attempt.lease_owner, attempt.number)
    match ending.verdict:
        case RetryIn(delay_ms):
            return (*fence, "pending", attempt.step, _retried(item), ending.finished_at, delay_ms, None)
        case PollIn(delay_ms):
            return (*fence, "waiting", attempt.step, 0, ending.finished_at, delay_ms, None)
        case StepDone() | StepCanceled():
            return (*fence, "pending", result.next_step, 0, ending.finished_at, 0, None)
        case Succeeded():
            return (*fence, "succeeded", attempt.step, 0, ending.finished_at, 0, result.workflow_output)
    raise TypeError(f"{ending.verdict!r} is no verdict on a step.")


def _retried(item: FinishedAttempt) -> int:
    """The runs of the step that its row does not count: all since its last poll."""
    assert item.step is not None
    return item.attempt.step_number - item.step.counted_runs


def write_results(cursor: Any, finished: Sequence[FinishedAttempt]) -> None:
    """Keep what ended steps brought. A retry has brought nothing yet."""
    rows = [_result(item) for item in finished if not isinstance(item.ending.verdict, RetryIn)]
    if not rows:
        return
    *columns, outputs, extracted, errors = zip(*rows, strict=True)
    cursor.execute(_RESULTS, [*map(sparse_array, columns), list(outputs), list(extracted), text_array(errors)])


def _result(item: FinishedAttempt) -> tuple[Any, ...]:
    attempt, ending, result = item.attempt, item.ending, item.step
    assert result is not None
    match ending.verdict:
        case PollIn():
            status, reason = StepStatus.WAITING, ""
        case Succeeded():
            status, reason = StepStatus.SUCCEEDED, ""
        case StepDone(failure_reason):
            status = StepStatus.FAILED if failure_reason else StepStatus.SUCCEEDED
            reason = failure_reason.value if failure_reason else ""
        case _:
            status, reason = StepStatus.CANCELED, ""
    return (
        attempt.run_id, attempt.workspace_id, attempt.execution_id, attempt.step, StepType.HTTP.value, status.value,
        attempt.step_number, ending.started_at, ending.finished_at, result.poll_until, reason, result.private,
        result.output, result.extracted, clean(ending.error),
    )  # fmt: skip
