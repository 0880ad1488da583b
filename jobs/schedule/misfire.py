"""What to do with occurrences that are due, some of them perhaps long ago. Pure."""

import collections
import datetime
import enum
from dataclasses import dataclass

from jobs.schedule import OccurrenceRange, Schedule

#: An occurrence that is fired this late is on time: no clock is punctual to the microsecond.
ON_TIME = datetime.timedelta(seconds=15)
#: However short a grace is, an occurrence this late is not late.
LEAST_GRACE = datetime.timedelta(seconds=1)
#: The most occurrences of one job that `fire_all` fires at once.
FIRE_ALL_MOST = 100
_JUST_BEFORE = datetime.timedelta(microseconds=1)


class Misfire(enum.StrEnum):
    """What becomes of occurrences that could not be fired on time."""

    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class FiringPlan:
    """What becomes of what is due: every occurrence is in exactly one of these.

    `fires` are to be fired, oldest first; `missed` came too late and is only counted; `dropped` did not exist on the
    wall clock. `next_fire_at` is the next occurrence after all of them; None: there is none.
    """

    fires: tuple[datetime.datetime, ...]
    missed: OccurrenceRange | None
    dropped: tuple[datetime.datetime, ...]
    next_fire_at: datetime.datetime | None


def plan_firing(
    schedule: Schedule,
    *,
    due_at: datetime.datetime,
    now: datetime.datetime,
    misfire: Misfire,
    grace: datetime.timedelta,
    until: datetime.datetime | None = None,
) -> FiringPlan:
    """What becomes of the occurrences from `due_at` to `now`, or to `until` where their plan ended before.

    `fire_once` fires the latest one that is at most `grace` late, `fire_all` all of those, at most the newest 100, and
    `skip` the latest one that is on time. The others are missed. `due_at` always counts as an occurrence: it was
    planned when it was stored.
    """
    horizon = now if until is None else min(now, until)
    oldest = now - _window(misfire, grace)
    following = schedule.next_after(due_at)
    if following is None or following > horizon:
        return _plan_of_one(schedule, due_at, in_time=due_at >= oldest, following=following)
    most = FIRE_ALL_MOST if misfire is Misfire.FIRE_ALL else 1
    fires, dropped = _newest(schedule, due_at, max(due_at, oldest), horizon, most)
    missed_until = min((*fires, *dropped), default=horizon + _JUST_BEFORE) - _JUST_BEFORE
    missed = _stretch_from(schedule, due_at, missed_until)
    return FiringPlan(fires, missed, dropped, schedule.next_after(horizon))


def plan_without_firing(
    schedule: Schedule, *, due_at: datetime.datetime, now: datetime.datetime, until: datetime.datetime | None = None
) -> FiringPlan:
    """The same where nobody knows whether what is due was fired already: all of it is missed, however late it is."""
    horizon = now if until is None else min(now, until)
    return FiringPlan((), _stretch_from(schedule, due_at, horizon), (), schedule.next_after(horizon))


def _window(misfire: Misfire, grace: datetime.timedelta) -> datetime.timedelta:
    """How late an occurrence may still be fired."""
    grace = max(grace, LEAST_GRACE)
    return min(grace, ON_TIME) if misfire is Misfire.SKIP else grace


def _plan_of_one(
    schedule: Schedule, due_at: datetime.datetime, *, in_time: bool, following: datetime.datetime | None
) -> FiringPlan:
    if schedule.drops(due_at):
        return FiringPlan((), None, (due_at,), following)
    if in_time:
        return FiringPlan((due_at,), None, (), following)
    return FiringPlan((), OccurrenceRange(due_at, due_at, 1), (), following)


def _stretch_from(schedule: Schedule, first: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
    """The occurrences from `first`, which is one, to `until`."""
    if until < first:
        return None
    later = schedule.stretch(first, until)
    return OccurrenceRange(first, later.last, 1 + later.count) if later else OccurrenceRange(first, first, 1)


def _newest(
    schedule: Schedule, due_at: datetime.datetime, start: datetime.datetime, horizon: datetime.datetime, most: int
) -> tuple[tuple[datetime.datetime, ...], tuple[datetime.datetime, ...]]:
    """Of the occurrences from `start` to `horizon` the newest `most` that exist, and those dropped among them."""
    kept: collections.deque[datetime.datetime] = collections.deque()
    dropped: collections.deque[datetime.datetime] = collections.deque()
    begin = _skipped_ahead(schedule, start, horizon, most)
    at = due_at if due_at >= begin else schedule.next_after(begin - _JUST_BEFORE)
    while at is not None and at <= horizon:
        (dropped if schedule.drops(at) else kept).append(at)
        if len(kept) > most:
            kept.popleft()
        while dropped and len(kept) == most and dropped[0] < kept[0]:
            dropped.popleft()
        at = schedule.next_after(at)
    return tuple(kept), tuple(dropped)


def _skipped_ahead(
    schedule: Schedule, start: datetime.datetime, horizon: datetime.datetime, most: int
) -> datetime.datetime:
    """A later start that leaves enough occurrences, so that few of a long outage are walked one by one."""
    while True:
        middle = start + (horizon - start) / 2
        half = schedule.stretch(middle - _JUST_BEFORE, horizon)
        if half is None or half.count <= 2 * most:
            return start
        start = middle
