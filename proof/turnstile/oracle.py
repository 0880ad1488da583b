"""Checks the rows after all actors have ended: the rules that hold for any order of their steps."""

import collections
import datetime
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connection

from proof.turnstile.fixture import EVERY
from proof.turnstile.stage import Call, Pair, Stage
from proof.turnstile.trace import Change
from runs import counters
from runs.attempts.contract import UNSENT_CANCELED
from runs.outcome_codes import OUTCOMES
from runs.states import TERMINAL, TRANSITIONS, ExecutionStatus, RunStatus

_USED = "SELECT coalesce(sum(runs_used), 0) FROM accounts_usage"
_SLIPS = """
    SELECT ended.outcome, sum(ended.occurrences)::int
      FROM runs_endedslip AS slip CROSS JOIN LATERAL unnest(slip.outcomes, slip.occurrences)
           AS ended (outcome, occurrences)
     GROUP BY 1
"""
_QUEUED_BEHIND_NONE = """
    SELECT id::text FROM runs_execution AS waiting
     WHERE finished_at IS NULL AND queued AND NOT EXISTS (
         SELECT FROM runs_execution AS live
          WHERE live.job_environment_id = waiting.job_environment_id AND live.finished_at IS NULL AND NOT live.queued)
"""


_EXECUTIONS = """
    SELECT id::text, job_environment_id::text, status, attempts, lease_owner, failure_reason, skip_reason, occurrences,
           CASE WHEN trigger = 'schedule' THEN scheduled_for END
      FROM runs_execution ORDER BY id
"""
_RUNS = """
    SELECT execution_id::text, number, id::text, status, failure_reason, error, response_status
      FROM runs_run ORDER BY execution_id, number
"""
_NEXT = "SELECT coalesce(next_fire_at, 'infinity') FROM jobs_jobenvironment WHERE id = %s"
_COUNTED = ("runs", "executions", "skipped")


class _Execution(NamedTuple):
    key: str
    job_environment_id: str
    status: str
    attempts: int
    owner: str | None
    failure_reason: str
    skip_reason: str
    occurrences: int
    scheduled_for: datetime.datetime | None


class _Run(NamedTuple):
    execution_id: str
    number: int
    run_id: str
    status: str
    failure_reason: str
    error: str
    response_status: int | None


