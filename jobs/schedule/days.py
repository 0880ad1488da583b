"""The days of a pattern. A day is a number, counted from 1970-01-01."""

import calendar
import datetime
from bisect import bisect_left

from jobs.schedule.fields import BEFORE_LAST, LAST, LAST_DAY, LAST_WEEKDAY, NEAREST, CronField
from jobs.schedule.seconds import EPOCH_ORDINAL, LAST_YEAR

#: The possible lengths of each month, by its number.
_LENGTHS: tuple[tuple[int, ...], ...] = (
    (), (31,), (28, 29), (31,), (30,), (31,), (30,), (31,), (31,), (30,), (31,), (30,), (31,),
)  # fmt: skip
#: 28 years have every kind of year, after every kind that it can follow.
_CYCLE_START, _CYCLE_END = (datetime.date(year, 1, 1).toordinal() - EPOCH_ORDINAL for year in (2000, 2028))
_DECEMBER = 12
_WEEK = 7


class Days:
    """The days of the fields day of month, month and day of week.

    If a day field starts with `*`, a day must match both day fields; otherwise either is enough. Vixie's and Debian's
    cron do the same, so `0 0 */2 * 1` means Mondays with an odd date.
    """

    __slots__ = ("_both", "_months", "_of_month", "_shapes", "_weekdays", "every")

    def __init__(self, of_month: CronField, months: CronField, weekdays: CronField) -> None:
        self._of_month, self._months, self._weekdays = of_month, months.values, weekdays
        self._both = of_month.starred or weekdays.starred
        #: Days of a month by its length and first weekday: 28 shapes, computed on demand.
        self._shapes: dict[tuple[int, int], tuple[int, ...]] = {}
        whole_week = len(weekdays.values) == _WEEK
        every_date = of_month.values == tuple(range(1, 32))
        matching = whole_week and every_date if self._both else whole_week or every_date
        self.every = matching and len(months.values) == _DECEMBER

    def any(self) -> bool:
        """Return whether any day matches, by trying each shape of month."""
        shapes = ((length, start) for month in self._months for length in _LENGTHS[month] for start in range(_WEEK))
        return any(self._of_shape(*shape) for shape in shapes)

    def within(self, most: int) -> bool:
        """Return whether two matching days are ever at most `most` days apart. At most one step per matching day."""
        if self.every:
            return True
        previous = self.first_from(_CYCLE_START)
        while previous is not None and previous < _CYCLE_END:
            following = self.first_from(previous + 1)
            if following is not None and following - previous <= most:
                return True
            previous = following
        return False

    def includes(self, day: int) -> bool:
        if self.every:
            return True
        date = datetime.date.fromordinal(day + EPOCH_ORDINAL)
        return date.month in self._months and date.day in self._in_month(date.year, date.month)

    def first_from(self, day: int) -> int | None:
        """Return the first matching day that is `day` or later, or None."""
        if self.every:
            return day
        date = datetime.date.fromordinal(day + EPOCH_ORDINAL)
        year, month, least = date.year, date.month, date.day
        while year <= LAST_YEAR:
            if month in self._months:
                days = self._in_month(year, month)
                at = bisect_left(days, least)
                if at < len(days):
                    return _day_number(year, month, days[at])
            year, month, least = (year, month + 1, 1) if month < _DECEMBER else (year + 1, 1, 1)
        return None

    def last_before(self, day: int) -> int | None:
        """Return the last matching day earlier than `day`; None if there is none since 1970."""
        if self.every:
            return day - 1
        date = datetime.date.fromordinal(day + EPOCH_ORDINAL)
        year, month, limit = date.year, date.month, date.day
        while year >= 1970:  # noqa: PLR2004 - day 0
            if month in self._months:
                days = self._in_month(year, month)
                at = bisect_left(days, limit)
                if at:
                    return _day_number(year, month, days[at - 1])
            year, month, limit = (year, month - 1, 32) if month > 1 else (year - 1, _DECEMBER, 32)
        return None

    def count(self, low: int, high: int) -> int:
        """Count the matching days from `low` to before `high`. One step per month."""
        if self.every:
            return high - low
        start = datetime.date.fromordinal(low + EPOCH_ORDINAL)
        end = datetime.date.fromordinal(high + EPOCH_ORDINAL)
        months = range(start.year * 12 + start.month - 1, end.year * 12 + end.month - 1)
        total = sum(self._size_of(*divmod(month, 12)) for month in months)
        return total + self._before(end) - self._before(start)

    def _size_of(self, year: int, month_from_zero: int) -> int:
        month = month_from_zero + 1
        return len(self._in_month(year, month)) if month in self._months else 0

    def _before(self, date: datetime.date) -> int:
        """Count the matching days earlier in this date's month."""
        return bisect_left(self._in_month(date.year, date.month), date.day) if date.month in self._months else 0

    def _in_month(self, year: int, month: int) -> tuple[int, ...]:
        start = datetime.date(year, month, 1).toordinal() % _WEEK
        length = _LENGTHS[month][-1]
        if month == 2 and not calendar.isleap(year):  # noqa: PLR2004
            length = 28
        days = self._shapes.get((length, start))
        return self._of_shape(length, start) if days is None else days

    def _of_shape(self, length: int, start: int) -> tuple[int, ...]:
        """Return the matching days of a month of `length` days that starts on the weekday `start` (Sunday is 0)."""
        by_date = {day for day in self._of_month.values if day <= length}
        if LAST_DAY in self._of_month.special:
            by_date.add(length)
        if LAST_WEEKDAY in self._of_month.special:
            last = (start + length - 1) % _WEEK
            by_date.add(length - {0: 2, 6: 1}.get(last, 0))
        by_date |= {day for special in self._of_month.special if (day := _special_day(special, length, start))}
        by_weekday = {day for day in range(1, length + 1) if self._matches_weekday(day, (start + day - 1) % 7, length)}
        days = tuple(sorted(by_date & by_weekday if self._both else by_date | by_weekday))
        self._shapes[length, start] = days
        return days

    def _matches_weekday(self, day: int, weekday: int, length: int) -> bool:
        if weekday in self._weekdays.values:
            return True
        special = self._weekdays.special
        return (weekday, (day + 6) // 7) in special or (day + _WEEK > length and (weekday, LAST) in special)


def _special_day(special: object, length: int, start: int) -> int | None:
    """Return the day of a month for `L-3` or `15W`; None if the month has none, and for anything else."""
    if match := BEFORE_LAST.fullmatch(str(special)):
        day = length - int(match["before"])
        return day if day >= 1 else None
    if match := NEAREST.fullmatch(str(special)):
        day = int(match["day"])
        if day > length:
            return None
        match (start + day - 1) % _WEEK:
            case 6:  # Saturday: the Friday before, within the month
                return day - 1 if day > 1 else day + 2
            case 0:  # Sunday: the Monday after, within the month
                return day + 1 if day < length else day - 2
        return day
    return None


def _day_number(year: int, month: int, day: int) -> int:
    return datetime.date(year, month, day).toordinal() - EPOCH_ORDINAL
