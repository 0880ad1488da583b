"""From a schedule as somebody spells it to one that can be reckoned with."""

import datetime
import re
from typing import Any
from zoneinfo import ZoneInfo

from jobs.schedule import delays, words
from jobs.schedule.contract import Schedule, ScheduleError
from jobs.schedule.cron import Cron, Fold, Gap
from jobs.schedule.delays import read_delay
from jobs.schedule.dialects import translated
from jobs.schedule.interval import Interval, parse_interval
from jobs.schedule.once import Once, spelled_instant
from jobs.schedule.pattern import PRESETS, Pattern, cron_pattern
from jobs.schedule.seconds import instant_of, seconds_of
from jobs.schedule.tokens import told
from jobs.schedule.words import EveryWeeks, read_words
from jobs.schedule.zones import parse_timezone, spell_at

#: Longer ones are refused unread. Every minute of an hour, written out, is shorter.
MAX_TEXT = 500
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?", re.IGNORECASE)
_CRON_FIELDS = (5, 6)
_NOW = "now"
EXPECTED = (
    "should be a cron expression of five fields (minute, hour, day of month, month, day of week) or six (seconds "
    'first), words such as "every weekday at 9:00" or "in 10 minutes", a datetime, "now", '
    '{"every_seconds": 90} or null.'
)


def parse_schedule(
    value: Any,
    *,
    timezone: str,
    now: datetime.datetime,
    anchor: datetime.datetime,
    dst_gap: Gap = "shift",
    dst_fold: Fold = "first",
) -> Schedule | None:
    """Understand a schedule as the API spells it; None for a manual job.

    `now` is what the word "now" means; `anchor` is where intervals count from. A datetime without an offset is a wall
    clock time in `timezone`. Raises ScheduleError.
    """
    zone = parse_timezone(timezone)
    match value:
        case None:
            return None
        case {"every_seconds": seconds} if len(value) == 1:
            return parse_interval(seconds, anchor)
        case str():
            if len(value) > MAX_TEXT:
                raise ScheduleError(f"should be at most {MAX_TEXT} characters long.")
            found = _parse_text(value.strip(), zone, now, anchor)
            return Cron(found, zone, dst_gap, dst_fold) if isinstance(found, Pattern) else found
    raise ScheduleError(EXPECTED)


def settled_schedule(value: Any, now: datetime.datetime) -> Any:
    """A schedule as it is to be kept: "now" and "in 10 minutes" become the instant that they mean at `now`.

    What can't be understood is left as it is, for `parse_schedule` to refuse.
    """
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return value
    try:
        at = _said_at(_plain(value), now)
    except ScheduleError:
        return value
    return value if at is None else spelled_instant(at)


def _said_at(text: str, now: datetime.datetime) -> datetime.datetime | None:
    """What a one-off means that depends on when it is said; None for anything else."""
    if text == _NOW:
        return now
    if text.partition(" ")[0] != delays.FIRST_WORD:
        return None
    try:
        return now + read_delay(text)
    except OverflowError as error:
        raise ScheduleError("that is out of range.") from error


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _parse_text(text: str, zone: ZoneInfo, now: datetime.datetime, anchor: datetime.datetime) -> Schedule | Pattern:
    plain = _plain(text)
    if _DATETIME.fullmatch(plain):
        return _parse_datetime(text, zone)
    try:
        if (at := _said_at(plain, now)) is not None:
            return Once(at)
        if plain.partition(" ")[0] == words.FIRST_WORD:
            spoken = read_words(plain)
            if isinstance(spoken, EveryWeeks):
                return spoken.counted_from(_wall_of(anchor, zone))
            return Interval(spoken, anchor) if isinstance(spoken, int) else spoken
        own = translated(text)
    except ScheduleError as error:
        raise ScheduleError(f"{told(text)}: {error}") from error
    if isinstance(own, int):
        return Interval(own, anchor)
    if own != text:
        return _parse_text(own, zone, now, anchor)
    expression = PRESETS.get(plain, plain)
    if len(expression.split(" ")) not in _CRON_FIELDS:
        raise ScheduleError(f"{told(text)} is not understood: it {EXPECTED}")
    try:
        return cron_pattern(expression)
    except ScheduleError as error:
        raise ScheduleError(f"{told(text)} is no usable cron expression: {error}") from error


def _wall_of(instant: datetime.datetime, zone: ZoneInfo) -> int:
    """What a wall clock shows at an instant, or at the first whole second after it."""
    second = max(seconds_of(instant) + bool(instant.microsecond), 0)
    return second + spell_at(zone, second).offset


def _parse_datetime(text: str, zone: ZoneInfo) -> Once:
    """A local time that the clock skips means the instant of the jump; one that it repeats, the first of the two."""
    try:
        at = datetime.datetime.fromisoformat(text)
        return Once(first_instant(at, zone) if at.tzinfo is None else at.astimezone(datetime.UTC))
    except ValueError as error:
        raise ScheduleError(f"{told(text)} should be an ISO 8601 datetime, as in 2026-03-15T02:00:00Z.") from error
    except OverflowError as error:
        raise ScheduleError(f"{told(text)} is out of range.") from error


def wall_time(value: Any) -> datetime.datetime | None:
    """The time on a wall clock that a datetime without an offset means; None for every other schedule."""
    if not isinstance(value, str) or not _DATETIME.fullmatch(_plain(value)):
        return None
    at = datetime.datetime.fromisoformat(value.strip())
    return at if at.tzinfo is None else None


def first_instant(wall: datetime.datetime, zone: ZoneInfo) -> datetime.datetime:
    """When a wall clock first shows this time or, where a jump skips it, the instant of the jump."""
    instant = wall.replace(tzinfo=zone).astimezone(datetime.UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # It is skipped: read with the offset from before the jump, it lies in the spell that begins with the jump.
    return instant_of(spell_at(zone, seconds_of(instant)).start)