def queued_behind_none(stage: Stage) -> Iterator[str]:
    """Executions queued behind none, before the sweep looks for such."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUED_BEHIND_NONE)
        for (key,) in cursor.fetchall():
            yield f"{stage.label(key)} is queued behind nothing"


def findings(stage: Stage, changes: Sequence[Change]) -> Iterator[str]:
    """Every violation, once no execution is live."""
    yield from _transitions(stage, changes)
    yield from _answers(stage, changes)
    yield from _limits(stage, changes)
    executions = [_Execution(*row) for row in _fetched(_EXECUTIONS)]
    runs = [_Run(*row) for row in _fetched(_RUNS)]
    yield from _exchanges(stage, runs)
    yield from _rows(stage, executions, runs)
    yield from _counters(executions, runs)
    yield from _ledger(stage, executions)


def _transitions(stage: Stage, changes: Sequence[Change]) -> Iterator[str]:
    """Each transition is legal, and a worker moves only attempts that it named."""
    for change in changes:
        before, after = change.before, change.after
        if before is None:
            continue
        call = _call_of(stage, change)
        what = f"{stage.label(change.execution_id)}#{before.attempts} {before.status} -> {after.status}"
        by = f"{what}, by one who {call.verb if call else 'is unknown'}"
        allowed = TRANSITIONS[ExecutionStatus(before.status)]
        if before.status != after.status and ExecutionStatus(after.status) not in allowed:
            yield f"{by}: an illegal transition"
        if before.status == after.status == ExecutionStatus.RUNNING and before[1:3] != after[1:3]:
            yield f"{by}: taken from {before.owner} who runs it"
        if call is None:
            continue
        if call.verb == "reaps" and before.status == "running" and not _expired(change):
            yield f"{by}, though its lease has not expired"
        if call.owner is not None and before.status == ExecutionStatus.RUNNING:
            pair = (change.execution_id, before.attempts)
            if pair not in call.named or before.owner != call.owner:
                named = ", ".join(map(stage.named, sorted(call.named))) or "nothing"
                yield f"{by}, for {call.owner} who named {named}; held by {before.owner}"


def _answers(stage: Stage, changes: Sequence[Change]) -> Iterator[str]:
    """A worker learns exactly the changes that were made."""
    for call in stage.calls:
        if call.answered is None:
            continue
        changes_of_call = [
            change for change in changes if change.before is not None and _call_of(stage, change) is call
        ]
        if call.verb.startswith("claims"):
            done = {(change.execution_id, change.after.attempts) for change in changes_of_call}
        else:
            done = {
                (change.execution_id, change.before.attempts)
                for change in changes_of_call
                if change.before is not None and change.before.status == ExecutionStatus.RUNNING
            }
        if done != call.answered:
            answered, changed = (
                ", ".join(map(stage.named, sorted(pairs))) or "nothing" for pairs in (call.answered, done)
            )
            yield f"{call.owner} {call.verb}: answered {answered}, changed {changed}"


def _limits(stage: Stage, changes: Sequence[Change]) -> Iterator[str]:
    """The limits of running and of live executions hold after each change."""
    running: dict[str, set[str]] = collections.defaultdict(set)
    live: dict[str, set[str]] = collections.defaultdict(set)
    for change in changes:
        key = change.execution_id
        _set_member(running[change.job_id], key, on=change.after.status == ExecutionStatus.RUNNING)
        limit = change.concurrency
        if limit is not None and len(running[change.job_id]) > limit:
            yield f"{', '.join(sorted(map(stage.label, running[change.job_id])))} run at once, of {limit}"
        if change.overlap and change.trigger == "schedule":
            _set_member(
                live[change.job_environment_id], key, on=not change.after.finished_at and not change.after.queued
            )
            if len(live[change.job_environment_id]) > 1:
                labels = sorted(map(stage.label, live[change.job_environment_id]))
                yield f"{' and '.join(labels)} live at once, with overlap {change.overlap}"


def _exchanges(stage: Stage, runs: Sequence[_Run]) -> Iterator[str]:
    """One exchange, one row."""
    rows: dict[Pair, _Run] = {(run.execution_id, run.number): run for run in runs}
    for pair, count in collections.Counter(sending.pair for sending in stage.sent).items():
        if count > 1:
            yield f"{stage.named(pair)} was sent {count} times"
    for sending in stage.sent:
        run = rows.get(sending.pair)
        if run is None:
            yield f"{stage.named(sending.pair)} was sent and has no row"
        elif run.run_id != sending.run_id and run.response_status is not None:
            yield f"{stage.named(sending.pair)} was sent as another run than the one recorded"
        elif run.error == UNSENT_CANCELED:
            yield f"{stage.named(sending.pair)} was sent, and its row says that it was not"
    sent = {sending.pair for sending in stage.sent}
    for pair, run in rows.items():
        if run.response_status is not None and pair not in sent:
            yield f"{stage.named(pair)} was answered but never sent"
    recorded = {pair for call in stage.calls if call.verb == "records" for pair in call.answered or ()}
    for pair in recorded & sent:
        if pair in rows and rows[pair].response_status is None:
            yield f"{stage.named(pair)} was recorded, and its row has no answer"


def _rows(stage: Stage, executions: Sequence[_Execution], runs: Sequence[_Run]) -> Iterator[str]:
    numbers: dict[str, list[_Run]] = collections.defaultdict(list)
    for run in runs:
        numbers[run.execution_id].append(run)
    for execution in executions:
        own_runs = numbers[execution.key]
        label = f"{stage.label(execution.key)} ({execution.status})"
        if execution.status not in TERMINAL:
            yield f"{label} has not ended"
        if execution.owner is not None:
            yield f"{label} still has a lease"
        if [run.number for run in own_runs] != list(range(1, execution.attempts + 1)):
            yield f"{label} has {execution.attempts} attempts; its runs are {[run.number for run in own_runs]}"
        yield from _verdict(label, execution.status, own_runs)


def _verdict(label: str, status: str, own_runs: Sequence[_Run]) -> Iterator[str]:
    if any(run.status != RunStatus.FAILED for run in own_runs[:-1]):
        yield f"{label} went on after {[run.status for run in own_runs]}"
    if status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED) and (
        not own_runs or own_runs[-1].status != status
    ):
        yield f"{label} ended with {[run.status for run in own_runs]}"


def _counters(executions: Sequence[_Execution], runs: Sequence[_Run]) -> Iterator[str]:
    """Usage, counters and statistics agree with the rows."""
    with connection.cursor() as cursor:
        cursor.execute(_USED)
        used = int(cursor.fetchone()[0])
        counted = {key: count for key, count in counters.totals(cursor).items() if key.split("/")[0] in _COUNTED}
        cursor.execute(_SLIPS)
        slips = {OUTCOMES[outcome].value: count for outcome, count in cursor.fetchall() if count}
    if used != len(runs):
        yield f"usage counts {used} runs; there are {len(runs)}"
    actual, ended = collections.Counter[str](), collections.Counter[str]()
    for run in runs:
        actual[f"runs/{run.status}/{run.failure_reason}"] += 1
    for execution in executions:
        ended[execution.status] += execution.occurrences
        skipped = f"skipped/{execution.skip_reason}"
        actual[skipped if execution.skip_reason else f"executions/{execution.status}/{execution.failure_reason}"] += (
            execution.occurrences
        )
    if counted != actual:
        yield f"counters say {json.dumps(counted, sort_keys=True)}; rows {json.dumps(actual, sort_keys=True)}"
    if slips != ended:
        yield f"statistics say {json.dumps(slips, sort_keys=True)}; rows {json.dumps(ended, sort_keys=True)}"


def _ledger(stage: Stage, executions: Sequence[_Execution]) -> Iterator[str]:
    """Each due occurrence is recorded once, or still due."""
    until = stage.fired_until
    if until is None:
        return
    for name in stage.scheduled:
        key = str(stage.fixture.jobs_by_name[name].job_environment.pk)
        with connection.cursor() as cursor:
            cursor.execute(_NEXT, [key])
            (next_fire_at,) = cursor.fetchone()
        accounted = collections.Counter[datetime.datetime]()
        for execution in executions:
            if execution.job_environment_id == key and execution.scheduled_for is not None:
                accounted.update(execution.scheduled_for + EVERY * index for index in range(execution.occurrences))
        planned = [at for index in range(1, 10) if (at := stage.fixture.began + EVERY * index) <= until]
        accounted.update(at for at in planned if at >= next_fire_at)
        for at in sorted({*planned, *accounted}):
            if accounted[at] != 1 or at not in planned:
                yield f"{name}: the occurrence of {at:%H:%M:%S} is recorded {accounted[at]} times"


def _fetched(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _call_of(stage: Stage, change: Change) -> Call | None:
    for call in stage.calls:
        if change.pid in call.pids and call.began <= change.at and (call.ended is None or change.at <= call.ended):
            return call
    return None


def _expired(change: Change) -> bool:
    assert change.before is not None
    return change.before.lease_expires_at is not None and change.before.lease_expires_at < change.at.isoformat()


def _set_member(keys: set[str], key: str, *, on: bool) -> None:
    if on:
        keys.add(key)
    else:
        keys.discard(key)
