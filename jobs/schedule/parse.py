"""From a schedule as somebody spells it to one that can be reckoned with."""

import datetime
import re
from typing import Any
from zoneinfo import ZoneInfo

from jobs.schedule.contract import Schedule, ScheduleError
from jobs.schedule.cron import Cron, Fold, Gap
from jobs.schedule.interval import parse_interval
from jobs.schedule.once import Once, spelled_instant
from jobs.schedule.pattern import PRESETS, cron_pattern
from jobs.schedule.seconds import seconds_of
from jobs.schedule.zones import parse_timezone, spell_at

#: Longer ones are refused unread. Every minute of an hour, written out, is shorter.
MAX_TEXT = 500
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?", re.IGNORECASE)
_CRON_FIELDS = (5, 6)
_NOW = "now"
_TOLD = 80


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
            return _parse_text(value.strip(), zone, now, dst_gap, dst_fold)
    raise ScheduleError('should be a cron expression, words, {"every_seconds": 90}, a datetime, "now" or null.')


def settled_schedule(value: Any, now: datetime.datetime) -> Any:
    """A schedule as it is to be kept: one that depends on when it is said becomes the instant that it means."""
    if not isinstance(value, str) or value.strip().lower() != _NOW:
        return value
    return spelled_instant(now)


def _parse_text(text: str, zone: ZoneInfo, now: datetime.datetime, gap: Gap, fold: Fold) -> Schedule:
    if text.lower() == _NOW:
        return Once(now)
    if _DATETIME.fullmatch(text):
        return _parse_datetime(text, zone)
    expression = PRESETS.get(text.lower(), text)
    if len(expression.split()) not in _CRON_FIELDS:
        raise ScheduleError(
            f'{_told(text)} should be five cron fields (minute hour day month weekday), a datetime or "now".'
        )
    try:
        return Cron(cron_pattern(expression), zone, gap, fold)
    except ScheduleError as error:
        raise ScheduleError(f"{_told(text)} is no usable cron expression: {error}") from error


def _parse_datetime(text: str, zone: ZoneInfo) -> Once:
    """A local time that the clock skips means the instant of the jump; one that it repeats, the first of the two."""
    try:
        at = datetime.datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = _first_instant(at, zone)
        return Once(at.astimezone(datetime.UTC))
    except ValueError as error:
        raise ScheduleError(f"{_told(text)} should be an ISO 8601 datetime, as in 2026-03-15T02:00:00Z.") from error
    except OverflowError as error:
        raise ScheduleError(f"{_told(text)} is out of range.") from error


def _first_instant(wall: datetime.datetime, zone: ZoneInfo) -> datetime.datetime:
    instant = wall.replace(tzinfo=zone).astimezone(datetime.UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # It is skipped: read with the offset from before the jump, it lies in the spell that begins with the jump.
    return instant.replace(microsecond=0) - datetime.timedelta(
        seconds=seconds_of(instant) - spell_at(zone, seconds_of(instant)).start
    )


def _told(text: str) -> str:
    return repr(text if len(text) <= _TOLD else f"{text[:_TOLD]}...")
