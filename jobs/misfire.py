"""What to do with occurrences that are due, some of them perhaps long ago. Pure."""

import datetime
from dataclasses import dataclass

from jobs.schedule import Schedule, Stretch

_JUST_BEFORE = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FiringPlan:
    """`fire_at` is the occurrence to fire (None: none), `missed` those only counted, `next_fire_at` the next."""

    fire_at: datetime.datetime | None
    missed: Stretch | None
    next_fire_at: datetime.datetime | None


def plan_firing(
    schedule: Schedule, *, due_at: datetime.datetime, now: datetime.datetime, grace: datetime.timedelta
) -> FiringPlan:
    """Fire once: of the occurrences from `due_at` to `now`, fire the last and count the others as missed.

    One that is later than `grace` is missed too. `due_at` always counts as an occurrence: it was planned when it was
    stored, though the schedule may have been changed since.
    """
    next_fire_at = schedule.next_after(now)
    later = schedule.stretch(due_at, now)
    last = later.last if later else due_at
    if now - last > grace:
        return FiringPlan(None, Stretch(due_at, last, 1 + (later.count if later else 0)), next_fire_at)
    if later is None:
        return FiringPlan(due_at, None, next_fire_at)
    earlier = schedule.stretch(due_at, last - _JUST_BEFORE)
    missed = Stretch(due_at, earlier.last if earlier else due_at, later.count)
    return FiringPlan(last, missed, next_fire_at)
