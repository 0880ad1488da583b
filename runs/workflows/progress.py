"""Moves workflows on, in the transaction of the claim that holds them: to a call, a wait, or their end.

Whatever ends a step or a wait only makes the execution pending. So there is one place that decides what follows, any
worker can be it, and an execution that waits costs nothing.
"""

import datetime
from collections.abc import Collection, Sequence
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
from runs.postgres_text import clean, storable_json, text_array
from runs.states import TERMINAL, ExecutionStatus
from runs.workflows.advance import Advance, CallStep, Finish, WaitAt, WorkflowOutcome, WorkflowPosition, advance
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
           finished_at = CASE WHEN moved.status NOT IN ('running', 'pending', 'waiting')
               THEN greatest(moved.at, execution.created_at) END,
           next_attempt_at = CASE WHEN moved.status IN ('running', 'pending') THEN execution.next_attempt_at END,
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
 RETURNING execution.status, execution.overlap, execution.job_environment_id::text
"""
_FAULT = Advance(
    Finish(
        WorkflowOutcome(
            ExecutionStatus.FAILED, FailureReason.UNKNOWN, "What follows could not be decided: see the worker's log."
        )
    )
)


class ClaimedWorkflow(NamedTuple):
    """A workflow's execution that the caller's transaction has claimed, at the database's instant `now`."""

    execution_id: str
    workspace_id: str
    job_environment_id: str
    step: str
    step_attempts: int
    started_at: datetime.datetime
    now: datetime.datetime
    definition: WorkflowDefinition


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


class Progress(NamedTuple):
    """What claimed workflows do: the `calls` to make, by execution. The others wait or have ended, or are `postponed`:
    pending again, for a claim that may end them.
    """

    calls: dict[str, StepCall]
    postponed: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What follows for one execution, given its facts; None if they can't be read."""

    claimed: ClaimedWorkflow
    read: ExecutionFacts | None
    advance: Advance

    @property
    def outcome(self) -> WorkflowOutcome | None:
        """How it ends, if it does."""
        return self.advance.move.outcome if isinstance(self.advance.move, Finish) else None

    @property
    def begins_finally(self) -> bool:
        """Whether its steps end here, and `finally` begins."""
        return self.advance.ending is not None and (self.read is None or self.read.ending is None)

    @property
    def changes_execution(self) -> bool:
        """Whether the execution's row says something else now. Mostly it is at the step to call already."""
        move = self.advance.move
        return not isinstance(move, CallStep) or move.step.id != self.claimed.step or self.begins_finally


def progress(cursor: Any, claimed: Sequence[ClaimedWorkflow], *, may_end: bool = True) -> Progress:
    """Move executions on, in the transaction that claimed them.

    An end changes rows of job-environments, which transactions lock in the order of their ids. One that has locked some
    already must not end any more: it postpones them, with `may_end` False.
    """
    facts = read_facts(cursor, {item.execution_id: item.definition for item in claimed})
    plans = [_plan(item, facts.get(item.execution_id)) for item in claimed]
    postponed = [] if may_end else [plan for plan in plans if plan.outcome is not None]
    decided = plans if may_end else [plan for plan in plans if plan.outcome is None]
    write_steps(
        cursor,
        [
            RecordedChange(plan.claimed.workspace_id, plan.claimed.execution_id, plan.claimed.now, change)
            for plan in decided
            for change in plan.advance.changes
        ],
    )
    rows = [_row(plan) for plan in decided if plan.changes_execution]
    ended_queues = _write(cursor, rows + [_postponed_row(plan.claimed) for plan in postponed])
    _settle(cursor, [plan for plan in decided if plan.outcome is not None], ended_queues)
    failpoint("progress.written")
    calls = {plan.claimed.execution_id: call for plan in decided if (call := _call(plan)) is not None}
    return Progress(calls, frozenset(plan.claimed.execution_id for plan in postponed))


