"""Checks when a job would fire, and says which field is wrong."""

import datetime
from typing import Any, get_args

from rest_framework.exceptions import ErrorDetail, ValidationError

from jobs.definition import Timetable
from jobs.schedule import Fold, Gap, Once, Schedule, ScheduleError, parse_timezone
from jobs.services import TIMING
from scheduler_project.api.fields import Choice


class DstGap(Choice):
    """What becomes of a time that the clock skips."""

    def __init__(self) -> None:
        super().__init__(
            choices=get_args(Gap),
            default="shift",
            help_text="Jobs on fixed times, on a day when the clock skips their time: fire right after, or not at all.",
        )


class DstFold(Choice):
    """What becomes of a time that the clock repeats."""

    def __init__(self) -> None:
        super().__init__(
            choices=get_args(Fold),
            default="first",
            help_text="Jobs on fixed times, on a day when the clock repeats their time: fire once, or both times.",
        )


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
    return schedule.next_firing_after(now)


def _wrong(field: str, text: str) -> ValidationError:
    return ValidationError({field: [ErrorDetail(text, code="invalid")]})
