"""The section of the schedule: when a job fires, its misfire and overlap policies."""

import json
import zoneinfo
from typing import Any, ClassVar

from django import forms

from dashboard.forms.fields import api_choices, choice, instant, local_time_field, number, text
from jobs.schedule import ScheduleError, parse_timezone

TIMEZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
_MISFIRE = {
    "fire_once": "Fire once, for the latest",
    "fire_all": "Fire all, at most 100",
    "skip": "Skip all",
}
_OVERLAP = {
    "allow": "Run both",
    "skip": "Skip the new one",
    "queue": "Queue the new one",
    "cancel_running": "Cancel the running one",
}
_DST_GAP = {"shift": "Fire later, by as much as is skipped", "skip": "Do not fire"}
_DST_FOLD = {"first": "Fire the first time only", "both": "Fire both times"}


class SchedulePart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {
        "schedule": "schedule",
        "timezone": "timezone",
        "starts_at": "starts_at",
        "ends_at": "ends_at",
        "misfire": "misfire",
        "misfire_grace_seconds": "misfire_grace_seconds",
        "overlap": "overlap",
        "concurrency": "concurrency",
        "jitter_seconds": "jitter_seconds",
        "dst_gap": "dst_gap",
        "dst_fold": "dst_fold",
    }
    #: Local times in `timezone`: in another zone the same text is another instant.
    LOCAL_TIMES = ("starts_at", "ends_at")

    schedule = text(
        help_text="Plain words (<code>every weekday at 9am</code>, <code>every 5 minutes</code>), cron "
        "(<code>0 2 * * *</code>), <code>@hourly</code>, a datetime (<code>2026-03-15T02:00</code>), "
        '<code>in 10 minutes</code>, <code>now</code> or <code>{"every_seconds": 90}</code>. Leave empty for '
        "a manual job.",
        spellcheck="false",
        placeholder="every weekday at 9am",
    )
    timezone = text(required=True, label="Time zone", help_text="The time zone of the schedule.", list="timezones")
    starts_at = local_time_field(label="Starts", help_text="No firing before this time; intervals count from it.")
    ends_at = local_time_field(label="Ends", help_text="No firing after this time.")
    misfire = choice(
        api_choices("misfire", _MISFIRE),
        required=False,
        label="Missed occurrences",
        help_text="Occurrences that were due while no beat was running. Those not fired are recorded as skipped.",
    )
    misfire_grace_seconds = number(
        label="Misfire grace, seconds", help_text="Missed occurrences older than this are always skipped."
    )
    overlap = choice(
        api_choices("overlap", _OVERLAP),
        required=False,
        label="Overlap policy",
        help_text="For an execution that is due while one is running.",
    )
    concurrency = number(
        label="Max concurrent executions",
        help_text="Over all environments and workers; others stay pending. Leave empty for no limit.",
    )
    jitter_seconds = number(label="Jitter, seconds", help_text="Delays each firing at random by up to this. 0: none.")
    dst_gap = choice(api_choices("dst_gap", _DST_GAP), required=False, label="DST: the hour is skipped")
    dst_fold = choice(api_choices("dst_fold", _DST_FOLD), required=False, label="DST: the hour is repeated")

    def clean_schedule(self) -> Any:
        return schedule_in(self.cleaned_data["schedule"])

    def clean_timezone(self) -> str:
        return known_timezone(self.cleaned_data["timezone"])

    def clean_starts_at(self) -> str | None:
        return self._instant_of("starts_at")

    def clean_ends_at(self) -> str | None:
        return self._instant_of("ends_at")

    def _instant_of(self, field: str) -> str | None:
        local, zone = self.cleaned_data[field], self.cleaned_data.get("timezone")
        if not local or zone is None:  # an invalid zone has an error of its own
            return None
        return instant(local, parse_timezone(zone))

    def clean_misfire(self) -> str | None:
        return self.cleaned_data["misfire"] or None

    def clean_overlap(self) -> str | None:
        return self.cleaned_data["overlap"] or None

    def clean_dst_gap(self) -> str | None:
        return self.cleaned_data["dst_gap"] or None

    def clean_dst_fold(self) -> str | None:
        return self.cleaned_data["dst_fold"] or None


def schedule_in(text: str) -> Any:
    """Convert a typed schedule to the API's form. Raises forms.ValidationError."""
    if not text.startswith("{"):
        return text or None
    try:
        return json.loads(text)
    except ValueError as error:
        raise forms.ValidationError('Should be like {"every_seconds": 90}.') from error


def known_timezone(name: str) -> str:
    """Check that a time zone exists. Raises forms.ValidationError."""
    try:
        parse_timezone(name)
    except ScheduleError as error:
        raise forms.ValidationError(str(error)) from error
    return name
