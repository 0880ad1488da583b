"""Parse schedules from the API's JSON."""

import datetime
import re
from typing import Any
from zoneinfo import ZoneInfo

from jobs.schedule import delays, words
from jobs.schedule.contract import Schedule, ScheduleError
from jobs.schedule.cron import Cron, Fold, Gap
from jobs.schedule.delays import read_delay
from jobs.schedule.dialects import translate
from jobs.schedule.interval import Interval, parse_interval
from jobs.schedule.once import Once, format_instant
from jobs.schedule.pattern import PRESETS, Pattern, cron_pattern
from jobs.schedule.seconds import instant_of, seconds_of
from jobs.schedule.tokens import quoted
from jobs.schedule.words import EveryWeeks, read_words
from jobs.schedule.zones import offset_period_at, parse_timezone

#: Longer texts are refused unread. A list of every minute of an hour is shorter.
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
    """Parse a schedule; None for a manual job.

    `now` is the instant of the word "now"; intervals count from `anchor`. A datetime without an offset is a local time
    in `timezone`. Raises ScheduleError.
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
            parsed = _parse_text(value.strip(), zone, now, anchor)
            return Cron(parsed, zone, dst_gap, dst_fold) if isinstance(parsed, Pattern) else parsed
    raise ScheduleError(EXPECTED)


def resolve_relative(value: Any, now: datetime.datetime) -> Any:
    """Replace "now" and "in 10 minutes" by their instant, for storage. Returns any other value unchanged.

    Never raises: `parse_schedule` refuses what is invalid.
    """
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return value
    try:
        at = _relative_instant(_plain(value), now)
    except ScheduleError:
        return value
    return value if at is None else format_instant(at)


def _relative_instant(text: str, now: datetime.datetime) -> datetime.datetime | None:
    """Return the instant of a one-off relative to now; None for anything else."""
    if text == _NOW:
        return now
    if text.partition(" ")[0] != delays.FIRST_WORD:
        return None
    try:
        return now + read_delay(text)
    except OverflowError as error:
        raise ScheduleError("should be within the next ten years.") from error


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _parse_text(text: str, zone: ZoneInfo, now: datetime.datetime, anchor: datetime.datetime) -> Schedule | Pattern:
    plain = _plain(text)
    if _DATETIME.fullmatch(plain):
        return _parse_datetime(text, zone)
    try:
        if (at := _relative_instant(plain, now)) is not None:
            return Once(at)
        if plain.partition(" ")[0] == words.FIRST_WORD:
            parsed = read_words(plain)
            if isinstance(parsed, EveryWeeks):
                return parsed.counted_from(_wall_of(anchor, zone))
            return Interval(parsed, anchor) if isinstance(parsed, int) else parsed
        translated = translate(text)
    except ScheduleError as error:
        raise ScheduleError(f"{quoted(text)}: {error}") from error
    if isinstance(translated, int):
        return Interval(translated, anchor)
    if translated != text:
        return _parse_text(translated, zone, now, anchor)
    expression = PRESETS.get(plain, plain)
    if len(expression.split(" ")) not in _CRON_FIELDS:
        raise ScheduleError(f"{quoted(text)} is not understood: it {EXPECTED}")
    try:
        return cron_pattern(expression)
    except ScheduleError as error:
        raise ScheduleError(f"{quoted(text)} is not a valid cron expression: {error}") from error


def _wall_of(instant: datetime.datetime, zone: ZoneInfo) -> int:
    """Return the wall time of an instant, rounded up to a second."""
    second = max(seconds_of(instant) + bool(instant.microsecond), 0)
    return second + offset_period_at(zone, second).offset


def _parse_datetime(text: str, zone: ZoneInfo) -> Once:
    """Parse a datetime. A skipped local time is the instant of the clock change; a repeated one, the first instant."""
    try:
        at = datetime.datetime.fromisoformat(text)
        return Once(first_instant(at, zone) if at.tzinfo is None else at.astimezone(datetime.UTC))
    except ValueError as error:
        raise ScheduleError(f"{quoted(text)} should be an ISO 8601 datetime, as in 2026-03-15T02:00:00Z.") from error
    except OverflowError as error:
        raise ScheduleError(f"{quoted(text)} is out of range.") from error


def wall_time(value: Any) -> datetime.datetime | None:
    """Return the local time of a datetime without an offset; None for every other schedule."""
    if not isinstance(value, str) or not _DATETIME.fullmatch(_plain(value)):
        return None
    at = datetime.datetime.fromisoformat(value.strip())
    return at if at.tzinfo is None else None


def first_instant(wall: datetime.datetime, zone: ZoneInfo) -> datetime.datetime:
    """Return the first instant of a local time or, if a clock change skips it, the instant of the change."""
    instant = wall.replace(tzinfo=zone).astimezone(datetime.UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # Skipped: with the offset before the change, it is in the period that begins with the change.
    return instant_of(offset_period_at(zone, seconds_of(instant)).start)
