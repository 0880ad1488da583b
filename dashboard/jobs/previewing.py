"""What a schedule that nobody has saved yet means, for the form to show while somebody types: in the API's words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from api.base.problems import field_errors
from api.jobs.schedules import ScheduleSerializer
from dashboard.forms.schedule import SchedulePart
from dashboard.jobs.reach import job_in_sight, parsed
from dashboard.jobs.words import MANUAL
from jobs.definition.contradictions import contradictions
from jobs.schedule import parse_timezone, settled_schedule
from jobs.validation.timing import previewed

_FIRINGS = 5
#: The fields of the form that decide when a job fires. The page sends them by these names.
FIELDS = (
    "schedule", "timezone", "dst_gap", "dst_fold", "starts_at", "ends_at", "jitter_seconds", "overlap", "misfire",
    "misfire_grace_seconds", "concurrency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What is wrong with a field of the form, by its label."""

    label: str
    text: str


def preview_schedule(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - as every view here
    """`job` in the address is the job that is edited: its intervals count from when it was made."""
    edited = request.GET.get("job")
    anchor = job_in_sight(request, parsed(edited)).created_at if edited else None
    part = SchedulePart(request.GET)
    part.is_valid()
    context = {"wrong": _wrong_in(part)} if any(part.errors.get(field) for field in FIELDS) else _meaning(part, anchor)
    return TemplateResponse(request, "admin/jobs/job/preview.html", context)


def _meaning(part: SchedulePart, anchor: Any) -> dict[str, Any]:
    now = timezone.now()
    told = {field: value for field in FIELDS if (value := part.cleaned_data[field]) not in (None, "")}
    serializer = ScheduleSerializer(data={"schedule": None, **told})
    try:
        serializer.is_valid(raise_exception=True)
        found = previewed(serializer.validated_data, since=now, count=_FIRINGS, anchor=anchor)
    except ValidationError as error:
        return {"wrong": [_Wrong(_label(part, one["field"]), one["detail"]) for one in field_errors(error.detail)]}
    written = part.cleaned_data["schedule"]
    return {
        "description": found.schedule.description if found.schedule else f"{MANUAL}: there is no schedule.",
        "firings": found.firings,
        "warnings": (*found.warnings, *contradictions(found.schedule, serializer.validated_data)),
        "zone": parse_timezone(part.cleaned_data["timezone"]),
        "now_at": now,
        "is_settled_later": settled_schedule(written, now) != written,
    }


def _wrong_in(part: SchedulePart) -> Iterator[_Wrong]:
    for field in FIELDS:
        for text in part.errors.get(field, ()):
            yield _Wrong(_label(part, field), str(text))


def _label(part: SchedulePart, path: str | None) -> str:
    name = (path or "schedule").partition(".")[0]
    return str(part[name].label if name in part.fields else name)
