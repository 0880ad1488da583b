"""Patterns: recurring times on a wall clock, apart from any time zone.

A wall time is a number too: the seconds from 1970-01-01 00:00 to it on that clock, as if it were UTC.
"""

import functools
from dataclasses import dataclass, field

from jobs.schedule import fields
from jobs.schedule.contract import ScheduleError
from jobs.schedule.days import Days
from jobs.schedule.describe import describe_cron
from jobs.schedule.fields import parse_field
from jobs.schedule.seconds import DAY, END
from jobs.schedule.times import EachOf, Times
from jobs.schedule.weeks import WeeksApart

_KINDS = (fields.SECOND, fields.MINUTE, fields.HOUR, fields.DAY, fields.MONTH, fields.WEEKDAY)
PRESETS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
    "yearly": "0 0 1 1 *",
    "monthly": "0 0 1 * *",
    "weekly": "0 0 * * 0",
    "daily": "0 0 * * *",
    "hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which wall times are meant. Two patterns with the same normal form, `text`, are the same.

    `fixed` says that the jobs are on fixed times, as Debian's cron has it: neither the minute nor the hour field starts
    with `*`. Only those need rules for times that a clock skips or repeats. `every_hour` ones do the same in each hour
    of a day, so that such times make no difference to them.
    """

    text: str
    description: str = field(compare=False)
    fixed: bool = field(compare=False)
    every_hour: bool = field(compare=False)
    times: Times = field(compare=False, repr=False)
    days: Days | WeeksApart = field(compare=False, repr=False)
    #: Of every so many weeks: which of them.
    phase: int = 0

    def first_from(self, wall: int) -> int:
        """The first wall time that is `wall` or later; the end of time (`END`) when there is none."""
        day, time = divmod(wall, DAY)
        if self.days.includes(day):
            rank = self.times.rank(time)
            if rank < self.times.per_day:
                return day * DAY + self.times.at(rank)
        following = self.days.first_from(day + 1)
        return END if following is None else following * DAY + self.times.at(0)

    def last_before(self, wall: int) -> int | None:
        """The last wall time that is earlier than `wall`; None when there is none since 1970."""
        day, time = divmod(wall, DAY)
        if self.days.includes(day):
            rank = self.times.rank(time)
            if rank:
                return day * DAY + self.times.at(rank - 1)
        preceding = self.days.last_before(day)
        return None if preceding is None else preceding * DAY + self.times.at(self.times.per_day - 1)

    def count(self, low: int, high: int) -> int:
        """How many wall times are from `low` to before `high`."""
        if high <= low:
            return 0
        return self._rank(high) - self._rank(low) + self.times.per_day * self.days.count(low // DAY, high // DAY)

    def closer_than(self, seconds: int) -> bool:
        """Whether two wall times are ever less than so many seconds apart: on one day, or on two days near enough."""
        if self.times.per_day > 1 and self.times.closest() < seconds:
            return True
        overnight = DAY - self.times.at(self.times.per_day - 1) + self.times.at(0)
        return overnight < seconds and self.days.within(-(-(seconds - overnight) // DAY))

    def _rank(self, wall: int) -> int:
        """How many wall times are earlier than `wall` on its day."""
        day, time = divmod(wall, DAY)
        return self.times.rank(time) if self.days.includes(day) else 0

    def includes(self, wall: int) -> bool:
        return self.first_from(wall) == wall


@functools.lru_cache(maxsize=16_384)
def cron_pattern(text: str) -> Pattern:
    """A cron expression of five fields, or of six with the seconds first. Raises ScheduleError."""
    parts = text.split()
    if len(parts) == len(_KINDS) - 1:
        parts.insert(0, "0")
    parsed = [parse_field(kind, part) for kind, part in zip(_KINDS, parts, strict=True)]
    second, minute, hour, of_month, months, weekdays = parsed
    days = Days(of_month, months, weekdays)
    if not days.any():
        raise ScheduleError("there is never such a day, so it would never fire.")
    shown = parsed[1:] if second.values == (0,) else parsed
    return Pattern(
        text=" ".join(each.text for each in shown),
        description=describe_cron(parsed),
        fixed=not (minute.starred or hour.starred),
        every_hour=hour.values == tuple(range(24)),
        times=EachOf(hour.values, minute.values, second.values),
        days=days,
    )
