"""The times of day of a pattern, numbered, so that counting needs no walk."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from jobs.schedule.seconds import DAY


class Times(Protocol):
    """Sorted times of day, at least one, in seconds since midnight, local time."""

    @property
    def per_day(self) -> int: ...

    def rank(self, time: int) -> int:
        """Count the times before `time`."""

    def at(self, rank: int) -> int:
        """Return the time with this many before it."""

    def closest(self) -> int:
        """Return the fewest seconds between two times; a whole day for a single one."""


class FieldTimes:
    """Every combination of these hours, minutes and seconds. The tuples are sorted."""

    __slots__ = ("_hours", "_minutes", "_per_hour", "_per_minute", "_seconds", "per_day")

    def __init__(self, hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> None:
        self._hours, self._minutes, self._seconds = hours, minutes, seconds
        self._per_minute = len(seconds)
        self._per_hour = len(minutes) * len(seconds)
        self.per_day = len(hours) * self._per_hour

    def rank(self, time: int) -> int:
        hours, minutes = self._hours, self._minutes
        hour, rest = divmod(time, 3600)
        at_hour = bisect_left(hours, hour)
        rank = at_hour * self._per_hour
        if at_hour == len(hours) or hours[at_hour] != hour:
            return rank
        minute, second = divmod(rest, 60)
        at_minute = bisect_left(minutes, minute)
        rank += at_minute * self._per_minute
        if at_minute == len(minutes) or minutes[at_minute] != minute:
            return rank
        return rank + bisect_left(self._seconds, second)

    def at(self, rank: int) -> int:
        hour, rest = divmod(rank, self._per_hour)
        minute, second = divmod(rest, self._per_minute)
        return self._hours[hour] * 3600 + self._minutes[minute] * 60 + self._seconds[second]

    def closest(self) -> int:
        over_minute = self._seconds[0] - self._seconds[-1]
        over_hour = (self._minutes[0] - self._minutes[-1]) * 60 + over_minute
        apart = (
            _min_step(self._seconds),
            _min_step(self._minutes) * 60 + over_minute,
            _min_step(self._hours) * 3600 + over_hour,
        )
        return min(DAY, *apart)


class ListedTimes:
    """A sorted list of times."""

    __slots__ = ("per_day", "times")

    def __init__(self, times: tuple[int, ...]) -> None:
        self.times = times
        self.per_day = len(times)

    def rank(self, time: int) -> int:
        return bisect_left(self.times, time)

    def at(self, rank: int) -> int:
        return self.times[rank]

    def closest(self) -> int:
        return min(DAY, _min_step(self.times))


def _min_step(numbers: Sequence[int]) -> int:
    """Return the smallest difference in a sorted sequence; two days for a single number."""
    return min((after - before for before, after in pairwise(numbers)), default=2 * DAY)
