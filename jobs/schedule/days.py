"""Days: which days of the calendar a pattern takes. A day is a number, counted from 1970-01-01."""

import calendar
import datetime
from bisect import bisect_left

from jobs.schedule.fields import BEFORE_LAST, LAST, LAST_DAY, LAST_WEEKDAY, NEAREST, CronField
from jobs.schedule.seconds import EPOCH_ORDINAL, LAST_YEAR

#: The lengths that each month has, by its number.
_LENGTHS: tuple[tuple[int, ...], ...] = (
    (), (31,), (28, 29), (31,), (30,), (31,), (30,), (31,), (31,), (30,), (31,), (30,), (31,),
)  # fmt: skip
#: 28 years have every kind of year there is, each after every kind that it can follow.
_CYCLE_START, _CYCLE_END = (datetime.date(year, 1, 1).toordinal() - EPOCH_ORDINAL for year in (2000, 2028))
_DECEMBER = 12
_WEEK = 7


class Days:
    """What the fields day of month, month and day of week say together.

    Where a day field starts with `*`, a day has to match both day fields; else one of them is enough. That is what
    Vixie's and Debian's cron do, and what makes `0 0 */2 * 1` mean Mondays with an odd date.
    """

    __slots__ = ("_both", "_months", "_of_month", "_shapes", "_weekdays", "every")

    def __init__(self, of_month: CronField, months: CronField, weekdays: CronField) -> None:
        self._of_month, self._months, self._weekdays = of_month, months.values, weekdays
        self._both = of_month.starred or weekdays.starred
        #: Days of a month by its length and the weekday that it starts on: 28 shapes of months, filled when needed.
        self._shapes: dict[tuple[int, int], tuple[int, ...]] = {}
        whole_week = len(weekdays.values) == _WEEK
        every_date = of_month.values == tuple(range(1, 32))
        matching = whole_week and every_date if self._both else whole_week or every_date
        self.every = matching and len(months.values) == _DECEMBER

    def any(self) -> bool:
        """Whether there is such a day at all. Every month that the calendar can have is looked at, none is walked."""
        shapes = ((length, start) for month in self._months for length in _LENGTHS[month] for start in range(_WEEK))
        return any(self._of_shape(*shape) for shape in shapes)

    def within(self, most: int) -> bool:
        """Whether two such days are ever at most so many days apart. Costs at most a step for each of them."""
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
        """The first such day that is `day` or later; None when there is none any more."""
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
        """The last such day that is earlier than `day`; None when there is none since 1970."""
        if self.every:
            return day - 1
        date = datetime.date.fromordinal(day + EPOCH_ORDINAL)
        year, month, limit = date.year, date.month, date.day
        while year >= 1970:  # noqa: PLR2004 - where days are counted from
            if month in self._months:
                days = self._in_month(year, month)
                at = bisect_left(days, limit)
                if at:
                    return _day_number(year, month, days[at - 1])
            year, month, limit = (year, month - 1, 32) if month > 1 else (year - 1, _DECEMBER, 32)
        return None

    def count(self, low: int, high: int) -> int:
        """How many such days are from `low` to before `high`. Costs a step a month."""
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
        """How many such days are in this date's month before it."""
        return bisect_left(self._in_month(date.year, date.month), date.day) if date.month in self._months else 0

    def _in_month(self, year: int, month: int) -> tuple[int, ...]:
        start = datetime.date(year, month, 1).toordinal() % _WEEK
        length = _LENGTHS[month][-1]
        if month == 2 and not calendar.isleap(year):  # noqa: PLR2004
            length = 28
        found = self._shapes.get((length, start))
        return self._of_shape(length, start) if found is None else found

    def _of_shape(self, length: int, start: int) -> tuple[int, ...]:
        """The days taken of a month that is `length` days long and starts on the weekday `start` (Sunday is 0)."""
        by_date = {day for day in self._of_month.values if day <= length}
        if LAST_DAY in self._of_month.special:
            by_date.add(length)
        if LAST_WEEKDAY in self._of_month.special:
            last = (start + length - 1) % _WEEK
            by_date.add(length - {0: 2, 6: 1}.get(last, 0))
        by_date |= {day for special in self._of_month.special if (day := _special_day(special, length, start))}
        by_weekday = {day for day in range(1, length + 1) if self._matches_weekday(day, (start + day - 1) % 7, length)}
        found = tuple(sorted(by_date & by_weekday if self._both else by_date | by_weekday))
        self._shapes[length, start] = found
        return found

    def _matches_weekday(self, day: int, weekday: int, length: int) -> bool:
        if weekday in self._weekdays.values:
            return True
        special = self._weekdays.special
        return (weekday, (day + 6) // 7) in special or (day + _WEEK > length and (weekday, LAST) in special)


def _special_day(special: object, length: int, start: int) -> int | None:
    """The day of a month that `L-3` or `15W` means; None where that month has none, and for anything else."""
    if found := BEFORE_LAST.fullmatch(str(special)):
        day = length - int(found["before"])
        return day if day >= 1 else None
    if found := NEAREST.fullmatch(str(special)):
        day = int(found["day"])
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
