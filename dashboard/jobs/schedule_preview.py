"""Preview the schedule in the form before it is saved, by the API's own validator."""

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
from dashboard.base.lookups import parse_id
from dashboard.forms.schedule import SchedulePart
from dashboard.jobs.lookups import get_job
from dashboard.jobs.words import MANUAL
from jobs.definition.contradictions import contradictions
from jobs.schedule import parse_timezone, resolve_relative
from jobs.validation.timing import preview_timing

_FIRINGS = 5
#: The form's fields that decide when a job fires; the page sends them by these names.
FIELDS = (
    "schedule", "timezone", "dst_gap", "dst_fold", "starts_at", "ends_at", "jitter_seconds", "overlap", "misfire",
    "misfire_grace_seconds", "concurrency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _FieldError:
    """An error beside the label of its field."""

    label: str
    text: str


def preview_schedule(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Render the preview. The parameter `job` is the edited job: its intervals count from its creation."""
    edited = request.GET.get("job")
    anchor = get_job(request, parse_id(edited)).created_at if edited else None
    part = SchedulePart(request.GET)
    part.is_valid()
    context = {"errors": _errors(part)} if any(part.errors.get(field) for field in FIELDS) else _preview(part, anchor)
    return TemplateResponse(request, "admin/jobs/job/preview.html", context)


def _preview(part: SchedulePart, anchor: Any) -> dict[str, Any]:
    now = timezone.now()
    values = {field: value for field in FIELDS if (value := part.cleaned_data[field]) not in (None, "")}
    serializer = ScheduleSerializer(data={"schedule": None, **values})
    try:
        serializer.is_valid(raise_exception=True)
        preview = preview_timing(serializer.validated_data, since=now, count=_FIRINGS, anchor=anchor)
    except ValidationError as error:
        errors = field_errors(error.detail)
        return {"errors": [_FieldError(_label(part, each["field"]), each["detail"]) for each in errors]}
    schedule = part.cleaned_data["schedule"]
    return {
        "description": preview.schedule.description if preview.schedule else f"{MANUAL}: no schedule.",
        "firings": preview.firings,
        "warnings": (*preview.warnings, *contradictions(preview.schedule, serializer.validated_data)),
        "zone": parse_timezone(part.cleaned_data["timezone"]),
        "now_at": now,
        "is_settled_later": resolve_relative(schedule, now) != schedule,
    }


def _errors(part: SchedulePart) -> Iterator[_FieldError]:
    for field in FIELDS:
        for text in part.errors.get(field, ()):
            yield _FieldError(_label(part, field), str(text))


def _label(part: SchedulePart, path: str | None) -> str:
    name = (path or "schedule").partition(".")[0]
    return str(part[name].label if name in part.fields else name)
