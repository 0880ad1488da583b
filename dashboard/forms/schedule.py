"""When a job fires: its schedule, its dates, and what becomes of occurrences that could not fire in time."""

import json
import zoneinfo
from typing import Any, ClassVar

from django import forms

from dashboard.forms.fields import api_choices, choice, instant, number, text, wall_clock
from jobs.schedule import ScheduleError, parse_timezone

TIMEZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
_MISFIRE = {
    "fire_once": "Fire once, for the latest",
    "fire_all": "Fire each of them, at most 100",
    "skip": "Fire none",
}
_OVERLAP = {
    "allow": "Fire all the same",
    "skip": "Skip the new one",
    "queue": "Queue the new one behind it",
    "cancel_running": "Cancel the one that is running",
}
_DST_GAP = {"shift": "Fire as much later as the clock skips", "skip": "Do not fire"}
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
    #: Read on the wall clock of `timezone`: another zone makes another instant of the same text.
    WALL_TIMES = ("starts_at", "ends_at")

    schedule = text(
        help_text="Plain words (<code>every weekday at 9am</code>, <code>every 5 minutes</code>), cron "
        "(<code>0 2 * * *</code>), <code>@hourly</code>, a datetime (<code>2026-03-15T02:00</code>), "
        '<code>in 10 minutes</code>, <code>now</code> or <code>{"every_seconds": 90}</code>. Empty: the job runs only '
        "when it is asked to.",
        spellcheck="false",
        placeholder="every weekday at 9am",
    )
    timezone = text(required=True, help_text="The wall clock that the schedule is read on.", list="timezones")
    starts_at = wall_clock(label="Starts", help_text="No firing before this; intervals count from it.")
    ends_at = wall_clock(label="Ends", help_text="No firing after this.")
    misfire = choice(
        api_choices("misfire", _MISFIRE),
        required=False,
        label="Occurrences that were missed",
        help_text="Because nothing ran that could fire them. Those that do not fire are kept as skipped, and counted.",
    )
    misfire_grace_seconds = number(
        label="Grace, seconds", help_text="Missed occurrences that are older than this are only counted."
    )
    overlap = choice(api_choices("overlap", _OVERLAP), required=False, label="When the last one has not ended yet")
    concurrency = number(
        label="Most executions at once",
        help_text="Over all environments and workers; the others stay pending. Empty: no limit.",
    )
    jitter_seconds = number(label="Jitter, seconds", help_text="Spreads firings at random over this long. 0: none.")
    dst_gap = choice(api_choices("dst_gap", _DST_GAP), required=False, label="When daylight saving time skips the hour")
    dst_fold = choice(
        api_choices("dst_fold", _DST_FOLD), required=False, label="When daylight saving time repeats the hour"
    )

    def clean_schedule(self) -> Any:
        return schedule_in(self.cleaned_data["schedule"])

    def clean_timezone(self) -> str:
        return known_timezone(self.cleaned_data["timezone"])

    def clean_starts_at(self) -> str | None:
        return self._instant_of("starts_at")

    def clean_ends_at(self) -> str | None:
        return self._instant_of("ends_at")

    def _instant_of(self, field: str) -> str | None:
        written, zone = self.cleaned_data[field], self.cleaned_data.get("timezone")
        if not written or zone is None:  # a zone that is wrong is told beside it
            return None
        return instant(written, parse_timezone(zone))

    def clean_misfire(self) -> str | None:
        return self.cleaned_data["misfire"] or None

    def clean_overlap(self) -> str | None:
        return self.cleaned_data["overlap"] or None

    def clean_dst_gap(self) -> str | None:
        return self.cleaned_data["dst_gap"] or None

    def clean_dst_fold(self) -> str | None:
        return self.cleaned_data["dst_fold"] or None


def schedule_in(written: str) -> Any:
    """A schedule as it is typed, as the API takes it. Raises forms.ValidationError."""
    if not written.startswith("{"):
        return written or None
    try:
        return json.loads(written)
    except ValueError as error:
        raise forms.ValidationError('Should be like {"every_seconds": 90}.') from error


def known_timezone(name: str) -> str:
    """A name that there is. Raises forms.ValidationError."""
    try:
        parse_timezone(name)
    except ScheduleError as error:
        raise forms.ValidationError(str(error)) from error
    return name
