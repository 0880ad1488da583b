"""Checks when a job would fire, and says which field is wrong."""

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
    next_firings,
    parse_timezone,
    settled_schedule,
    warnings_ahead,
)
from jobs.services.save import TIMING


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


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object"}], "nullable": True})
class NormalSchedule(serializers.JSONField):
    """A schedule in normal form."""


class ScheduleTypeField(serializers.ChoiceField):
    """What kind of schedule a schedule is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            choices=ScheduleType.choices,
            help_text="`one_off` fires once; `manual` has no schedule and runs only when asked.",
            **options,
        )


class StartsAt(Instant):
    """The first instant that a schedule may plan."""

    def __init__(self) -> None:
        super().__init__(
            allow_null=True,
            default=None,
            help_text="Nothing is planned before. An interval counts from it. Null: no such bound.",
        )


class EndsAt(Instant):
    """The last instant that a schedule may plan."""

    def __init__(self) -> None:
        super().__init__(
            allow_null=True,
            default=None,
            help_text="Nothing is planned after; then the job disables itself. Null: no such bound.",
        )


def check_timing(
    config: dict[str, Any],
    *,
    before: dict[str, Any] | None,
    anchor: datetime.datetime,
    now: datetime.datetime,
    fires: bool = True,
) -> None:
    """Refuse a time zone, schedule or dates that mean nothing, or, where they are new, that would never fire.

    `before` is the definition so far, of a job that is not enabled anew: a one-off that has fired may be saved again as
    it is, and so may one that is enabled nowhere (not `fires`). Raises ValidationError.
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
            raise ValidationError(_told("schedule", "This time is past, or outside starts_at and ends_at."))
        field = "ends_at" if config["ends_at"] else "schedule"
        raise ValidationError(_told(field, "With these dates the job would never fire."))


def checked_schedule(timing: dict[str, Any], *, anchor: datetime.datetime) -> Schedule | None:
    """The schedule that the timing fields of a definition make, even one that won't fire any more.

    Raises ValidationError, naming each field that is wrong.
    """
    errors: dict[str, Any] = {}
    schedule = None
    try:
        parse_timezone(timing["timezone"])
    except ScheduleError as error:
        errors |= _told("timezone", str(error))
        timing = {**timing, "timezone": "UTC"}
    if timing["starts_at"] and timing["ends_at"] and timing["starts_at"] >= timing["ends_at"]:
        errors |= _told("ends_at", "Should be later than starts_at.")
    try:
        schedule = schedule_of(timing, anchor=anchor)
    except ScheduleError as error:
        errors |= _told("schedule", str(error))
    if errors:
        raise ValidationError(errors)
    return schedule


@dataclass(frozen=True, slots=True)
class Previewed:
    """What the timing of a definition means. `schedule` is None for a manual job; `warnings` are sentences."""

    schedule: Schedule | None
    firings: tuple[datetime.datetime, ...] = ()
    warnings: tuple[str, ...] = ()


def previewed(
    timing: dict[str, Any], *, since: datetime.datetime, count: int, anchor: datetime.datetime | None = None
) -> Previewed:
    """What would fire later than `since`, and the days to know of: for the API and the dashboard alike.

    `anchor` is when the job was made; `since`, where it is yet to be. Raises ValidationError, naming the field.
    """
    spelled = timing["schedule"]
    schedule = checked_schedule({**timing, "schedule": settled_schedule(spelled, since)}, anchor=anchor or since)
    if schedule is None:
        return Previewed(None)
    at_once = isinstance(schedule, Once) and schedule.at == since
    firings = (since,) if at_once else next_firings(schedule, since, count)
    until = firings[-1] if firings else since
    zone = parse_timezone(timing["timezone"])
    warnings = warnings_ahead(schedule, spelled, zone, after=since, until=until)
    never_again = () if firings else (f"It does not fire after {instant_text(since)}.",)
    return Previewed(schedule, firings, (*warnings, *never_again))


def _next(schedule: Schedule, now: datetime.datetime) -> datetime.datetime | None:
    if isinstance(schedule, Once):
        return schedule.at if schedule.at >= now else None
    return schedule.next_firing_after(now)


def _told(field: str, text: str) -> dict[str, list[ErrorDetail]]:
    return {field: [ErrorDetail(text, code="invalid")]}