def _plan(item: ClaimedWorkflow, read: ExecutionFacts | None) -> _Plan:
    """Decide what follows. What can't be decided fails: its claim holds others, which must not wait for it."""
    if read is None:
        return _Plan(item, None, _FAULT)
    position = WorkflowPosition(
        states=read.states,
        started_at=item.started_at,
        now=item.now,
        step=item.step,
        step_attempts=item.step_attempts,
        ending=read.ending,
        hide=lambda value: without(value, read.hidden),
    )
    try:
        return _Plan(item, read, advance(item.definition, position, read.facts))
    except Exception:
        log.exception("workflow_not_advanced", execution_id=item.execution_id)
        return _Plan(item, read, _FAULT)


def _call(plan: _Plan) -> StepCall | None:
    item, read, move = plan.claimed, plan.read, plan.advance.move
    if not isinstance(move, CallStep):
        return None
    assert read is not None  # without facts nothing is called
    recorded = item.step_attempts if item.step == move.step.id else 0
    return StepCall(
        workflow=item.definition,
        step=move.step,
        number=move.earlier_runs + recorded + 1,
        attempt=recorded + 1,
        deadline=move.deadline,
        facts=plan.advance.facts or read.facts,
        hidden=read.hidden,
        result_bytes=read.result_bytes,
    )


def _write(cursor: Any, rows: Sequence[tuple[Any, ...]]) -> set[str]:
    """Write the moves. Returns the job-environments where one ended that a queued execution may have waited for."""
    if not rows:
        return set()
    *columns, errors = zip(*rows, strict=True)
    cursor.execute(_MOVE, [*map(list, columns), text_array(errors)])
    return {place for status, overlap, place in cursor.fetchall() if overlap == Overlap.QUEUE and status in TERMINAL}


def _settle(cursor: Any, ended: Sequence[_Plan], queues: Collection[str]) -> None:
    """Count ended executions, move the streaks of their job-environments, and start those that waited in `queues`."""
    if not ended:
        return
    if queues:
        lock_environments(cursor, {plan.claimed.job_environment_id for plan in ended})
    outcomes = [(plan.claimed, plan.outcome) for plan in ended if plan.outcome is not None]
    streaks = [
        Streak(item.job_environment_id, item.now, succeeded=outcome.status is ExecutionStatus.SUCCEEDED)
        for item, outcome in outcomes
        if outcome.status is not ExecutionStatus.CANCELED
    ]
    move_streaks(cursor, streaks)
    if queues:
        release_queued(cursor, queues)
    counters.add(cursor, counters.of_ended((outcome.status, outcome.failure_reason or "") for _, outcome in outcomes))


def _row(plan: _Plan) -> tuple[Any, ...]:
    """In the order of `_MOVE`'s columns."""
    ending = plan.advance.ending if plan.begins_finally else None
    output = _output(ending.outcome) if ending else None
    finally_text = exact_json.compact(ending_json(ending)) if ending else ""
    match plan.advance.move:
        case CallStep(step):
            return (*_head(plan.claimed, "running", step.id), "", None, "", output, finally_text, "")
        case WaitAt(step, kind, until):
            return (*_head(plan.claimed, "waiting", step.id), kind.value, until, "", output, finally_text, "")
        case Finish(outcome):
            reason = outcome.failure_reason.value if outcome.failure_reason else ""
            head = _head(plan.claimed, outcome.status.value, plan.claimed.step)
            return (*head, "", None, reason, _output(outcome), finally_text, clean(outcome.error))


def _postponed_row(item: ClaimedWorkflow) -> tuple[Any, ...]:
    return (*_head(item, "pending", item.step), "", None, "", None, "", "")


def _head(item: ClaimedWorkflow, status: str, step: str) -> tuple[Any, ...]:
    return item.execution_id, status, step, item.now


def _output(outcome: WorkflowOutcome) -> str | None:
    """The output, for an outcome that has one."""
    return None if outcome.output is None else storable_json(outcome.output)


__all__ = ["ClaimedWorkflow", "Progress", "StepCall", "progress"]
