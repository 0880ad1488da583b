"""Validate and preview the timing of a job."""

import datetime
from dataclasses import dataclass
from typing import Any, get_args

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.fields import Choice, Instant, instant_text
from jobs.definition.contract import schedule_of
from jobs.models import ScheduleType
from jobs.schedule import (
    Fold,
    Gap,
    Once,
    Schedule,
    ScheduleError,
    clock_change_warnings,
    next_firings,
    parse_timezone,
    resolve_relative,
)
from jobs.services.save import TIMING


class DstGap(Choice):
    """What to do with a local time that a clock change skips."""

    def __init__(self) -> None:
        super().__init__(
            choices=get_args(Gap),
            default="shift",
            help_text="For fixed times that a clock change skips: fire right after the change, or not at all.",
        )


class DstFold(Choice):
    """What to do with a local time that a clock change repeats."""

    def __init__(self) -> None:
        super().__init__(
            choices=get_args(Fold),
            default="first",
            help_text="For fixed times that a clock change repeats: fire the first time, or both times.",
        )


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object"}], "nullable": True})
class NormalSchedule(serializers.JSONField):
    """A schedule in normal form."""


class ScheduleTypeField(serializers.ChoiceField):
    """The type of a schedule."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            choices=ScheduleType.choices,
            help_text="`one_off` fires once; `manual` has no schedule and only runs on request.",
            **options,
        )


class StartsAt(Instant):
    """The earliest occurrence."""

    def __init__(self) -> None:
        super().__init__(
            allow_null=True,
            default=None,
            help_text="The job does not fire before. Intervals count from it. Null: no limit.",
        )


class EndsAt(Instant):
    """The latest occurrence."""

    def __init__(self) -> None:
        super().__init__(
            allow_null=True,
            default=None,
            help_text="The job does not fire after, and then disables itself. Null: no limit.",
        )


def check_timing(
    config: dict[str, Any],
    *,
    before: dict[str, Any] | None,
    anchor: datetime.datetime,
    now: datetime.datetime,
    fires: bool = True,
) -> None:
    """Raises ValidationError for an invalid time zone, schedule or date, and for new timing that would never fire.

    `before` is the definition so far, unless the job is being enabled: a one-off that has fired may be saved unchanged,
    and so may one that is enabled nowhere (not `fires`).
    """
    schedule = checked_schedule(config, anchor=anchor)
    if (
        schedule is None
        or not fires
        or (before is not None and all(before[field] == config[field] for field in TIMING))
    ):
        return
    if _next(schedule, now) is None:
        if schedule.type == "one_off":
            raise ValidationError(_error("schedule", "Should be in the future, and between starts_at and ends_at."))
        field = "ends_at" if config["ends_at"] else "schedule"
        raise ValidationError(_error(field, "The job would never fire with this schedule and these dates."))


def checked_schedule(timing: dict[str, Any], *, anchor: datetime.datetime) -> Schedule | None:
    """Return the schedule of a definition's timing fields, even one without further occurrences.

    Raises ValidationError with each wrong field.
    """
    errors: dict[str, Any] = {}
    schedule = None
    try:
        parse_timezone(timing["timezone"])
    except ScheduleError as error:
        errors |= _error("timezone", str(error))
        timing = {**timing, "timezone": "UTC"}
    if timing["starts_at"] and timing["ends_at"] and timing["starts_at"] >= timing["ends_at"]:
        errors |= _error("ends_at", "Should be later than starts_at.")
    try:
        schedule = schedule_of(timing, anchor=anchor)
    except ScheduleError as error:
        errors |= _error("schedule", str(error))
    if errors:
        raise ValidationError(errors)
    return schedule


@dataclass(frozen=True, slots=True)
class TimingPreview:
    """A preview of a definition's timing. `schedule` is None for a manual job; `warnings` are sentences."""

    schedule: Schedule | None
    firings: tuple[datetime.datetime, ...] = ()
    warnings: tuple[str, ...] = ()


def preview_timing(
    timing: dict[str, Any], *, since: datetime.datetime, count: int, anchor: datetime.datetime | None = None
) -> TimingPreview:
    """Preview the next firings later than `since`, with warnings about clock changes.

    `anchor` is the job's creation; `since` for a new job. Raises ValidationError with each wrong field.
    """
    text = timing["schedule"]
    schedule = checked_schedule({**timing, "schedule": resolve_relative(text, since)}, anchor=anchor or since)
    if schedule is None:
        return TimingPreview(None)
    at_once = isinstance(schedule, Once) and schedule.at == since
    firings = (since,) if at_once else next_firings(schedule, since, count)
    until = firings[-1] if firings else since
    zone = parse_timezone(timing["timezone"])
    warnings = clock_change_warnings(schedule, text, zone, after=since, until=until)
    no_firing = () if firings else (f"It does not fire after {instant_text(since)}.",)
    return TimingPreview(schedule, firings, (*warnings, *no_firing))


def _next(schedule: Schedule, now: datetime.datetime) -> datetime.datetime | None:
    if isinstance(schedule, Once):
        return schedule.at if schedule.at >= now else None
    return schedule.next_firing_after(now)


def _error(field: str, text: str) -> dict[str, list[ErrorDetail]]:
    return {field: [ErrorDetail(text, code="invalid")]}
