"""Rules of overlap, concurrency, manual runs, lateness and workspaces. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.acceptance.chaos.excuses import PROMPT_SECONDS, SLACK_SECONDS, in_time_until, lost_with_its_worker
from tests.acceptance.chaos.findings import Finding, Index, Invariant
from tests.acceptance.chaos.history import ONE_AT_A_TIME, Exchange, Execution, History, Job

_AT_ONCE_SECONDS = 0.05

# -- calls at once -----------------------------------------------------------------------------------------------------


def overlapping(history: History, index: Index) -> Iterator[Finding]:
    """Check that scheduled calls of a job don't overlap against its policy, except those that a worker lost."""
    for job, calls in _calls(history, index):
        planned = [
            (one, _over_at(history, index, one))
            for one in calls
            if (execution := index.executions[one.execution]).trigger == "schedule"
            and _policy(job, execution) in ONE_AT_A_TIME
        ]
        for exchange, others in _at_once(planned):
            if others:
                said = f"was called while {len(others)} other calls of {job.slug} were under way"
                yield Finding(Invariant.OVERLAP, exchange.execution, said)


def too_many_at_once(history: History, index: Index) -> Iterator[Finding]:
    """Check that a job never has more calls in flight than its limit."""
    for job, calls in _calls(history, index):
        limits = {one.id: _limit(job, one) for one in index.of_job[job.id]}
        limited = [(one, _over_at(history, index, one)) for one in calls if limits[one.execution] is not None]
        for exchange, others in _at_once(limited):
            limit = limits[exchange.execution] or 0
            if len(others) + 1 > limit:
                said = f"{len(others) + 1} calls of {job.slug} at once, where {limit} are allowed"
                yield Finding(Invariant.CONCURRENCY, exchange.execution, said)


def _calls(history: History, index: Index) -> Iterator[tuple[Job, list[Exchange]]]:
    """Yield each job with its calls, in order."""
    calls: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in sorted(history.exchanges, key=lambda one: one.at):
        execution = index.executions.get(exchange.execution)
        if execution is not None and execution.job in index.jobs:
            calls[execution.job].append(exchange)
    return ((index.jobs[key], found) for key, found in calls.items())


def _policy(job: Job, execution: Execution) -> str:
    period = job.period_at(execution.scheduled_for) if execution.scheduled_for else None
    return period.overlap if period else "allow"


def _limit(job: Job, execution: Execution) -> int | None:
    """Return the concurrency limit at the execution's creation, also of manual jobs."""
    limits = [one.concurrency for one in job.periods if one.since.timestamp() <= execution.created_at]
    return limits[-1] if limits else None


def _over_at(history: History, index: Index, exchange: Exchange) -> float:
    """Return until when a call counts. The target may continue after a worker lost or aborted the call."""
    run = index.run(exchange.execution, exchange.attempt)
    if run is not None and run.failure_reason == "worker_lost" and lost_with_its_worker(history, run):
        return min(exchange.ended_at, run.finished_at)
    if run is not None and run.status == "canceled":
        aborted_by = in_time_until(history, run.finished_at, calm=PROMPT_SECONDS)
        return run.finished_at if exchange.ended_at <= aborted_by else exchange.ended_at
    return exchange.ended_at


def _at_once(calls: Iterable[tuple[Exchange, float]]) -> Iterator[tuple[Exchange, list[Exchange]]]:
    """Yield each call with the other calls in flight at its start."""
    going: list[tuple[Exchange, float]] = []
    for exchange, over_at in calls:
        if exchange.left_at is not None and exchange.left_at - exchange.at < _AT_ONCE_SECONDS:
            continue  # its caller had gone before the target, busy with others, got to read it
        going = [(one, until) for one, until in going if until > exchange.at]
        yield exchange, [one for one, _ in going]
        going.append((exchange, over_at))


# -- by hand -----------------------------------------------------------------------------------------------------------


