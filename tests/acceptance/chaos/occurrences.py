"""Rules of the ledger: each planned occurrence is recorded once, and nothing else is. Pure."""

import bisect
import datetime
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.acceptance.chaos.findings import Finding, Index, Invariant
from tests.acceptance.chaos.history import Change, Execution, History, Job

#: Time between a request for a change and its effect: occurrences already processed stay.
_CHANGE_SLACK = datetime.timedelta(seconds=1)
#: An unconfirmed change may still take effect after the disturbance.
_UNCONFIRMED_SLACK = datetime.timedelta(seconds=60)


def unreconciled(history: History, index: Index) -> Iterator[Finding]:
    for job in history.jobs:
        recorded = [one for one in index.of_job[job.id] if one.trigger == "schedule"]
        for detail in _differences(job, recorded):
            yield Finding(Invariant.RECONCILED, job.slug, detail)
    for exchange in history.exchanges:
        if exchange.scheduled_for is not None and exchange.at < exchange.scheduled_for:
            early = exchange.scheduled_for - exchange.at
            yield Finding(Invariant.RECONCILED, exchange.execution, f"was called {early:.3f} s before its time")


def _differences(job: Job, recorded: Sequence[Execution]) -> Iterator[str]:
    """Return the differences between recorded and planned occurrences, up to the end of the last ended period."""
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


def plans_unasked(history: History, _index: Index) -> Iterator[Finding]:
    """Check that every period begins with a requested change, and that confirmed changes are in force."""
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
