"""Patterns in a time zone: their instants, and what happens when the zone's offset changes.

Patterns are evaluated in local time ("wall times"), and this module converts wall times to instants. Fixed times:

- A wall time that a clock change skips occurs at the instant of the change. Several skipped times are one occurrence,
  also together with a time that is due at that instant anyway. With the gap `skip` the occurrence is dropped.
- A wall time that a clock change repeats occurs the first time; with the fold `both`, each time.

Patterns with a wildcard in the hour or minute field follow real time: skipped times do not occur, and repeated ones
occur again.
"""

import datetime
from dataclasses import dataclass
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from jobs.schedule.contract import OccurrenceRange
from jobs.schedule.pattern import Pattern
from jobs.schedule.seconds import DAY, END, instant_of, seconds_of
from jobs.schedule.zones import OffsetPeriod, offset_period_at

Gap = Literal["shift", "skip"]
Fold = Literal["first", "both"]
#: At most about one occurrence a year is dropped, so this many in a row mean that all are.
_MAX_DROPPED = 60


@dataclass(frozen=True, slots=True)
class Cron:
    """A pattern in the local time of `zone`."""

    pattern: Pattern
    zone: ZoneInfo
    gap: Gap = "shift"
    fold: Fold = "first"
    type: ClassVar[str] = "recurring"

    @property
    def normalized(self) -> str:
        return self.pattern.text

    @property
    def description(self) -> str:
        return self.pattern.description

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        second = self._first_from(max(seconds_of(instant) + 1, 0))
        return None if second is None else instant_of(second)

    def occurrences_between(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        first = self.next_after(after)
        if first is None or first > until:
            return None
        second = last = seconds_of(first)
        end = min(seconds_of(until) + 1, END)
        count = 0
        while second < end:
            period = offset_period_at(self.zone, second)
            low, high = self._first_wall(period, second), min(period.end, end) + period.offset
            wall_times = self.pattern.count(low, high)
            if second == period.start and self._skips_fixed_time(period):
                last = second
                count += not self.pattern.includes(low)
            if wall_times:
                count += wall_times
                last = (self.pattern.last_before(high) or 0) - period.offset
            second = period.end
        return OccurrenceRange(first, instant_of(last), count)

    def drops(self, occurrence: datetime.datetime) -> bool:
        if self.gap != "skip" or not self.pattern.fixed or occurrence.microsecond:
            return False
        second = seconds_of(occurrence)
        if not 0 <= second < END:
            return False
        period = offset_period_at(self.zone, second)
        return (
            second == period.start
            and self._skips_fixed_time(period)
            and not self.pattern.includes(second + period.offset)
        )

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        at = self.next_after(instant)
        for _ in range(_MAX_DROPPED):
            if at is None or not self.drops(at):
                return at
            at = self.next_after(at)
        return None

    def closer_than(self, seconds: int) -> bool:
        return self.pattern.closer_than(seconds)

    def _first_from(self, second: int) -> int | None:
        """Return the first second with an occurrence, from this one on."""
        while second < END:
            period = offset_period_at(self.zone, second)
            if second == period.start and self._skips_fixed_time(period):
                return second
            wall = self.pattern.first_from(self._first_wall(period, second))
            if wall >= END:
                return None
            if wall < period.end + period.offset:
                return wall - period.offset
            # Skip ahead to a distant occurrence, unless the end of this period may repeat times before `second`.
            near = period.end - second < 2 * DAY
            second = period.end if near else max(period.end, wall - 2 * DAY)
        return None

    def _first_wall(self, period: OffsetPeriod, second: int) -> int:
        """Return the first wall time of a period, at or after `second`, that did not occur before it."""
        wall = second + period.offset
        if self.pattern.fixed and self.fold == "first":
            return max(wall, period.start + period.before)
        return wall

    def _skips_fixed_time(self, period: OffsetPeriod) -> bool:
        """Return whether the clock change at the start of this period skipped a fixed time."""
        if period.before >= period.offset or not self.pattern.fixed:
            return False
        return self.pattern.first_from(period.start + period.before) < period.start + period.offset
