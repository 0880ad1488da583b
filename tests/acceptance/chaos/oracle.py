"""Judges a history by the invariants of the design. Pure: it knows arithmetic, and takes nobody's word.

A firing that was planned must be recorded once, as fired or as counted; one that was fired must have reached the
target; one that reached it twice must have been held by a worker that was killed, or silent for longer than its lease.
"""

import bisect
import datetime
import enum
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.acceptance.chaos.history import Change, Exchange, Execution, History, Job, Run

_TERMINAL = {"succeeded", "failed", "canceled", "skipped"}
#: Between the word and the deed of one who changes a plan: what is accounted for already is not taken back.
_CHANGE_SLACK = datetime.timedelta(seconds=1)
#: A change that was not confirmed may still take effect, once what held it up is back.
_UNCONFIRMED_SLACK = datetime.timedelta(seconds=60)


class Invariant(enum.StrEnum):
    """What must hold, in the words of the design; the number is that of its section on invariants."""

    NONE_LOST = "1 no firing lost"
    NONE_DOUBLED = "1 none delivered twice unless a worker died holding it"
    RECONCILED = "1 the ledger is reconciled: each planned occurrence is recorded once"
    TERMINAL = "2 every execution reaches a terminal state"
    LEASES = "2 no RUNNING outlives its lease by more than a reap interval"
    RECORDED = "3 every exchange that ended is a run with what was sent and received"
    SECRETS = "3 secret values appear nowhere"
    APART = "4 a workspace never sees another's rows"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    invariant: Invariant
    subject: str
    detail: str


def judge(history: History) -> list[Finding]:
    """All that is wrong with a history; nothing when it is as it should be."""
    index = _Index(history)
    rules = (_lost, _doubled, _not_terminal, _unreconciled, _plans_unasked, _unrecorded, _not_apart)
    found = [finding for rule in rules for finding in rule(history, index)]
    found += [Finding(Invariant.LEASES, one.execution, f"{one.seconds:.1f} s overdue") for one in history.overdue]
    found += [Finding(Invariant.SECRETS, where, "shows the value") for where in history.secrets_seen]
    return found


class _Index:
    """The same history, by what is looked up."""

    def __init__(self, history: History) -> None:
        self.runs: Mapping[tuple[str, int], Run] = {(run.execution, run.number): run for run in history.runs}
        self.executions: Mapping[str, Execution] = {one.id: one for one in history.executions}
        self.deleted = {job.id for job in history.jobs if any(one.state == "ended" for one in job.periods)}
        self.seen: dict[str, dict[int, list[Exchange]]] = defaultdict(lambda: defaultdict(list))
        for exchange in history.exchanges:
            self.seen[exchange.execution][exchange.attempt].append(exchange)


def doubled(history: History) -> set[str]:
    """Executions that the target saw again though it had not failed them: some worker died, or something is wrong."""
    index = _Index(history)
    return {
        execution
        for execution, attempts in index.seen.items()
        if any(not _refused_by_target(attempts[number]) for number in sorted(attempts)[:-1])
    }


def _refused_by_target(exchanges: Sequence[Exchange]) -> bool:
    return all(one.answered and one.status >= 400 for one in exchanges)


def _lost(history: History, index: _Index) -> Iterator[Finding]:
    """What was fired must have arrived; what the API confirmed must be there."""
    for execution in history.executions:
        if execution.status == "succeeded":
            arrived = index.seen.get(execution.id, {}).get(execution.attempts, [])
            if not any(one.answered and one.status < 400 for one in arrived):
                yield Finding(Invariant.NONE_LOST, execution.id, "succeeded, but the target never answered it")
        elif execution.status == "failed" and not _failed_for_a_reason(history, index, execution):
            yield Finding(Invariant.NONE_LOST, execution.id, "failed, and neither the target nor a lost worker did it")
        elif execution.status == "skipped" and execution.id in index.seen:
            yield Finding(Invariant.NONE_LOST, execution.id, "skipped, but the target saw it")
        elif execution.status == "canceled" and execution.job not in index.deleted:
            yield Finding(Invariant.NONE_LOST, execution.id, "canceled, though its job was never deleted")
    for asked in history.asked - index.executions.keys():
        yield Finding(Invariant.NONE_LOST, asked, "was confirmed by the API and is not in the database")


def _failed_for_a_reason(history: History, index: _Index, execution: Execution) -> bool:
    last = index.runs.get((execution.id, execution.attempts))
    if last is None:
        return False
    if last.failure_reason == "worker_lost":
        return _died(history, last)
    return _refused_by_target(index.seen[execution.id].get(execution.attempts, []))


def _died(history: History, run: Run) -> bool:
    """Whether the worker that lost this run is one that was killed, or stopped for longer than a lease."""
    owner = run.worker.split("/")
    return len(owner) == 3 and owner[1].isdigit() and int(owner[1]) in history.lost_workers


def _doubled(history: History, index: _Index) -> Iterator[Finding]:
    for execution, attempts in index.seen.items():
        for number, exchanges in sorted(attempts.items()):
            if len(exchanges) > 1:
                yield Finding(Invariant.NONE_DOUBLED, execution, f"attempt {number} arrived {len(exchanges)} times")
        for number in sorted(attempts)[:-1]:
            run = index.runs.get((execution, number))
            lost = run is not None and run.failure_reason == "worker_lost" and _died(history, run)
            if not lost and not _refused_by_target(attempts[number]):
                told = f"its run says {run.failure_reason or run.status} by {run.worker}" if run else "it has no run"
                yield Finding(Invariant.NONE_DOUBLED, execution, f"went on after attempt {number} arrived; {told}")


