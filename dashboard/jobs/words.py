"""A schedule and a job's state in words. Pure: takes `now`."""

import datetime
from typing import Any

from core.words import Appearance
from jobs.models import JobEnvironment
from jobs.schedule import Cron, ScheduleError, parse_schedule

MANUAL = "Manual"


def schedule_words(schedule: Any, timezone: str, *, anchor: datetime.datetime) -> str:
    """Describe a stored schedule, with its time zone where that matters; unchanged if it can't be parsed."""
    try:
        parsed = parse_schedule(schedule, timezone=timezone, now=anchor, anchor=anchor)
    except (ScheduleError, TypeError):  # TypeError: the time zone is of another type
        return str(schedule)
    if parsed is None:
        return MANUAL
    return f"{parsed.description} ({timezone})" if isinstance(parsed, Cron) else parsed.description


def is_paused(job_environment: JobEnvironment, now: datetime.datetime) -> bool:
    """True while a pause is in force. A pause with an end stays in the row after it."""
    until = job_environment.paused_until
    return job_environment.paused_at is not None and (until is None or until > now)


def state_appearance(job_environment: JobEnvironment, now: datetime.datetime) -> Appearance:
    slug = job_environment.environment.slug
    if not job_environment.enabled:
        return Appearance(f"{slug}: disabled", "idle", "toggle_off")
    if is_paused(job_environment, now):
        return Appearance(f"{slug}: paused", "warn", "pause_circle")
    return Appearance(slug, "ok", "toggle_on")


def state_words(job_environment: JobEnvironment, now: datetime.datetime) -> str:
    if not job_environment.enabled:
        return "Disabled"
    if not is_paused(job_environment, now):
        return "Enabled"
    until = job_environment.paused_until
    return f"Paused until {until:%Y-%m-%d %H:%M} UTC" if until else "Paused until resumed"


def state_title(job_environment: JobEnvironment, now: datetime.datetime) -> str:
    """The state with a pause's note, for lists, which show the note nowhere else."""
    note = job_environment.pause_note if is_paused(job_environment, now) else ""
    words = state_words(job_environment, now)
    return f"{words}: {note}" if note else words
