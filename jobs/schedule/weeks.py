"""Days every few weeks. A day is a number, counted from 1970-01-01."""

import itertools

from jobs.schedule.seconds import DAY, END

_WEEK = 7
#: 1970-01-01 was a Thursday, and weeks begin on Monday, so the first week has four days.
_THURSDAY = 3


class WeeksApart:
    """These weekdays (Sunday is 0) of the weeks whose number modulo `weeks` is `phase`."""

    __slots__ = ("_days", "_phase", "_weeks", "every")

    def __init__(self, weekdays: tuple[int, ...], weeks: int, phase: int) -> None:
        #: From Monday, which is 0.
        self._days = tuple(sorted((day - 1) % _WEEK for day in weekdays))
        self._weeks = weeks
        self._phase = phase
        self.every = False

    def any(self) -> bool:
        return True

    def within(self, most: int) -> bool:
        """Return whether two matching days are ever at most `most` days apart."""
        days = self._days
        between = (later - earlier for earlier, later in itertools.pairwise(days))
        return min((*between, self._weeks * _WEEK + days[0] - days[-1])) <= most

    def includes(self, day: int) -> bool:
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        return week % self._weeks == self._phase and weekday in self._days

    def first_from(self, day: int) -> int | None:
        """Return the first matching day that is `day` or later, or None."""
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        later = [other for other in self._days if other >= weekday]
        wait = (self._phase - week) % self._weeks
        if wait == 0 and not later:
            wait = self._weeks
        first = later[0] if wait == 0 else self._days[0]
        number = (week + wait) * _WEEK + first - _THURSDAY
        return number if number * DAY < END else None

    def last_before(self, day: int) -> int | None:
        """Return the last matching day earlier than `day`; None if there is none since 1970."""
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        earlier = [other for other in self._days if other < weekday]
        back = (week - self._phase) % self._weeks
        if back == 0 and not earlier:
            back = self._weeks
        last = earlier[-1] if back == 0 else self._days[-1]
        number = (week - back) * _WEEK + last - _THURSDAY
        return number if number >= 0 else None

    def count(self, low: int, high: int) -> int:
        """Count the matching days from `low` to before `high`, in constant time."""
        return self._until(high) - self._until(low)

    def _until(self, day: int) -> int:
        """Count the matching days before `day`, from the Monday of the week of 1970-01-01."""
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        whole = max(0, (week - self._phase + self._weeks - 1) // self._weeks)
        partly = sum(other < weekday for other in self._days) if week % self._weeks == self._phase else 0
        return whole * len(self._days) + partly


def phase_of(day: int, weeks: int) -> int:
    """Return the phase that includes the week of this day."""
    return (day + _THURSDAY) // _WEEK % weeks
