"""The fields of a cron expression: their grammar and values."""

import re
from dataclasses import dataclass

from jobs.schedule.contract import ScheduleError

LAST_DAY = "L"
LAST_WEEKDAY = "LW"
#: The position in the month of a weekday with `L`; with `#` it is 1 to 5.
LAST = -1
_SUNDAY, _SUNDAY_TOO = 0, 7
_MOST_OF_A_WEEKDAY = 5
_MOST_BEFORE_LAST = 30
#: Some days before the last of the month, and the weekday nearest to a date.
BEFORE_LAST, NEAREST = re.compile(r"L-(?P<before>[0-9]{1,2})"), re.compile(r"(?P<day>[0-9]{1,2})W")
_RANGE = re.compile(r"(?P<low>[0-9]+|[A-Z]{3})(?:-(?P<high>[0-9]+|[A-Z]{3}))?(?:/(?P<step>[0-9]+))?")
_STAR = re.compile(r"\*(?:/(?P<step>[0-9]+))?")
_NTH = re.compile(r"(?P<weekday>[0-9]+|[A-Z]{3})#(?P<nth>[0-9]+)")
_LAST = re.compile(r"(?P<weekday>[0-9]+|[A-Z]{3})L")
#: Longer texts are cut in error messages.
_MAX_QUOTED = 40


@dataclass(frozen=True, slots=True)
class FieldKind:
    """The allowed values of a field. `names` are the numbers from `first_named` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first_named: int = 0


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SECOND = FieldKind("second", 0, 59)
MINUTE = FieldKind("minute", 0, 59)
HOUR = FieldKind("hour", 0, 23)
DAY = FieldKind("day of month", 1, 31)
MONTH = FieldKind("month", 1, 12, _MONTHS, 1)
WEEKDAY = FieldKind("day of week", 0, 7, _WEEKDAYS)


@dataclass(frozen=True, slots=True)
class CronField:
    """A parsed field.

    `text` is its normal form; `values` are the sorted numbers, Sunday as 0; `special` are the last day (`L`), a day
    before it (`L-3`), the last weekday (`LW`), the weekday nearest to a date (`15W`), and weekdays within a month, as
    (weekday, position). `starred` fields start with `*`.
    """

    text: str
    values: tuple[int, ...]
    special: frozenset[str | tuple[int, int]]
    starred: bool


def parse_field(kind: FieldKind, text: str) -> CronField:
    """Parse a field. Raises ScheduleError, naming the field and what would be right."""
    values: set[int] = set()
    special: set[str | tuple[int, int]] = set()
    terms = []
    for term in text.upper().split(","):
        normal, numbers, extra = _parse_term(kind, term)
        terms.append(normal)
        values.update(numbers)
        special.update(extra)
    if kind is WEEKDAY and _SUNDAY_TOO in values:
        values = values - {_SUNDAY_TOO} | {_SUNDAY}
    return CronField(",".join(terms), tuple(sorted(values)), frozenset(special), terms[0].startswith("*"))


_Term = tuple[str, range | tuple[()], tuple[str | tuple[int, int], ...]]


def _parse_term(kind: FieldKind, term: str) -> _Term:
    """Parse a term to its normal form, its numbers and its special days."""
    if kind is DAY and (term in {LAST_DAY, LAST_WEEKDAY} or BEFORE_LAST.fullmatch(term) or NEAREST.fullmatch(term)):
        return _parse_special_day(term)
    if kind is WEEKDAY and (match := _NTH.fullmatch(term)):
        return _parse_nth(match)
    if kind is WEEKDAY and (match := _LAST.fullmatch(term)):
        weekday = _number(kind, match["weekday"])
        return f"{weekday}L", (), ((weekday % _SUNDAY_TOO, LAST),)
    if match := _STAR.fullmatch(term):
        step = _step(kind, match["step"])
        high = kind.high - 1 if kind is WEEKDAY else kind.high
        return "*" if step == 1 else f"*/{step}", range(kind.low, high + 1, step), ()
    if match := _RANGE.fullmatch(term):
        return _parse_range(kind, match)
    raise ScheduleError(f"{kind.name}: {_quoted(term)} is not understood; {_hint(kind, term)}.")


def _parse_special_day(term: str) -> _Term:
    """Parse the last day, a day before it, or the weekday nearest to a date."""
    if match := BEFORE_LAST.fullmatch(term):
        before = int(match["before"])
        if not 1 <= before <= _MOST_BEFORE_LAST:
            raise ScheduleError(f"{DAY.name}: {_quoted(term)}: after L- should be 1 to {_MOST_BEFORE_LAST}, as in L-3.")
        term = f"L-{before}"
    elif match := NEAREST.fullmatch(term):
        term = f"{_number(DAY, match['day'])}W"
    return term, (), (term,)


def _parse_range(kind: FieldKind, match: re.Match[str]) -> _Term:
    low, step = _number(kind, match["low"]), _step(kind, match["step"])
    # "5/15" counts from 5 to the end of the field.
    last = kind.high if match["step"] else low
    high = _number(kind, match["high"]) if match["high"] else last
    if high < low:
        raise ScheduleError(f"{kind.name}: {_quoted(match[0])} runs backwards; write two ranges, separated by a comma.")
    text = match["low"] if match["low"] in kind.names else str(low)
    if match["high"]:
        text += f"-{match['high'] if match['high'] in kind.names else high}"
    if match["step"] and (step > 1 or not match["high"]):
        text += f"/{step}"
    return text, range(low, high + 1, step), ()


def _parse_nth(match: re.Match[str]) -> _Term:
    weekday, nth = _number(WEEKDAY, match["weekday"]), int(match["nth"])
    if not 1 <= nth <= _MOST_OF_A_WEEKDAY:
        raise ScheduleError(f"{WEEKDAY.name}: {_quoted(match[0])}: after # should be 1 to 5, as in 2#1.")
    return f"{weekday}#{nth}", (), ((weekday % _SUNDAY_TOO, nth),)


def _number(kind: FieldKind, text: str) -> int:
    if text in kind.names:
        return kind.names.index(text) + kind.first_named
    if not text.isdecimal():
        raise ScheduleError(f"{kind.name}: {_quoted(text)} is not understood; {_hint(kind, text)}.")
    number = int(text)
    if not kind.low <= number <= kind.high:
        raise ScheduleError(f"{kind.name}: {_quoted(text)} should be from {kind.low} to {kind.high}.")
    return number


def _step(kind: FieldKind, text: str | None) -> int:
    step = 1 if text is None else int(text)
    if step == 0:
        raise ScheduleError(f"{kind.name}: the step after / should be 1 or more.")
    return step


def _hint(kind: FieldKind, term: str) -> str:
    if "?" in term:
        return "write * for any day"
    if kind is DAY and "W" in term:
        return "write 15W for the weekday nearest to the 15th, or LW for the last weekday of the month"
    if kind is WEEKDAY and term == LAST_DAY:
        return "write which weekday, as in 5L for the last Friday, or SAT"
    named = f" or names such as {kind.names[1]}" if kind.names else ""
    return f"write numbers from {kind.low} to {kind.high}{named}, as in *, */2, 1,3 or 1-5"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}...")
