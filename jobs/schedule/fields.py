"""The fields of a cron expression: their grammar, and the numbers that they stand for."""

import re
from dataclasses import dataclass

from jobs.schedule.contract import ScheduleError

LAST_DAY = "L"
LAST_WEEKDAY = "LW"
#: Which one of a month a weekday with `L` is; with `#` it is 1 to 5.
LAST = -1
_SUNDAY, _SUNDAY_TOO = 0, 7
_MOST_OF_A_WEEKDAY = 5
_MOST_BEFORE_LAST = 30
#: So many days before the last one, and the weekday nearest to a date.
BEFORE_LAST, NEAREST = re.compile(r"L-(?P<before>[0-9]{1,2})"), re.compile(r"(?P<day>[0-9]{1,2})W")
_RANGE = re.compile(r"(?P<low>[0-9]+|[A-Z]{3})(?:-(?P<high>[0-9]+|[A-Z]{3}))?(?:/(?P<step>[0-9]+))?")
_STAR = re.compile(r"\*(?:/(?P<step>[0-9]+))?")
_NTH = re.compile(r"(?P<weekday>[0-9]+|[A-Z]{3})#(?P<nth>[0-9]+)")
_LAST = re.compile(r"(?P<weekday>[0-9]+|[A-Z]{3})L")
#: More than any field can hold; what is longer is cut in error messages.
_TOLD = 40


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What a field may hold. `names` stand for the numbers from `first_named` on."""

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
    """One field as it was understood.

    `text` is its normal form; `values` the numbers, sorted, Sunday as 0; `special` the last day (`L`), one before it
    (`L-3`), the last weekday (`LW`) or the nearest to a date (`15W`), or weekdays within a month, as (weekday, which
    one). `starred` fields start with `*`.
    """

    text: str
    values: tuple[int, ...]
    special: frozenset[str | tuple[int, int]]
    starred: bool


def parse_field(kind: FieldKind, text: str) -> CronField:
    """Raises ScheduleError, naming the field and what would be right."""
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
    """A term's normal form, its numbers, and what else it means."""
    if kind is DAY and (term in {LAST_DAY, LAST_WEEKDAY} or BEFORE_LAST.fullmatch(term) or NEAREST.fullmatch(term)):
        return _parse_special_day(term)
    if kind is WEEKDAY and (found := _NTH.fullmatch(term)):
        return _parse_nth(found)
    if kind is WEEKDAY and (found := _LAST.fullmatch(term)):
        weekday = _number(kind, found["weekday"])
        return f"{weekday}L", (), ((weekday % _SUNDAY_TOO, LAST),)
    if found := _STAR.fullmatch(term):
        step = _step(kind, found["step"])
        high = kind.high - 1 if kind is WEEKDAY else kind.high
        return "*" if step == 1 else f"*/{step}", range(kind.low, high + 1, step), ()
    if found := _RANGE.fullmatch(term):
        return _parse_range(kind, found)
    raise ScheduleError(f"{kind.name}: {_told(term)} is not understood; {_hint(kind, term)}.")


def _parse_special_day(term: str) -> _Term:
    """The last day and what counts from it, and the weekday nearest to a date."""
    if found := BEFORE_LAST.fullmatch(term):
        before = int(found["before"])
        if not 1 <= before <= _MOST_BEFORE_LAST:
            raise ScheduleError(f"{DAY.name}: {_told(term)}: after L- should be 1 to {_MOST_BEFORE_LAST}, as in L-3.")
        term = f"L-{before}"
    elif found := NEAREST.fullmatch(term):
        term = f"{_number(DAY, found['day'])}W"
    return term, (), (term,)


def _parse_range(kind: FieldKind, found: re.Match[str]) -> _Term:
    low, step = _number(kind, found["low"]), _step(kind, found["step"])
    # "5/15" counts on from 5 to the end of the field.
    last = kind.high if found["step"] else low
    high = _number(kind, found["high"]) if found["high"] else last
    if high < low:
        raise ScheduleError(f"{kind.name}: {_told(found[0])} runs backwards; write two ranges, separated by a comma.")
    text = found["low"] if found["low"] in kind.names else str(low)
    if found["high"]:
        text += f"-{found['high'] if found['high'] in kind.names else high}"
    if found["step"] and (step > 1 or not found["high"]):
        text += f"/{step}"
    return text, range(low, high + 1, step), ()


def _parse_nth(found: re.Match[str]) -> _Term:
    weekday, nth = _number(WEEKDAY, found["weekday"]), int(found["nth"])
    if not 1 <= nth <= _MOST_OF_A_WEEKDAY:
        raise ScheduleError(f"{WEEKDAY.name}: {_told(found[0])}: after # should be 1 to 5, as in 2#1.")
    return f"{weekday}#{nth}", (), ((weekday % _SUNDAY_TOO, nth),)


def _number(kind: FieldKind, text: str) -> int:
    if text in kind.names:
        return kind.names.index(text) + kind.first_named
    if not text.isdecimal():
        raise ScheduleError(f"{kind.name}: {_told(text)} is not understood; {_hint(kind, text)}.")
    number = int(text)
    if not kind.low <= number <= kind.high:
        raise ScheduleError(f"{kind.name}: {_told(text)} should be from {kind.low} to {kind.high}.")
    return number


def _step(kind: FieldKind, text: str | None) -> int:
    step = 1 if text is None else int(text)
    if step == 0:
        raise ScheduleError(f"{kind.name}: the step after / should be 1 or more.")
    return step


def _hint(kind: FieldKind, term: str) -> str:
    if "?" in term:
        return "for any day write *"
    if kind is DAY and "W" in term:
        return "of weekdays near a date 15W and LW are known, the nearest to the 15th and the month's last"
    if kind is WEEKDAY and term == LAST_DAY:
        return "say which weekday, as in 5L for the last Friday, or SAT"
    named = f" or names such as {kind.names[1]}" if kind.names else ""
    return f"write numbers from {kind.low} to {kind.high}{named}, as in *, */2, 1,3 or 1-5"


def _told(text: str) -> str:
    return repr(text if len(text) <= _TOLD else f"{text[:_TOLD]}...")
