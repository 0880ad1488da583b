"""Rules of deliveries: each fired execution arrives once, and each exchange is recorded as one run. Pure."""

import itertools
from collections.abc import Iterator, Sequence

from tests.acceptance.chaos.excuses import SLACK_SECONDS, in_time_until, lost_with_its_worker
from tests.acceptance.chaos.findings import Finding, Index, Invariant
from tests.acceptance.chaos.history import Exchange, Execution, History, Run

_TERMINAL = {"succeeded", "failed", "canceled", "skipped"}


def lost(history: History, index: Index) -> Iterator[Finding]:
    """Check that fired executions arrived; any other end needs a reason."""
    for execution in history.executions:
        if problem := _ended_wrongly(history, index, execution):
            yield Finding(Invariant.NONE_LOST, execution.id, problem)


def _ended_wrongly(history: History, index: Index, execution: Execution) -> str:
    last = index.exchanges(execution.id, execution.attempts)
    match execution.status:
        case "succeeded" if not any(one.answered and one.status < 400 for one in last):
            return "succeeded, but the target never answered it"
        case "failed" if not _failed_for_a_reason(history, index, execution):
            return "failed, and neither the target nor a lost worker did it"
        case "skipped" if execution.id in index.seen:
            return "skipped, but the target saw it"
        case "canceled" if not (_of_deleted_job(index, execution) or _made_way(history, index, execution)):
            return "canceled, though its job was not deleted and it made way for no other"
    return ""


def _failed_for_a_reason(history: History, index: Index, execution: Execution) -> bool:
    last = index.run(execution.id, execution.attempts)
    if last is None:
        return False
    if last.failure_reason == "worker_lost":
        return lost_with_its_worker(history, last)
    return refused_by_target(index.exchanges(execution.id, execution.attempts))


def refused_by_target(exchanges: Sequence[Exchange], *, by: float = float("inf")) -> bool:
    """Return whether the target answered an attempt with an error, no later than `by`."""
    return bool(exchanges) and all(one.status >= 400 and (one.answered_at or by + 1) <= by for one in exchanges)


def _of_deleted_job(index: Index, execution: Execution) -> bool:
    job = index.jobs.get(execution.job)
    return job is not None and any(one.state == "ended" for one in job.periods)


def _made_way(history: History, index: Index, execution: Execution) -> bool:
    """Return whether this execution was canceled by the next occurrence of a `cancel_running` job."""
    job = index.jobs.get(execution.job)
    if job is None or execution.scheduled_for is None or execution.finished_at is None:
        return False
    period = job.period_at(execution.scheduled_for)
    later = [
        one
        for one in index.of_job[execution.job]
        if one.scheduled_for and one.scheduled_for > execution.scheduled_for and one.status != "skipped"
    ]
    if period is None or period.overlap != "cancel_running" or not later:
        return False
    fired_at = min(later, key=lambda one: one.scheduled_for or execution.scheduled_for).created_at
    return fired_at - SLACK_SECONDS <= execution.finished_at <= in_time_until(history, fired_at)


def doubled_by(history: History, index: Index) -> Iterator[Finding]:
    """Check that calls are repeated only after an error of the target or the loss of their own worker."""
    for execution, attempts in index.seen.items():
        for number, exchanges in sorted(attempts.items()):
            if len(exchanges) > 1:
                yield Finding(Invariant.NONE_DOUBLED, execution, f"attempt {number} arrived {len(exchanges)} times")
        numbers = sorted(attempts)
        for number, following in itertools.pairwise(numbers):
            run = index.run(execution, number)
            gone = run is not None and run.failure_reason == "worker_lost" and lost_with_its_worker(history, run)
            if not gone and not refused_by_target(attempts[number], by=attempts[following][0].at + SLACK_SECONDS):
                was = f"its run says {run.failure_reason or run.status} by {run.worker}" if run else "it has no run"
                yield Finding(Invariant.NONE_DOUBLED, execution, f"went on after attempt {number} arrived; {was}")
    for run in history.runs:
        if run.failure_reason == "worker_lost" and not lost_with_its_worker(history, run):
            held = f"attempt {run.number} was taken from {run.worker}, neither dead nor stalled past its lease"
            yield Finding(Invariant.NONE_DOUBLED, run.execution, held)


def doubled(history: History) -> set[str]:
    """Return executions that the target received again without having failed them."""
    index = Index(history)
    return {
        execution
        for execution, attempts in index.seen.items()
        if any(not refused_by_target(attempts[number]) for number in sorted(attempts)[:-1])
    }


def not_terminal(history: History, index: Index) -> Iterator[Finding]:
    for execution in history.executions:
        if execution.status not in _TERMINAL:
            yield Finding(Invariant.TERMINAL, execution.id, f"is {execution.status}")
    for run in history.runs:
        if run.status == "running":
            yield Finding(Invariant.TERMINAL, run.execution, f"its run {run.number} is running")


# -- rows and exchanges are a bijection --------------------------------------------------------------------------------


def not_one_to_one(history: History, index: Index) -> Iterator[Finding]:
    """Check that each exchange has one row, and each row describes its own attempt's exchange or none."""
    for exchange in history.exchanges:
        if not index.rows.get((exchange.execution, exchange.attempt)):
            yield Finding(Invariant.ONE_ROW, exchange.execution, f"attempt {exchange.attempt} arrived and has no run")
    for (execution, number), rows in index.rows.items():
        if len(rows) > 1:
            yield Finding(Invariant.ONE_ROW, execution, f"attempt {number} has {len(rows)} runs")
        for run in rows:
            if _claims(run) and not any(_same(run, one) for one in index.exchanges(execution, number)):
                whose = _whose(history, run)
                yield Finding(Invariant.ONE_ROW, execution, f"its run {number} tells what {whose}")
    for execution in history.executions:
        made = {number for (owner, number) in index.rows if owner == execution.id}
        wanted = set() if execution.status == "skipped" else set(range(1, execution.attempts + 1))
        if missing := sorted(wanted - made):
            yield Finding(Invariant.RECORDED, execution.id, f"has no run for its attempts {missing}")
        if more := sorted(made - wanted):
            yield Finding(Invariant.ONE_ROW, execution.id, f"has runs for attempts that it never made: {more}")


def _claims(run: Run) -> bool:
    """Return whether a row has a response, whatever the outcome."""
    return run.response_status is not None or run.response_body is not None


def _same(run: Run, exchange: Exchange) -> bool:
    told = (run.response_status, run.response_body, run.request_body)
    return told == (exchange.status, exchange.token, exchange.body)


def _whose(history: History, run: Run) -> str:
    own = [one for one in history.exchanges if one.token == run.response_body]
    if not own:
        return "the target never said"
    return f"the target said to attempt {own[0].attempt} of {own[0].execution}, or another request than that"


def unrecorded(history: History, index: Index) -> Iterator[Finding]:
    """Check that each response is in its run, unless its worker died or it was canceled meanwhile."""
    for exchange in history.exchanges:
        run = index.run(exchange.execution, exchange.attempt)
        if run is None or not exchange.answered:
            continue
        if not _claims(run):
            if run.failure_reason != "worker_lost" and run.status != "canceled":
                said = f"its run {run.number} ({run.status} {run.failure_reason}) does not tell of the answer"
                yield Finding(Invariant.RECORDED, exchange.execution, said)
        elif run.status != "canceled" and (run.status == "succeeded") != (exchange.status < 400):
            said = f"its run {run.number} is {run.status}, but the target answered {exchange.status}"
            yield Finding(Invariant.RECORDED, exchange.execution, said)
