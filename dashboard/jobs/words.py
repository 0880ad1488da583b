"""What a job does, in words. Pure: takes `now`."""

import datetime
from typing import Any

from core.words import Appearance
from jobs.models import JobEnvironment
from jobs.schedule import Cron, ScheduleError, parse_schedule

MANUAL = "Manual"


def schedule_words(schedule: Any, timezone: str, *, anchor: datetime.datetime) -> str:
    """A stored schedule as a sentence, with its time zone where that matters; as it is where it means nothing."""
    try:
        planned = parse_schedule(schedule, timezone=timezone, now=anchor, anchor=anchor)
    except (ScheduleError, TypeError):  # TypeError: the time zone is of another type
        return str(schedule)
    if planned is None:
        return MANUAL
    return f"{planned.description} ({timezone})" if isinstance(planned, Cron) else planned.description


def is_paused(row: JobEnvironment, now: datetime.datetime) -> bool:
    """If a pause is in force. One that has an end is over then; nobody needs to clear it."""
    return row.paused_at is not None and (row.paused_until is None or row.paused_until > now)


def place_look(row: JobEnvironment, now: datetime.datetime) -> Appearance:
    """How a job's state in one environment looks."""
    if not row.enabled:
        return Appearance(f"{row.environment.slug}: off", "idle", "toggle_off")
    if is_paused(row, now):
        return Appearance(f"{row.environment.slug}: paused", "warn", "pause_circle")
    return Appearance(row.environment.slug, "ok", "toggle_on")


def place_words(row: JobEnvironment, now: datetime.datetime) -> str:
    """What more there is to say of that state."""
    if not row.enabled:
        return "Disabled: never fires here"
    if not is_paused(row, now):
        return "Enabled"
    return f"Paused until {row.paused_until:%Y-%m-%d %H:%M} UTC" if row.paused_until else "Paused until it is resumed"


def place_title(row: JobEnvironment, now: datetime.datetime) -> str:
    """The same in a list, where a pause's note has no place of its own."""
    note = row.pause_note if is_paused(row, now) else ""
    return f"{place_words(row, now)}: {note}" if note else place_words(row, now)
