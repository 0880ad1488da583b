"""Intervals: a fixed number of seconds, regardless of time zones."""

import datetime
from dataclasses import dataclass
from typing import ClassVar

from jobs.schedule.contract import NeverDrops, OccurrenceRange, ScheduleError
from jobs.schedule.seconds import DAY

MIN_INTERVAL_SECONDS = 1
MAX_INTERVAL_SECONDS = 366 * DAY


@dataclass(frozen=True, slots=True)
class Interval(NeverDrops):
    """Every `seconds`, counted from `anchor`, so that neither restarts nor edits make it drift."""

    seconds: int
    anchor: datetime.datetime
    type: ClassVar[str] = "recurring"

    @property
    def normalized(self) -> dict[str, int]:
        return {"every_seconds": self.seconds}

    @property
    def description(self) -> str:
        for size, unit in ((3600, "hour"), (60, "minute")):
            count, rest = divmod(self.seconds, size)
            if rest == 0:
                return f"Every {unit}" if count == 1 else f"Every {count} {unit}s"
        return "Every second" if self.seconds == 1 else f"Every {self.seconds} seconds"

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        step = datetime.timedelta(seconds=self.seconds)
        passed = (instant - self.anchor) // step
        try:
            return self.anchor + max(passed + 1, 0) * step
        except OverflowError:
            return None

    def occurrences_between(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        step = datetime.timedelta(seconds=self.seconds)
        first = max((after - self.anchor) // step + 1, 0)
        last = (until - self.anchor) // step
        if last < first:
            return None
        return OccurrenceRange(self.anchor + first * step, self.anchor + last * step, last - first + 1)

    def closer_than(self, seconds: int) -> bool:
        return self.seconds < seconds


def parse_interval(seconds: object, anchor: datetime.datetime) -> Interval:
    """Check the seconds of an interval. Raises ScheduleError."""
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise ScheduleError("every_seconds should be a whole number of seconds.")
    if not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise ScheduleError(f"every_seconds should be from {MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}.")
    return Interval(seconds, anchor)
