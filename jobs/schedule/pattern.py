"""Patterns: recurring local times, without a time zone.

A wall time is a local time as a number: its seconds since 1970-01-01 00:00, as if it were UTC.
"""

import functools
from dataclasses import dataclass, field

from jobs.schedule import fields
from jobs.schedule.contract import ScheduleError
from jobs.schedule.days import Days
from jobs.schedule.describe import describe_cron
from jobs.schedule.fields import parse_field
from jobs.schedule.seconds import DAY, END
from jobs.schedule.times import FieldTimes, Times
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
    """A set of wall times. Patterns with the same normal form, `text`, are equal.

    `fixed` patterns have fixed times, as in Debian's cron: neither the minute nor the hour field starts with `*`. Only
    those need rules for skipped and repeated times. `every_hour` patterns are the same in each hour of a day, so that
    clock changes make no difference to them.
    """

    text: str
    description: str = field(compare=False)
    fixed: bool = field(compare=False)
    every_hour: bool = field(compare=False)
    times: Times = field(compare=False, repr=False)
    days: Days | WeeksApart = field(compare=False, repr=False)
    #: Of a pattern every few weeks: which weeks.
    phase: int = 0

    def first_from(self, wall: int) -> int:
        """Return the first wall time that is `wall` or later, or `END`."""
        day, time = divmod(wall, DAY)
        if self.days.includes(day):
            rank = self.times.rank(time)
            if rank < self.times.per_day:
                return day * DAY + self.times.at(rank)
        following = self.days.first_from(day + 1)
        return END if following is None else following * DAY + self.times.at(0)

    def last_before(self, wall: int) -> int | None:
        """Return the last wall time earlier than `wall`; None if there is none since 1970."""
        day, time = divmod(wall, DAY)
        if self.days.includes(day):
            rank = self.times.rank(time)
            if rank:
                return day * DAY + self.times.at(rank - 1)
        preceding = self.days.last_before(day)
        return None if preceding is None else preceding * DAY + self.times.at(self.times.per_day - 1)

    def count(self, low: int, high: int) -> int:
        """Count the wall times from `low` to before `high`."""
        if high <= low:
            return 0
        return self._rank(high) - self._rank(low) + self.times.per_day * self.days.count(low // DAY, high // DAY)

    def closer_than(self, seconds: int) -> bool:
        """Return whether two wall times, on one day or on two, are ever less than this many seconds apart."""
        if self.times.per_day > 1 and self.times.closest() < seconds:
            return True
        overnight = DAY - self.times.at(self.times.per_day - 1) + self.times.at(0)
        return overnight < seconds and self.days.within(-(-(seconds - overnight) // DAY))

    def _rank(self, wall: int) -> int:
        """Count the wall times earlier than `wall` on its day."""
        day, time = divmod(wall, DAY)
        return self.times.rank(time) if self.days.includes(day) else 0

    def includes(self, wall: int) -> bool:
        return self.first_from(wall) == wall


@functools.lru_cache(maxsize=16_384)
def cron_pattern(text: str) -> Pattern:
    """Parse a cron expression of five fields, or of six with the seconds first. Raises ScheduleError."""
    parts = text.split()
    if len(parts) == len(_KINDS) - 1:
        parts.insert(0, "0")
    parsed = [parse_field(kind, part) for kind, part in zip(_KINDS, parts, strict=True)]
    second, minute, hour, of_month, months, weekdays = parsed
    days = Days(of_month, months, weekdays)
    if not days.any():
        raise ScheduleError("no date matches its day fields, so it would never fire.")
    written = parsed[1:] if second.values == (0,) else parsed
    return Pattern(
        text=" ".join(cron_field.text for cron_field in written),
        description=describe_cron(parsed),
        fixed=not (minute.starred or hour.starred),
        every_hour=hour.values == tuple(range(24)),
        times=FieldTimes(hour.values, minute.values, second.values),
        days=days,
    )
