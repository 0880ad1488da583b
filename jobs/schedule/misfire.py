"""Misfire policies: which due occurrences fire, and which are missed. Pure."""

import collections
import datetime
import enum
from dataclasses import dataclass

from jobs.schedule import OccurrenceRange, Schedule

#: An occurrence up to this late is on time.
ON_TIME = datetime.timedelta(seconds=15)
#: The shortest grace: an occurrence this late always fires.
MIN_GRACE = datetime.timedelta(seconds=1)
#: The most occurrences of one job that `fire_all` fires at once.
FIRE_ALL_LIMIT = 100
_JUST_BEFORE = datetime.timedelta(microseconds=1)


class Misfire(enum.StrEnum):
    """What to do with occurrences that did not fire on time."""

    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class DueOccurrences:
    """The due occurrences, each in exactly one group.

    `fires` are to fire, oldest first; `missed` are too late and only counted; `dropped` were skipped by a clock change.
    `next_fire_at` is the first occurrence that is not due yet, or None.
    """

    fires: tuple[datetime.datetime, ...]
    missed: OccurrenceRange | None
    dropped: tuple[datetime.datetime, ...]
    next_fire_at: datetime.datetime | None


def apply_misfire_policy(
    schedule: Schedule,
    *,
    due_at: datetime.datetime,
    now: datetime.datetime,
    misfire: Misfire,
    grace: datetime.timedelta,
    until: datetime.datetime | None = None,
) -> DueOccurrences:
    """Sort the occurrences from `due_at` to `now`, or to `until` if their schedule period ended before.

    `fire_once` fires the latest one that is at most `grace` late, `fire_all` all of those, at most the latest 100, and
    `skip` the latest one that is on time. The others are missed. `due_at` always counts as an occurrence: it was one
    when it was stored.
    """
    horizon = now if until is None else min(now, until)
    oldest = now - _window(misfire, grace)
    following = schedule.next_after(due_at)
    if following is None or following > horizon:
        return _sort_one(schedule, due_at, in_time=due_at >= oldest, following=following)
    most = FIRE_ALL_LIMIT if misfire is Misfire.FIRE_ALL else 1
    fires, dropped = _newest(schedule, due_at, max(due_at, oldest), horizon, most)
    missed_until = min((*fires, *dropped), default=horizon + _JUST_BEFORE) - _JUST_BEFORE
    missed = _range_from(schedule, due_at, missed_until)
    return DueOccurrences(fires, missed, dropped, schedule.next_after(horizon))


def count_all_missed(
    schedule: Schedule, *, due_at: datetime.datetime, now: datetime.datetime, until: datetime.datetime | None = None
) -> DueOccurrences:
    """Count every due occurrence as missed, for when it is unknown which ones have fired already."""
    horizon = now if until is None else min(now, until)
    return DueOccurrences((), _range_from(schedule, due_at, horizon), (), schedule.next_after(horizon))


def _window(misfire: Misfire, grace: datetime.timedelta) -> datetime.timedelta:
    """Return how late an occurrence may still fire."""
    grace = max(grace, MIN_GRACE)
    return min(grace, ON_TIME) if misfire is Misfire.SKIP else grace


def _sort_one(
    schedule: Schedule, due_at: datetime.datetime, *, in_time: bool, following: datetime.datetime | None
) -> DueOccurrences:
    if schedule.drops(due_at):
        return DueOccurrences((), None, (due_at,), following)
    if in_time:
        return DueOccurrences((due_at,), None, (), following)
    return DueOccurrences((), OccurrenceRange(due_at, due_at, 1), (), following)


def _range_from(schedule: Schedule, first: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
    """Count the occurrences from `first`, itself one, to `until`."""
    if until < first:
        return None
    later = schedule.occurrences_between(first, until)
    return OccurrenceRange(first, later.last, 1 + later.count) if later else OccurrenceRange(first, first, 1)


def _newest(
    schedule: Schedule, due_at: datetime.datetime, start: datetime.datetime, horizon: datetime.datetime, most: int
) -> tuple[tuple[datetime.datetime, ...], tuple[datetime.datetime, ...]]:
    """Return the latest `most` occurrences from `start` to `horizon` that fire, and those dropped among them."""
    fires: collections.deque[datetime.datetime] = collections.deque()
    dropped: collections.deque[datetime.datetime] = collections.deque()
    begin = _skipped_ahead(schedule, start, horizon, most)
    at = due_at if due_at >= begin else schedule.next_after(begin - _JUST_BEFORE)
    while at is not None and at <= horizon:
        (dropped if schedule.drops(at) else fires).append(at)
        if len(fires) > most:
            fires.popleft()
        while dropped and len(fires) == most and dropped[0] < fires[0]:
            dropped.popleft()
        at = schedule.next_after(at)
    return tuple(fires), tuple(dropped)


def _skipped_ahead(
    schedule: Schedule, start: datetime.datetime, horizon: datetime.datetime, most: int
) -> datetime.datetime:
    """Move the start closer while enough occurrences are left, so that a long outage is not walked one by one."""
    while True:
        middle = start + (horizon - start) / 2
        half = schedule.occurrences_between(middle - _JUST_BEFORE, horizon)
        if half is None or half.count <= 2 * most:
            return start
        start = middle
