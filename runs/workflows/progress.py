"""Moves workflows on, in the transaction of the claim that holds them: to a call, a wait, or their end.

Whatever ends a step or a wait only makes the execution pending. So there is one place that decides what follows, any
worker can be it, and an execution that waits costs nothing.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog

from core import exact_json
from core.failpoints import failpoint
from jobs.definition.contract import Overlap
from jobs.definition.facts import Facts
from jobs.definition.workflow.contract import HttpStep, WorkflowDefinition
from runs import counters
from runs.attempts.recording import Streak, move_streaks
from runs.failures import FailureReason
from runs.overlap import lock_environments, release_queued
from runs.postgres_text import clean, text_array
from runs.states import ExecutionStatus
from runs.workflows.advance import Advance, CallStep, Finish, Move, WaitAt, WorkflowOutcome, WorkflowPosition, advance
from runs.workflows.hiding import without
from runs.workflows.rows import ExecutionFacts, RecordedChange, ending_json, read_facts, write_steps

log = structlog.get_logger(__name__)

# What is not called goes back to the attempt number it had: nothing was sent.
_MOVE = """
    UPDATE runs_execution AS execution
       SET status = moved.status, step = moved.step,
           step_attempts = CASE WHEN execution.step = moved.step THEN execution.step_attempts ELSE 0 END,
           attempts = execution.attempts - CASE WHEN moved.status = 'running' THEN 0 ELSE 1 END,
           wait_kind = moved.wait_kind, wait_expires_at = moved.wait_expires_at,
           finished_at = CASE WHEN moved.status NOT IN ('running', 'waiting')
               THEN greatest(moved.at, execution.created_at) END,
           next_attempt_at = CASE WHEN moved.status = 'running' THEN execution.next_attempt_at END,
           lease_owner = CASE WHEN moved.status = 'running' THEN execution.lease_owner END,
           lease_expires_at = CASE WHEN moved.status = 'running' THEN execution.lease_expires_at END,
           failure_reason = moved.failure_reason, error = moved.error,
           output = coalesce(moved.output::jsonb, execution.output),
           state = CASE WHEN moved.finally = '' THEN execution.state
               ELSE coalesce(execution.state, '{}') || jsonb_build_object('finally', moved.finally::jsonb) END
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::text[],
                  %s::text[], %s::text[], %s::text[])
           AS moved (id, status, step, at, wait_kind, wait_expires_at, failure_reason, output, finally, error)
     WHERE execution.id = moved.id AND execution.status = 'running'
 RETURNING execution.id::text, execution.status, execution.overlap, execution.job_environment_id::text
"""


_FAULT = Advance(
    Finish(
        WorkflowOutcome(
            ExecutionStatus.FAILED, FailureReason.UNKNOWN, "What follows could not be decided: see the worker's log."
        )
    )
)


class HeldExecution(NamedTuple):
    """A workflow's execution that the caller's transaction has claimed, at the database's instant `now`."""

    execution_id: str
    workspace_id: str
    job_environment_id: str
    step: str
    step_attempts: int
    started_at: datetime.datetime
    now: datetime.datetime


@dataclass(frozen=True, slots=True)
class StepCall:
    """The call that an execution makes next. `number` counts the runs of its step, `attempt` those since its last poll.

    `hidden` are the secret values that earlier steps extracted: history must not show them.
    """

    workflow: WorkflowDefinition
    step: HttpStep
    number: int
    attempt: int
    deadline: datetime.datetime
    facts: Facts
    hidden: tuple[str, ...]
    result_bytes: int = 0


def progress(
    cursor: Any, held: Sequence[HeldExecution], workflows: Mapping[str, WorkflowDefinition]
) -> dict[str, StepCall]:
    """Move executions on. Returns the calls of those that have one to make; the others wait or have ended.

    `workflows` are their definitions, by execution.
    """
    known = read_facts(cursor, workflows)
    advances = {
        item.execution_id: _advance(item, workflows[item.execution_id], known.get(item.execution_id)) for item in held
    }
    write_steps(
        cursor,
        [
            RecordedChange(item.workspace_id, item.execution_id, item.now, change)
            for item in held
            for change in advances[item.execution_id].changes
        ],
    )
    _move(cursor, held, advances, known)
    if held:
        failpoint("progress.written")
    return {
        item.execution_id: _call(item, planned, move, workflows[item.execution_id], known[item.execution_id])
        for item in held
        if isinstance(move := (planned := advances[item.execution_id]).move, CallStep)
    }


def _advance(item: HeldExecution, workflow: WorkflowDefinition, read: ExecutionFacts | None) -> Advance:
    """Decide what follows. What can't be decided fails: its claim holds others, which must not wait for it."""
    if read is None:
        return _FAULT
    try:
        return advance(workflow, _position(item, read), read.facts)
    except Exception:
        log.exception("workflow_not_advanced", execution_id=item.execution_id)
        return _FAULT


