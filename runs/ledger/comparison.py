"""Compares planned occurrences with recorded ones. Pure.

Each planned occurrence must be one fired execution, or be counted in one skipped execution; or it is `due`, because the
clock has not processed it yet. Anything else is a difference, and there should be none.
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
    """More occurrences are planned in a period than a ledger compares."""


@dataclass(frozen=True, slots=True)
class PlannedSchedule:
    """A schedule in force: its occurrences later than `since` and no later than `until` (None: still in force).

    `schedule` is None while nothing is planned: the job is disabled, has ended, or is manual. The clock has not
    processed the occurrences later than `owed_after` yet (None: it has processed all).
    """

    state: str
    schedule: Schedule | None
    since: datetime.datetime
    until: datetime.datetime | None
    owed_after: datetime.datetime | None
    #: Why this release can't read the schedule, so that nothing recorded then is compared. Empty: it can.
    unreadable: str = ""

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """The first occurrence later than `instant`. None if no other follows."""
        at = self.schedule.next_after(max(instant, self.since)) if self.schedule else None
        return None if at is None or (self.until is not None and at > self.until) else at

    def count(self, after: datetime.datetime, until: datetime.datetime) -> int:
        """How many occurrences are later than `after` and no later than `until`."""
        after, until = max(after, self.since), until if self.until is None else min(until, self.until)
        occurrences = self.schedule.occurrences_between(after, until) if self.schedule and after < until else None
        return occurrences.count if occurrences else 0

    def hides(self, entry: "Entry") -> bool:
        """Whether it is unknown if this schedule planned the entry's occurrences."""
        return bool(self.unreadable) and entry.last > self.since and (self.until is None or entry.first <= self.until)

    def owes(self, occurrence: datetime.datetime) -> bool:
        return self.owed_after is not None and occurrence > self.owed_after


@dataclass(frozen=True, slots=True)
class Entry:
    """An execution's record of `count` occurrences, from `first` to `last`. `reason` is empty if it fired."""

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
    """How many occurrences were planned, and their outcomes. Those of a pause that has not ended count as skipped."""

    planned: int
    fired: int
    skipped: dict[str, int]
    due: int
    differences: tuple[Difference, ...]


def compare(
    schedules: Sequence[PlannedSchedule], entries: Iterable[Entry], *, start: datetime.datetime, end: datetime.datetime
) -> Ledger:
    """Compare schedules with entries from `start` on and before `end`.

    Both are in order; `entries` has all that reach into the period. Raises TooManyPlannedError.
    """
    entries = [entry for entry in entries if not any(schedule.hides(entry) for schedule in schedules)]
    planned = list(_planned(schedules, start, end))
    instants = [at for at, _ in planned]
    counts: collections.Counter[str] = collections.Counter()
    skipped: collections.Counter[str] = collections.Counter()
    differences = list(_miscounted(entries, instants, start, end))
    for (at, schedule), covering in zip(planned, _covering(entries, instants), strict=True):
        if len(covering) > 1:
            ids = ", ".join(entry.execution_id for entry in covering)
            differences.append(Difference(at, "doubled", f"Recorded by the executions {ids}."))
        elif covering and covering[0].reason:
            skipped[covering[0].reason] += 1
        elif covering:
            counts["fired"] += 1
        elif not schedule.owes(at):
            differences.append(Difference(at, "lost", "Planned, but no execution records it."))
        elif schedule.state == _PAUSED:
            skipped[_PAUSED] += 1
        else:
            counts["due"] += 1
    differences.sort(key=lambda difference: difference.scheduled_for)
    return Ledger(len(planned), counts["fired"], dict(sorted(skipped.items())), counts["due"], tuple(differences))


def planned_count(schedules: Iterable[PlannedSchedule], start: datetime.datetime, end: datetime.datetime) -> int:
    """How many occurrences are planned from `start` on and before `end`, without iterating over them."""
    return sum(schedule.count(start - _JUST_BEFORE, end - _JUST_BEFORE) for schedule in schedules)


def _planned(
    schedules: Sequence[PlannedSchedule], start: datetime.datetime, end: datetime.datetime
) -> Iterator[tuple[datetime.datetime, PlannedSchedule]]:
    if planned_count(schedules, start, end) > MAX_PLANNED:
        raise TooManyPlannedError
    for schedule in schedules:
        at = schedule.next_after(start - _JUST_BEFORE)
        while at is not None and at < end:
            yield at, schedule
            at = schedule.next_after(at)


def _covering(entries: Sequence[Entry], instants: Iterable[datetime.datetime]) -> Iterator[list[Entry]]:
    """For each instant the entries that record it. Both are in order."""
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
    """Entries wholly within the period that record more or fewer occurrences than were planned."""
    indexes = {at: index for index, at in enumerate(instants)}
    for entry in entries:
        if entry.first < start or entry.last >= end:
            continue
        if entry.first not in indexes or entry.last not in indexes:
            yield Difference(
                entry.first, "unplanned", f"The execution {entry.execution_id} records an unplanned occurrence."
            )
            continue
        count = indexes[entry.last] - indexes[entry.first] + 1
        if count != entry.count:
            kind = "unplanned" if entry.count > count else "lost"
            detail = f"The execution {entry.execution_id} counts {entry.count} occurrences where {count} were planned."
            yield Difference(entry.first, kind, detail)