def _not_terminal(history: History, index: _Index) -> Iterator[Finding]:
    for execution in history.executions:
        if execution.status not in _TERMINAL:
            yield Finding(Invariant.TERMINAL, execution.id, f"is {execution.status}")
    for run in history.runs:
        if run.status == "running":
            yield Finding(Invariant.TERMINAL, run.execution, f"its run {run.number} is running")


# -- the ledger --------------------------------------------------------------------------------------------------------


def _unreconciled(history: History, _index: _Index) -> Iterator[Finding]:
    recorded: dict[str, list[Execution]] = defaultdict(list)
    for execution in history.executions:
        if execution.trigger == "schedule":
            recorded[execution.job].append(execution)
    for job in history.jobs:
        for detail in _differences(job, recorded[job.id]):
            yield Finding(Invariant.RECONCILED, job.slug, detail)
    for exchange in history.exchanges:
        if exchange.scheduled_for is not None and exchange.at < exchange.scheduled_for:
            early = exchange.scheduled_for - exchange.at
            yield Finding(Invariant.RECONCILED, exchange.execution, f"was called {early:.3f} s before its time")


def _differences(job: Job, recorded: Sequence[Execution]) -> Iterator[str]:
    """How what is recorded of a job differs from what was planned, up to the end of its last plan that is over."""
    planned = dict(job.planned())
    horizon = max((one.until for one in job.periods if one.until), default=job.made_at)
    instants = list(planned)
    covering: dict[datetime.datetime, list[Execution]] = {at: [] for at in instants}
    for entry in recorded:
        first, last = entry.scheduled_for, entry.last or entry.scheduled_for
        if first is None or last is None:
            yield f"{entry.id} has no instant"
            continue
        if first > horizon:
            yield f"{entry.id} is of {first:%H:%M:%S}, when nothing was planned any more"
            continue
        own = instants[bisect.bisect_left(instants, first) : bisect.bisect_right(instants, last)]
        if len(own) != entry.occurrences or first not in planned:
            yield f"{entry.id} records {entry.occurrences} from {first:%H:%M:%S} on, where {len(own)} were planned"
        for at in own:
            covering[at].append(entry)
    for at, entries in covering.items():
        if len(entries) != 1:
            yield f"{at:%H:%M:%S} is recorded {len(entries)} times"
        elif planned[at].state == "paused" and entries[0].skip_reason != "paused":
            yield f"{at:%H:%M:%S} was paused, but is {entries[0].skip_reason or 'fired'}"


def _plans_unasked(history: History, _index: _Index) -> Iterator[Finding]:
    """Every plan begins with a change that somebody asked for, and what was confirmed is in force."""
    changes = defaultdict(list)
    for change in history.changes:
        changes[change.job].append(change)
    for job in history.jobs:
        for before, period in zip(job.periods, job.periods[1:], strict=False):
            if before.until != period.since:
                yield Finding(Invariant.RECONCILED, job.slug, f"no plan, or two, at {period.since:%H:%M:%S.%f}")
            if not any(_may_be_of(period.since, change) for change in changes[job.slug]):
                yield Finding(
                    Invariant.RECONCILED, job.slug, f"its plan of {period.since:%H:%M:%S.%f} nobody asked for"
                )
        sure = True
        for change in changes[job.slug]:
            if not change.wanted:
                continue
            found = job.state_at(change.answered_at)
            if sure and change.confirmed and found != change.wanted:
                yield Finding(Invariant.RECONCILED, job.slug, f"is {found} where {change.wanted} was confirmed")
            sure = change.confirmed


def _may_be_of(since: datetime.datetime, change: Change) -> bool:
    slack = _CHANGE_SLACK if change.confirmed else _UNCONFIRMED_SLACK
    return change.asked_at - _CHANGE_SLACK <= since <= change.answered_at + slack


# -- rows --------------------------------------------------------------------------------------------------------------


def _unrecorded(history: History, index: _Index) -> Iterator[Finding]:
    tokens = {one.token: one for one in history.exchanges}
    for exchange in history.exchanges:
        run = index.runs.get((exchange.execution, exchange.attempt))
        if run is None:
            yield Finding(Invariant.RECORDED, exchange.execution, f"attempt {exchange.attempt} arrived and has no run")
        elif exchange.answered and not _tells(history, run, exchange):
            told = f"{run.status} {run.failure_reason} {run.response_status}"
            yield Finding(Invariant.RECORDED, exchange.execution, f"its run {run.number} ({told}) does not tell of it")
    for run in history.runs:
        if run.response_status is not None and run.response_body not in tokens:
            yield Finding(Invariant.RECORDED, run.execution, f"its run {run.number} tells what the target never said")
    for execution in history.executions:
        if execution.status == "skipped":
            continue
        missing = [number for number in range(1, execution.attempts + 1) if (execution.id, number) not in index.runs]
        if missing:
            yield Finding(Invariant.RECORDED, execution.id, f"has no run for its attempts {missing}")


def _tells(history: History, run: Run, exchange: Exchange) -> bool:
    """Whether a run tells what was sent and received; one of a worker that died, or that was canceled, can't."""
    if run.failure_reason == "worker_lost":
        return _died(history, run)
    if run.status == "canceled":
        return True
    received = (run.response_status, run.response_body, run.request_body)
    return received == (exchange.status, exchange.token, exchange.body)


def _not_apart(history: History, index: _Index) -> Iterator[Finding]:
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