def _position(item: HeldExecution, read: ExecutionFacts) -> WorkflowPosition:
    return WorkflowPosition(
        states=read.states,
        started_at=item.started_at,
        now=item.now,
        step=item.step,
        step_attempts=item.step_attempts,
        ending=read.ending,
        hide=lambda value: without(value, read.hidden),
    )


def _call(
    item: HeldExecution, planned: Advance, call: CallStep, workflow: WorkflowDefinition, read: ExecutionFacts
) -> StepCall:
    recorded = item.step_attempts if item.step == call.step.id else 0
    return StepCall(
        workflow=workflow,
        step=call.step,
        number=call.earlier_runs + recorded + 1,
        attempt=recorded + 1,
        deadline=call.deadline,
        facts=planned.facts or read.facts,
        hidden=read.hidden,
        result_bytes=read.result_bytes,
    )


def _move(
    cursor: Any,
    held: Sequence[HeldExecution],
    advances: Mapping[str, Advance],
    known: Mapping[str, ExecutionFacts],
) -> None:
    """Write the moves, and settle what the ended ones mean for their job-environments."""
    moving = [item for item in held if _changes(item, advances[item.execution_id], known.get(item.execution_id))]
    if not moving:
        return
    rows = [_row(item, advances[item.execution_id], known.get(item.execution_id)) for item in moving]
    *columns, errors = zip(*rows, strict=True)
    cursor.execute(_MOVE, [*map(list, columns), text_array(errors)])
    moved = cursor.fetchall()
    ended = [item for item in moving if isinstance(advances[item.execution_id].move, Finish)]
    if ended:
        queues = {place for _, status, overlap, place in moved if overlap == Overlap.QUEUE and status != "waiting"}
        settle(cursor, ended, [_outcome(advances[item.execution_id]) for item in ended], queues)


def settle(
    cursor: Any,
    ended: Sequence[HeldExecution],
    outcomes: Sequence[WorkflowOutcome],
    queues: Collection[str],
) -> None:
    """Count ended executions, move the streaks of their job-environments, and start those that waited in `queues`."""
    if queues:
        lock_environments(cursor, {item.job_environment_id for item in ended})
    streaks = [
        Streak(item.job_environment_id, item.now, succeeded=outcome.status is ExecutionStatus.SUCCEEDED)
        for item, outcome in zip(ended, outcomes, strict=True)
        if outcome.status is not ExecutionStatus.CANCELED
    ]
    move_streaks(cursor, streaks)
    if queues:
        release_queued(cursor, queues)
    counters.add(cursor, counters.of_ended((outcome.status, outcome.failure_reason or "") for outcome in outcomes))


def _changes(item: HeldExecution, planned: Advance, read: ExecutionFacts | None) -> bool:
    """Whether the execution's row says something else now. Mostly it is at the step to call already."""
    if isinstance(planned.move, CallStep):
        return planned.move.step.id != item.step or _begins_finally(planned, read)
    return True


def _row(item: HeldExecution, planned: Advance, read: ExecutionFacts | None) -> tuple[Any, ...]:
    """In the order of `_MOVE`'s columns."""
    begins_finally = _begins_finally(planned, read)
    decided = planned.ending.outcome if planned.ending and begins_finally else None
    finally_text = exact_json.compact(ending_json(planned.ending)) if planned.ending and begins_finally else ""
    match planned.move:
        case CallStep(step):
            return (*_of(item, "running", step.id), "", None, "", _json(decided), finally_text, "")
        case WaitAt(step, kind, until):
            return (*_of(item, "waiting", step.id), kind.value, until, "", _json(decided), finally_text, "")
        case Finish(outcome):
            reason = outcome.failure_reason.value if outcome.failure_reason else ""
            head = _of(item, outcome.status.value, item.step)
            return (*head, "", None, reason, _json(outcome), finally_text, clean(outcome.error))


def _begins_finally(planned: Advance, read: ExecutionFacts | None) -> bool:
    return planned.ending is not None and (read is None or read.ending is None)


def _of(item: HeldExecution, status: str, step: str) -> tuple[Any, ...]:
    return item.execution_id, status, step, item.now


def _json(outcome: WorkflowOutcome | None) -> str | None:
    """The output, for an outcome that has one."""
    if outcome is None or outcome.output is None:
        return None
    return clean_json(outcome.output)


def clean_json(value: Any) -> str:
    """JSON as PostgreSQL can store it: without NUL, and without halves of surrogate pairs."""
    return exact_json.compact(value).replace("\\u0000", "\\ufffd").encode(errors="replace").decode()


def _outcome(planned: Advance) -> WorkflowOutcome:
    assert isinstance(planned.move, Finish)
    return planned.move.outcome


__all__ = ["HeldExecution", "Move", "StepCall", "progress", "settle"]