def by_hand(history: History, index: Index) -> Iterator[Finding]:
    """Check that each confirmed manual run exists and ran, and that there are no others."""
    flows = {flow.id for flow in history.flows}
    for asked in sorted(history.asked - flows):
        execution = index.executions.get(asked)
        if execution is None:
            yield Finding(Invariant.BY_HAND, asked, "was confirmed by the API and is not in the database")
        elif execution.trigger != "manual":
            yield Finding(Invariant.BY_HAND, asked, f"was asked for by hand, but its trigger is {execution.trigger}")
        elif execution.status == "skipped":
            yield Finding(Invariant.BY_HAND, asked, "was asked for by hand and skipped")
    by_hand = [one for one in history.executions if one.trigger not in {"schedule", "step"}]
    unasked = [one for one in by_hand if one.id not in history.asked]
    counts = Counter(index.jobs[one.job].slug for one in unasked if one.job in index.jobs)
    counts["chain"] += len(flows - history.asked)
    for slug, count in sorted(counts.items()):
        if count > (allowed := history.unsure.get(slug, 0)):
            yield Finding(
                Invariant.BY_HAND, slug, f"{count} runs that nobody asked for, with {allowed} requests unanswered"
            )


# -- late --------------------------------------------------------------------------------------------------------------


def late(history: History, index: Index) -> Iterator[Finding]:
    """Check that every call starts soon after it may, or soon after a disturbance."""
    for execution in history.executions:
        attempts = index.seen.get(execution.id)
        if not attempts or execution.job not in index.jobs or execution.trigger == "step":
            continue  # many workflows start in the same moment
        first = min(one.at for exchanges in attempts.values() for one in exchanges)
        due = _free_at(index, index.jobs[execution.job], execution, first)
        if first > (allowed := in_time_until(history, due)):
            said = f"was called {first - due:.1f} s late, where {allowed - due:.1f} s have a reason"
            yield Finding(Invariant.PUNCTUAL, execution.id, said)
        for number in sorted(attempts)[1:]:
            yield from _late_again(history, index, execution, number)


def _late_again(history: History, index: Index, execution: Execution, number: int) -> Iterator[Finding]:
    """Check retries: they count from the end of the previous attempt, and these jobs' delays are short."""
    before = index.run(execution.id, number - 1)
    if before is None or _limit(index.jobs[execution.job], execution) is not None:
        return
    at = index.seen[execution.id][number][0].at
    if at > (allowed := in_time_until(history, before.finished_at)):
        said = f"attempt {number} came {at - before.finished_at:.1f} s late, where {allowed - before.finished_at:.1f} s"
        yield Finding(Invariant.PUNCTUAL, execution.id, f"{said} have a reason")


def _free_at(index: Index, job: Job, execution: Execution, called_at: float) -> float:
    """Return when no execution of its own job blocked it any more, according to the overlap policy."""
    due = execution.scheduled_for.timestamp() if execution.scheduled_for else execution.created_at
    if _policy(job, execution) not in ONE_AT_A_TIME and _limit(job, execution) is None:
        return due
    before = (
        one.finished_at
        for one in index.of_job[job.id]
        if one.id != execution.id
        and one.status != "skipped"
        and one.finished_at is not None
        and one.finished_at <= called_at + SLACK_SECONDS
        and one.created_at <= execution.created_at
    )
    return max(due, max(before, default=-math.inf))


# -- workspaces --------------------------------------------------------------------------------------------------------


def not_apart(history: History, index: Index) -> Iterator[Finding]:
    owners = {job.id: job.workspace for job in history.jobs}
    for execution in history.executions:
        if owners.get(execution.job) != execution.workspace:
            yield Finding(Invariant.APART, execution.id, "is in another workspace than its job")
    for run in history.runs:
        owner = index.executions.get(run.execution)
        if owner is None or owner.workspace != run.workspace:
            yield Finding(Invariant.APART, run.execution, f"its run {run.number} is in another workspace")
    for exchange in history.exchanges:
        owner = index.executions.get(exchange.execution)
        if owner is not None and exchange.workspace != owner.workspace:
            yield Finding(Invariant.APART, exchange.execution, f"called the endpoint of {exchange.workspace}")
    for where in history.strangers_seen:
        yield Finding(Invariant.APART, where, "shows what is another's")
