"""Checks when a job would fire, and says which field is wrong."""

import datetime
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError

from jobs.definition import Timetable
from jobs.schedule import Once, Schedule, ScheduleError, parse_timezone
from jobs.services import TIMING


def spelled_schedule(schedule: Any, now: datetime.datetime) -> Any:
    """A schedule as it is stored: the word "now" is the instant it was said."""
    if schedule != "now":
        return schedule
    precision = "microseconds" if now.microsecond % 1000 else "milliseconds"
    return now.astimezone(datetime.UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def check_timing(
    config: dict[str, Any], *, before: dict[str, Any] | None, anchor: datetime.datetime, now: datetime.datetime
) -> None:
    """Refuse a time zone, schedule or dates that mean nothing, or, where they are new, that would never fire.

    `before` is the definition so far: a one-off that has fired may be saved again as it is. Raises ValidationError.
    """
    schedule = _parsed(config, anchor)
    if config["starts_at"] and config["ends_at"] and config["starts_at"] >= config["ends_at"]:
        raise _wrong("ends_at", "Should be later than starts_at.")
    if schedule is None or (before is not None and all(before[field] == config[field] for field in TIMING)):
        return
    if _next(schedule, now) is None:
        if schedule.type == "one_off":
            raise _wrong("schedule", "This time is past, or outside starts_at and ends_at.")
        raise _wrong("ends_at" if config["ends_at"] else "schedule", "With these dates the job would never fire.")


def _parsed(config: dict[str, Any], anchor: datetime.datetime) -> Schedule | None:
    try:
        parse_timezone(config["timezone"])
    except ScheduleError as error:
        raise _wrong("timezone", str(error)) from error
    try:
        return Timetable.of(config, anchor=anchor).schedule
    except ScheduleError as error:
        raise _wrong("schedule", str(error)) from error
    except OverflowError as error:
        raise _wrong("schedule", "This time is out of range.") from error


def _next(schedule: Schedule, now: datetime.datetime) -> datetime.datetime | None:
    if isinstance(schedule, Once):
        return schedule.at if schedule.at >= now else None
    return schedule.next_after(now)


def _wrong(field: str, text: str) -> ValidationError:
    return ValidationError({field: [ErrorDetail(text, code="invalid")]})
