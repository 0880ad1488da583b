"""Schedules in plain words: a small grammar that refuses whatever it does not fully understand.

Most are cron expressions. Times of day that no single cron expression covers (9:00 and 17:30) become patterns whose
normal form is words. Durations that do not divide an hour or a day evenly become intervals.
"""

import functools
import itertools
import re
from dataclasses import dataclass

from jobs.schedule.contract import ScheduleError
from jobs.schedule.days import Days
from jobs.schedule.describe import MONTHS, describe_days, describe_times, format_time, joined
from jobs.schedule.fields import DAY, MONTH, WEEKDAY, parse_field
from jobs.schedule.interval import MAX_INTERVAL_SECONDS
from jobs.schedule.pattern import Pattern, cron_pattern
from jobs.schedule.seconds import DAY as A_DAY
from jobs.schedule.times import ListedTimes
from jobs.schedule.tokens import Tokens, quoted
from jobs.schedule.weeks import WeeksApart, phase_of

FIRST_WORD = "every"
_UNITS = {"second": 1, "minute": 60, "hour": 3600}
_MINUTE, _HOUR = 60, 3600
_TIME = re.compile(r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?)?(?P<half>am|pm)?")
_ORDINAL = re.compile(r"(?P<number>[0-9]{1,2})(?P<suffix>st|nd|rd|th)")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_LAST = 0
#: Every month has days up to this one, and each weekday this often.
_MAX_COMMON_DAY, _MAX_COMMON_NTH = 28, 4
_NOON, _LAST_HOUR, _LAST_MINUTE, _LAST_SECOND = 12, 23, 59, 59
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_WORDS = frozenset(word for name in _WEEK for word in (name, name[:3]))
_MIN_WEEKS, _MAX_WEEKS = 2, 52
_MAX_SPAN_TIMES = 1440
_LENGTHS = dict(zip(range(1, 13), (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))


@dataclass(frozen=True, slots=True)
class _DayRule:
    """The days of a schedule: their words in normal form, and the cron fields day of month, month and day of week."""

    words: str
    of_month: str = "*"
    month: str = "*"
    weekday: str = "*"


@dataclass(frozen=True, slots=True)
class EveryWeeks:
    """A pattern every few weeks. `weekly` is the same in every week; `counted_from` decides in which ones."""

    weekly: Pattern
    weeks: int
    days: str
    weekdays: tuple[int, ...]
    times: tuple[int, ...]

    def counted_from(self, wall: int) -> Pattern:
        """Return the pattern whose first week is that of the first weekly time at or after `wall`."""
        phase = phase_of(self.weekly.first_from(wall) // A_DAY, self.weeks)
        return Pattern(
            text=f"every {self.weeks} weeks on {self.days} at {joined([format_time(time) for time in self.times])}",
            description=f"{self.weekly.description}, every {self.weeks} weeks",
            fixed=True,
            every_hour=False,
            times=ListedTimes(self.times),
            days=WeeksApart(self.weekdays, self.weeks, phase),
            phase=phase,
        )


@functools.lru_cache(maxsize=4096)
def read_words(text: str) -> Pattern | EveryWeeks | int:
    """Read words as a pattern, a pattern every few weeks, or the seconds of an interval. Raises ScheduleError."""
    tokens = Tokens(text)
    tokens.needs(FIRST_WORD, "every weekday at 9am")
    if tokens.next == "second" and tokens.after in _WEEKDAY_WORDS:
        raise ScheduleError(f'write "every other {tokens.after}".')
    if tokens.next in _UNITS or tokens.next[:1].isdecimal():
        return _read_duration(tokens)
    if tokens.took("other"):
        return _read_other(tokens)
    days = _read_days(tokens)
    times = {0}
    if tokens.took("at"):
        times = set(tokens.listed(_read_time))
    tokens.ended(f"{days.words} at 9:00")
    return _pattern(days, tuple(sorted(times)))


def _pattern(days: _DayRule, times: tuple[int, ...]) -> Pattern:
    """Return a cron expression if its fields give exactly these times, else a pattern with a list of times."""
    hours = sorted({time // _HOUR for time in times})
    minutes = sorted({time % _HOUR // _MINUTE for time in times})
    seconds = sorted({time % _MINUTE for time in times})
    if len(hours) * len(minutes) * len(seconds) == len(times):
        clock = " ".join(",".join(map(str, values)) for values in (seconds, minutes, hours))
        return cron_pattern(f"{clock} {days.of_month} {days.month} {days.weekday}")
    fields = parse_field(DAY, days.of_month), parse_field(MONTH, days.month), parse_field(WEEKDAY, days.weekday)
    which = describe_days(*fields)
    return Pattern(
        text=f"{days.words} at {joined([format_time(time) for time in times])}",
        description=f"{describe_times(times)}, {which}" if which else describe_times(times),
        fixed=True,
        every_hour=False,
        times=ListedTimes(times),
        days=Days(*fields),
    )


def _read_other(tokens: Tokens) -> EveryWeeks:
    """Read what follows "every other": a weekday, or "week on" and a weekday."""
    if tokens.next in _WEEKDAY_WORDS:
        return _read_weeks(tokens, 2)
    if tokens.took("week"):
        tokens.needs("on", _EXAMPLES["other week"])
        return _read_weeks(tokens, 2)
    if tokens.next in {"month", "year"}:
        raise ScheduleError(f'name the {tokens.next}s, as in "{_EXAMPLES["other " + tokens.next]}".')
    raise ScheduleError(
        'expected a day of the week after "every other", as in "every other friday at 9:00"; for every second day '
        'write "every 48 hours", or name the days.'
    )


def _read_weeks(tokens: Tokens, weeks: int) -> EveryWeeks:
    """Read the days and times of a pattern every few weeks."""
    days = sorted(set(itertools.chain(*tokens.listed(_read_weekdays))))
    times = {0}
    if tokens.took("at"):
        times = set(tokens.listed(_read_time))
    tokens.ended(_EXAMPLES["other week"])
    listed = tuple(sorted(times))
    weekdays = ",".join(str((day + 1) % 7) for day in days)
    fields = parse_field(DAY, "*"), parse_field(MONTH, "*"), parse_field(WEEKDAY, weekdays)
    which = describe_days(*fields)
    weekly = Pattern(
        text="",
        description=f"{describe_times(listed)}, {which or 'every day'}",
        fixed=True,
        every_hour=False,
        times=ListedTimes(listed),
        days=Days(*fields),
    )
    return EveryWeeks(weekly, weeks, joined([_WEEK[day] for day in days]), tuple((day + 1) % 7 for day in days), listed)


def _read_span(tokens: Tokens, step: int) -> Pattern:
    """Read a span from one time of day to another, perhaps with days of the week."""
    between = tokens.take() == "between"
    first = _read_time(tokens)
    if not (tokens.took("and") if between else tokens.took("to", "until", "till", "through")):
        raise tokens.unexpected(f'write it like "{_EXAMPLES["span"]}"')
    last = _read_time(tokens)
    days = _read_span_days(tokens)
    tokens.ended(_EXAMPLES["span"])
    if days.weekday != "*" and last < first:
        raise ScheduleError("a span with days of the week should end on the day it starts.")
    length = last - first if last > first else last - first + A_DAY
    if step > length:
        raise ScheduleError(f'only {format_time(first)} is in that span; write "every day at {format_time(first)}".')
    if length // step > _MAX_SPAN_TIMES:
        raise ScheduleError(f"a span should have at most {_MAX_SPAN_TIMES:,} times a day; write a cron expression.")
    times = tuple(sorted({(first + at) % A_DAY for at in range(0, length + 1, step)}))
    fields = parse_field(DAY, "*"), parse_field(MONTH, "*"), parse_field(WEEKDAY, days.weekday)
    which = describe_days(*fields)
    span = f"from {format_time(first)} to {format_time(last)}"
    every = _step_words(step)
    return Pattern(
        text=f"every {every} {span}{days.words}",
        description=f"Every {every} {span}" + (f", {which}" if which else ""),
        fixed=False,
        every_hour=False,
        times=ListedTimes(times),
        days=Days(*fields),
    )


def _read_span_days(tokens: Tokens) -> _DayRule:
    """Read "on weekdays", "on weekends" or "on monday and friday"; nothing is every day."""
    if not tokens.took("on"):
        return _DayRule("")
    if tokens.took("weekday", "weekdays"):
        return _DayRule(" on weekdays", weekday="1-5")
    if tokens.took("weekend", "weekends"):
        return _DayRule(" on weekends", weekday="6,0")
    days = _weekday_rule(sorted(set(itertools.chain(*tokens.listed(_read_weekdays)))))
    names = days.words.removeprefix("every ")
    words = {"day": "", "weekday": " on weekdays", "weekend": " on weekends"}.get(names, f" on {names}")
    return _DayRule(words, weekday=days.weekday)


def _step_words(seconds: int) -> str:
    for unit, size in (("hour", _HOUR), ("minute", _MINUTE), ("second", 1)):
        count, rest = divmod(seconds, size)
        if not rest:
            return unit if count == 1 else f"{count} {unit}s"
    raise AssertionError("every whole number is a multiple of one second")


def _read_duration(tokens: Tokens) -> Pattern | EveryWeeks | int:
    count = _read_count(tokens) if tokens.next not in _UNITS else 1
    unit = tokens.next.removesuffix("s")
    if unit == "week" and tokens.after == "on":
        if not _MIN_WEEKS <= count <= _MAX_WEEKS:
            raise ScheduleError(f'should be 2 to {_MAX_WEEKS} weeks; for every week write "every monday at 9:00".')
        tokens.take()
        tokens.take()
        return _read_weeks(tokens, count)
    if unit in {"day", "week", "month", "year"}:
        raise _calendar_unit_error(unit, count)
    if unit not in _UNITS:
        raise tokens.unexpected('write it like "every 5 minutes", with seconds, minutes or hours')
    tokens.take()
    if tokens.next in {"from", "between"} and 1 <= count * _UNITS[unit] <= A_DAY:
        return _read_span(tokens, count * _UNITS[unit])
    tokens.ended("every 5 minutes")
    seconds = count * _UNITS[unit]
    if not 1 <= seconds <= MAX_INTERVAL_SECONDS:
        raise ScheduleError(f"should be from 1 second to {MAX_INTERVAL_SECONDS // _HOUR} hours.")
    if _MINUTE % seconds == 0 and seconds < _MINUTE:
        return cron_pattern(f"*/{seconds} * * * * *")
    if _HOUR % seconds == 0 and seconds % _MINUTE == 0 and seconds < _HOUR:
        return cron_pattern(f"*/{seconds // _MINUTE} * * * *")
    if A_DAY % seconds == 0 and seconds % _HOUR == 0 and seconds < A_DAY:
        return cron_pattern(f"0 */{seconds // _HOUR} * * *")
    return seconds


def _read_count(tokens: Tokens) -> int:
    token = tokens.next
    if not re.fullmatch(r"[0-9]{1,9}", token):
        raise tokens.unexpected('write it like "every 5 minutes"')
    tokens.take()
    return int(token)


def _calendar_unit_error(unit: str, count: int) -> ScheduleError:
    if count == 1:
        return ScheduleError(f'leave out the 1, as in "{_EXAMPLES[unit]}".')
    if unit in {"day", "week"}:
        hours = count * (24 if unit == "day" else 7 * 24)
        example = f"every {count} weeks on monday" if unit == "week" else "every monday"
        return ScheduleError(f'write it in hours, as in "every {hours} hours", or name the days, as in "{example}".')
    return ScheduleError(f'{unit}s differ in length; name the days, as in "{_EXAMPLES[unit]}".')


_EXAMPLES = {
    "day": "every day at 9:00",
    "week": "every monday at 9:00",
    "month": "every month on the 1st",
    "year": "every year on march 15",
    "other week": "every other week on friday at 9:00",
    "other month": "0 9 1 */2 *",
    "other year": "2027-03-15T09:00",
    "span": "every 15 minutes from 9:00 to 17:00 on weekdays",
}


def _read_days(tokens: Tokens) -> _DayRule:
    match tokens.next:
        case "day":
            tokens.take()
            return _DayRule("every day")
        case "weekday":
            tokens.take()
            return _DayRule("every weekday", weekday="1-5")
        case "weekend":
            tokens.take()
            return _DayRule("every weekend", weekday="6,0")
        case "month":
            tokens.take()
            tokens.needs("on", _EXAMPLES["month"])
            return _read_days_of_month(tokens)
        case "year":
            tokens.take()
            tokens.needs("on", _EXAMPLES["year"])
            return _read_date(tokens)
        case "week":
            raise ScheduleError(f'write which day of the week, as in "{_EXAMPLES["week"]}".')
    return _weekday_rule(sorted(set(itertools.chain(*tokens.listed(_read_weekdays)))))


def _weekday_rule(days: list[int]) -> _DayRule:
    """Return the rule of sorted days of the week; Monday is 0."""
    match days:
        case [0, 1, 2, 3, 4, 5, 6]:
            return _DayRule("every day")
        case [0, 1, 2, 3, 4]:
            return _DayRule("every weekday", weekday="1-5")
        case [5, 6]:
            return _DayRule("every weekend", weekday="6,0")
    numbers = ",".join(str((day + 1) % 7) for day in days)
    return _DayRule(f"every {joined([_WEEK[day] for day in days])}", weekday=numbers)


def _read_weekdays(tokens: Tokens) -> list[int]:
    """Read "monday", or "monday to friday"."""
    first = _read_weekday(tokens)
    if not tokens.took("to", "through"):
        return [first]
    last = _read_weekday(tokens)
    return [day % 7 for day in range(first, last + 1 if first <= last else last + 8)]


def _read_weekday(tokens: Tokens) -> int:
    for number, name in enumerate(_WEEK):
        if tokens.took(name, name[:3]):
            return number
    raise tokens.unexpected('expected a day of the week, as in "every monday at 9:00", or "every day"')


def _read_days_of_month(tokens: Tokens) -> _DayRule:
    tokens.needs("the", _EXAMPLES["month"])
    ordinals = sorted(set(tokens.listed(_read_ordinal)), key=lambda number: number or 99)
    if tokens.next and tokens.next not in {"at", "day"}:
        return _read_weekday_of_month(tokens, ordinals)
    if not tokens.took("day") and _LAST in ordinals:
        raise tokens.unexpected('write the last of what, as in "the last day", "the last weekday" or "the last friday"')
    for number in ordinals:
        if number > _MAX_COMMON_DAY:
            cron = f"0 0 {number} * *"
            raise ScheduleError(
                f'not every month has a day {number}; write "the last day", or {cron} for the months that have it.'
            )
    ending = " day" if _LAST in ordinals else ""
    words = f"every month on the {joined([_ordinal(number) for number in ordinals])}{ending}"
    return _DayRule(words, of_month=",".join(str(number) if number else "L" for number in ordinals))


def _read_weekday_of_month(tokens: Tokens, ordinals: list[int]) -> _DayRule:
    if tokens.took("weekday"):
        if ordinals != [_LAST]:
            raise ScheduleError('write "the last weekday" for the last weekday of a month; others are not supported.')
        return _DayRule("every month on the last weekday", of_month="LW")
    number = _read_weekday(tokens)
    weekday = (number + 1) % 7
    if any(nth > _MAX_COMMON_NTH for nth in ordinals):
        raise ScheduleError(
            f'not every month has a {_ordinal(max(ordinals))} {_WEEK[number]}; write "the last {_WEEK[number]}", '
            f"or 0 0 * * {weekday}#5 for the months that have five."
        )
    fields = ",".join(f"{weekday}#{nth}" if nth else f"{weekday}L" for nth in ordinals)
    positions = joined([_NTH[nth] for nth in ordinals])
    return _DayRule(f"every month on the {positions} {_WEEK[number]}", weekday=fields)


_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", _LAST: "last"}


def _read_ordinal(tokens: Tokens) -> int:
    """Read an ordinal such as 1st or first; 0 is the last."""
    tokens.took("the")
    token = tokens.next
    if token == "last":  # noqa: S105 - a word
        tokens.take()
        return _LAST
    match = _ORDINAL.fullmatch(token)
    number = int(match["number"]) if match else _ORDINALS.get(token, 0)
    if not 1 <= number <= 31 or (match and token != _ordinal(number)):  # noqa: PLR2004 - days of a month
        raise tokens.unexpected('expected a day, as in "the 1st", "the 1st and 15th" or "the last day"')
    tokens.take()
    return number


def _ordinal(number: int) -> str:
    if number == _LAST:
        return "last"
    suffix = "th" if number in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _read_date(tokens: Tokens) -> _DayRule:
    """Read "march 15", "15 march" or "the 15th of march"."""
    month = _read_month(tokens)
    tokens.took("the")
    day = _read_day(tokens)
    if month is None:
        tokens.took("of")
        month = _read_month(tokens)
    if month is None:
        raise tokens.unexpected(f'expected a month, as in "{_EXAMPLES["year"]}"')
    name = MONTHS[month].lower()
    if day > _LENGTHS[month]:
        leap = " every year; write 0 0 29 2 * for the years that have one" if (month, day) == (2, 29) else ""
        raise ScheduleError(f"there is no {name} {day}{leap}.")
    return _DayRule(f"every year on {name} {day}", of_month=str(day), month=str(month))


def _read_month(tokens: Tokens) -> int | None:
    for number, name in enumerate(MONTHS):
        if name and tokens.took(name.lower(), name[:3].lower()):
            return number
    return None


def _read_day(tokens: Tokens) -> int:
    token = tokens.next
    number = int(token) if re.fullmatch(r"[0-9]{1,2}", token) else 0
    if match := _ORDINAL.fullmatch(token):
        number = int(match["number"]) if _ordinal(int(match["number"])) == token else 0
    if not number:
        raise tokens.unexpected(f'expected a date, as in "{_EXAMPLES["year"]}"')
    tokens.take()
    return number


def _read_time(tokens: Tokens) -> int:
    """Read a time of day, in seconds since midnight: 9:00, 14:30:15, 9am, 2:30 pm, noon, midnight."""
    if tokens.took("noon"):
        return _NOON * _HOUR
    if tokens.took("midnight"):
        return 0
    match = _TIME.fullmatch(tokens.next)
    if match is None:
        raise tokens.unexpected("expected a time of day, as in 9:00, 14:30, 9am or noon")
    token = tokens.take()
    half = match["half"] or (tokens.take() if tokens.next in {"am", "pm"} else "")
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if not half and match["minute"] is None:
        raise ScheduleError(f"{quoted(token)} could be morning or evening; write {token}:00, {token}am or {token}pm.")
    least, most = (1, _NOON) if half else (0, _LAST_HOUR)
    if not least <= hour <= most or minute > _LAST_MINUTE or second > _LAST_SECOND:
        raise ScheduleError(f"{quoted(match[0])} is not a time of day; write it like 14:30 or 2:30pm.")
    if half:
        hour = hour % _NOON + (_NOON if half == "pm" else 0)
    return hour * _HOUR + minute * _MINUTE + second
