"""What a job does, in words. Pure: takes `now`."""

import datetime
from dataclasses import dataclass
from typing import Any

from jobs.definition import Timetable
from jobs.models import JobEnvironment
from jobs.schedule import Cron, Once, ScheduleError, next_firings, parse_schedule
from scheduler_project.dashboard.words import Appearance

MANUAL = "Only when asked"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule means: its description and its next firings in UTC, or why it can't be understood."""

    description: str
    firings: tuple[datetime.datetime, ...] = ()
    error: str = ""


def schedule_words(schedule: Any, timezone: str, *, anchor: datetime.datetime) -> str:
    """A validated schedule as a sentence, with its time zone where that matters."""
    try:
        planned = parse_schedule(schedule, timezone=timezone, now=anchor, anchor=anchor)
    except ScheduleError:
        return str(schedule)
    if planned is None:
        return MANUAL
    return f"{planned.description} ({timezone})" if isinstance(planned, Cron) else planned.description


def preview(schedule: Any, timezone: str, *, now: datetime.datetime, count: int) -> Preview:
    """What somebody's unsaved schedule would do."""
    try:
        planned = parse_schedule(schedule, timezone=timezone, now=now, anchor=now)
    except ScheduleError as error:
        return Preview("", error=str(error))
    if planned is None:
        return Preview(f"{MANUAL}: there is no schedule.")
    if isinstance(planned, Once) and planned.at == now:
        return Preview("Once, as soon as it is saved.", (now,))
    return Preview(planned.description, next_firings(planned, now, count))


def job_preview(config: dict[str, Any], *, anchor: datetime.datetime, now: datetime.datetime, count: int) -> Preview:
    """What a saved job is going to do, start and end dates included."""
    schedule = Timetable.of(config, anchor=anchor).schedule
    words = schedule_words(config["schedule"], config["timezone"], anchor=anchor)
    return Preview(words, next_firings(schedule, now, count) if schedule else ())


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
    until = f"until {row.paused_until:%Y-%m-%d %H:%M} UTC" if row.paused_until else "until somebody resumes it"
    return f"Paused {until}" + (f": {row.pause_note}" if row.pause_note else "")
