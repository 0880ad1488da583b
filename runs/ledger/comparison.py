"""The ledger: compares what was planned with what was recorded, occurrence by occurrence. Pure.

Each planned occurrence must be one fired execution, or be counted in one skipped execution; or it is `due`, because the
clock has not dealt with it yet. Whatever else is found is a difference, and there should be none.
"""

import collections
import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jobs.schedule import Schedule

MAX_PLANNED = 10_000
_PAUSED = "paused"
_JUST_BEFORE = datetime.timedelta(microseconds=1)


class TooManyPlannedError(Exception):
    """More occurrences are planned in the span than a ledger compares."""


@dataclass(frozen=True, slots=True)
class PlannedSchedule:
    """A schedule in force: its occurrences later than `since` and no later than `until` (None: still in force).

    `schedule` is None where nothing is planned: for a job that is disabled, has ended, or runs only when asked to.
    `owed_after`: what is planned later than that the clock has not dealt with yet; None: it has, with all.
    """

    state: str
    schedule: Schedule | None
    since: datetime.datetime
    until: datetime.datetime | None
    owed_after: datetime.datetime | None
    #: Why this release can't read what was planned: nothing that is recorded then is compared. Empty: it can.
    unreadable: str = ""

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """The first occurrence of this plan later than `instant`; None where there is none any more."""
        found = self.schedule.next_after(max(instant, self.since)) if self.schedule else None
        return None if found is None or (self.until is not None and found > self.until) else found

    def count(self, after: datetime.datetime, until: datetime.datetime) -> int:
        """How many occurrences of this plan are later than `after` and no later than `until`."""
        after, until = max(after, self.since), until if self.until is None else min(until, self.until)
        found = self.schedule.occurrences_between(after, until) if self.schedule and after < until else None
        return found.count if found else 0

    def hides(self, entry: "Entry") -> bool:
        """If nobody can say whether this plan planned what the entry records."""
        return bool(self.unreadable) and entry.last > self.since and (self.until is None or entry.first <= self.until)

    def owes(self, occurrence: datetime.datetime) -> bool:
        return self.owed_after is not None and occurrence > self.owed_after


@dataclass(frozen=True, slots=True)
class Entry:
    """What an execution records: `count` occurrences, from `first` to `last`. `reason` is empty for one that fired."""

    execution_id: str
    first: datetime.datetime
    last: datetime.datetime
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`lost`: planned and not recorded. `doubled`: recorded more than once. `unplanned`: recorded, never planned."""

    scheduled_for: datetime.datetime
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """How many occurrences were planned, and what became of them. A pause that goes on still counts as one."""

    planned: int
    fired: int
    skipped: dict[str, int]
    due: int
    differences: tuple[Difference, ...]


def compare(
    plans: Sequence[PlannedSchedule], entries: Iterable[Entry], *, start: datetime.datetime, end: datetime.datetime
) -> Ledger:
    """Compare the plans with the entries from `start` on and before `end`.

    `plans` and `entries` are in order; `entries` has all that reach into the span. Raises TooManyPlannedError.
    """
    entries = [entry for entry in entries if not any(plan.hides(entry) for plan in plans)]
    planned = list(_planned(plans, start, end))
    instants = [at for at, _ in planned]
    counts: collections.Counter[str] = collections.Counter()
    skipped: collections.Counter[str] = collections.Counter()
    differences = list(_miscounted(entries, instants, start, end))
    for (at, plan), covering in zip(planned, _covering(entries, instants), strict=True):
        if len(covering) > 1:
            ids = ", ".join(entry.execution_id for entry in covering)
            differences.append(Difference(at, "doubled", f"Recorded by the executions {ids}."))
        elif covering and covering[0].reason:
            skipped[covering[0].reason] += 1
        elif covering:
            counts["fired"] += 1
        elif not plan.owes(at):
            differences.append(Difference(at, "lost", "Planned, but no execution records it."))
        elif plan.state == _PAUSED:
            skipped[_PAUSED] += 1
        else:
            counts["due"] += 1
    differences.sort(key=lambda difference: difference.scheduled_for)
    return Ledger(len(planned), counts["fired"], dict(sorted(skipped.items())), counts["due"], tuple(differences))


def planned_count(plans: Iterable[PlannedSchedule], start: datetime.datetime, end: datetime.datetime) -> int:
    """How many occurrences are planned from `start` on and before `end`, without going through them."""
    return sum(plan.count(start - _JUST_BEFORE, end - _JUST_BEFORE) for plan in plans)


def _planned(
    plans: Iterable[PlannedSchedule], start: datetime.datetime, end: datetime.datetime
) -> Iterator[tuple[datetime.datetime, PlannedSchedule]]:
    plans = list(plans)
    if planned_count(plans, start, end) > MAX_PLANNED:
        raise TooManyPlannedError
    for plan in plans:
        at = plan.next_after(start - _JUST_BEFORE)
        while at is not None and at < end:
            yield at, plan
            at = plan.next_after(at)


def _covering(entries: Sequence[Entry], instants: Iterable[datetime.datetime]) -> Iterator[list[Entry]]:
    """For each instant the entries that record it; both in order."""
    arriving = collections.deque(sorted(entries, key=lambda entry: entry.first))
    present: list[Entry] = []
    for at in instants:
        while arriving and arriving[0].first <= at:
            present.append(arriving.popleft())
        present = [entry for entry in present if entry.last >= at]
        yield present


def _miscounted(
    entries: Iterable[Entry], instants: Sequence[datetime.datetime], start: datetime.datetime, end: datetime.datetime
) -> Iterator[Difference]:
    """Entries that record more or fewer occurrences than were planned there; only those wholly within the span."""
    places = {at: index for index, at in enumerate(instants)}
    for entry in entries:
        if entry.first < start or entry.last >= end:
            continue
        if entry.first not in places or entry.last not in places:
            yield Difference(
                entry.first, "unplanned", f"The execution {entry.execution_id} records what was not planned."
            )
            continue
        found = places[entry.last] - places[entry.first] + 1
        if found != entry.count:
            kind = "unplanned" if entry.count > found else "lost"
            told = f"The execution {entry.execution_id} counts {entry.count} occurrences where {found} were planned."
            yield Difference(entry.first, kind, told)
