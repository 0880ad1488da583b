"""Days of every so many weeks: which weekdays, how many weeks apart, and which weeks. A day counts from 1970-01-01."""

import itertools

from jobs.schedule.seconds import DAY, END

_WEEK = 7
#: 1970-01-01 was a Thursday; weeks begin on Monday, and the first has only its last four days.
_THURSDAY = 3


class WeeksApart:
    """These weekdays (Sunday is 0) of the weeks whose number leaves `phase` when it is divided by `weeks`."""

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
        """Whether two such days are ever at most so many days apart."""
        days = self._days
        between = (later - earlier for earlier, later in itertools.pairwise(days))
        return min((*between, self._weeks * _WEEK + days[0] - days[-1])) <= most

    def includes(self, day: int) -> bool:
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        return week % self._weeks == self._phase and weekday in self._days

    def first_from(self, day: int) -> int | None:
        """The first such day that is `day` or later; None when there is none any more."""
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        later = [one for one in self._days if one >= weekday]
        wait = (self._phase - week) % self._weeks
        if wait == 0 and not later:
            wait = self._weeks
        first = later[0] if wait == 0 else self._days[0]
        found = (week + wait) * _WEEK + first - _THURSDAY
        return found if found * DAY < END else None

    def last_before(self, day: int) -> int | None:
        """The last such day that is earlier than `day`; None when there is none since 1970."""
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        earlier = [one for one in self._days if one < weekday]
        back = (week - self._phase) % self._weeks
        if back == 0 and not earlier:
            back = self._weeks
        last = earlier[-1] if back == 0 else self._days[-1]
        found = (week - back) * _WEEK + last - _THURSDAY
        return found if found >= 0 else None

    def count(self, low: int, high: int) -> int:
        """How many such days are from `low` to before `high`. Costs the same however far they are apart."""
        return self._until(high) - self._until(low)

    def _until(self, day: int) -> int:
        """How many such days are before `day`, counted from the Monday of the week of 1970-01-01."""
        week, weekday = divmod(day + _THURSDAY, _WEEK)
        whole = max(0, (week - self._phase + self._weeks - 1) // self._weeks)
        partly = sum(one < weekday for one in self._days) if week % self._weeks == self._phase else 0
        return whole * len(self._days) + partly


def phase_of(day: int, weeks: int) -> int:
    """The phase with which the week of this day is among those taken."""
    return (day + _THURSDAY) // _WEEK % weeks
