"""The preview of a schedule, without a job."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.views import ApiView
from api.jobs import examples
from core.validation.fields import Choice, Instant, Text, Whole, instant_text
from core.validation.strict import StrictSerializer
from jobs.definition.contract import Overlap
from jobs.definition.contradictions import contradictions
from jobs.models import ScheduleType
from jobs.schedule import MAX_FIRINGS
from jobs.schedule.jitter import MAX_JITTER_SECONDS
from jobs.schedule.misfire import Misfire
from jobs.validation.definition import MAX_CONCURRENCY, MAX_GRACE_SECONDS
from jobs.validation.fields import ScheduleSpelling
from jobs.validation.timing import (
    DstFold,
    DstGap,
    EndsAt,
    NormalSchedule,
    ScheduleTypeField,
    StartsAt,
    TimingPreview,
    preview_timing,
)

_DEFAULT_COUNT = 10


@extend_schema_serializer(examples=examples.SCHEDULE)
class ScheduleSerializer(StrictSerializer):
    """A schedule and the fields of a job that affect it, as in the job object."""

    schedule = ScheduleSpelling(allow_null=True)
    timezone = Text(default="UTC", max_length=64, help_text="IANA time zone.")
    dst_gap = DstGap()
    dst_fold = DstFold()
    starts_at = StartsAt()
    ends_at = EndsAt()
    jitter_seconds = Whole(
        default=0,
        min_value=0,
        max_value=MAX_JITTER_SECONDS,
        help_text="Jitter in seconds, used for `warnings`; `next` does not include it.",
    )
    overlap = Choice(
        choices=[policy.value for policy in Overlap], default=Overlap.ALLOW.value, help_text="Used for `warnings`."
    )
    misfire = Choice(
        choices=[policy.value for policy in Misfire], default=Misfire.FIRE_ONCE.value, help_text="Used for `warnings`."
    )
    misfire_grace_seconds = Whole(
        default=3600, min_value=0, max_value=MAX_GRACE_SECONDS, help_text="Used for `warnings`."
    )
    concurrency = Whole(
        allow_null=True, default=None, min_value=1, max_value=MAX_CONCURRENCY, help_text="Used for `warnings`."
    )
    count = Whole(
        default=_DEFAULT_COUNT, min_value=1, max_value=MAX_FIRINGS, help_text="Number of occurrences in `next`."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        # `from` is a Python keyword, so it can't be declared above.
        since = Instant(
            required=False, help_text="List occurrences after this instant, as for a job created then. Default: now."
        )
        return {**super().get_fields(), "from": since}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Convert dates to the format of a definition."""
        dates = {field: attrs[field] and instant_text(attrs[field]) for field in ("starts_at", "ends_at")}
        return {**attrs, **dates}


@extend_schema_serializer(examples=examples.PREVIEW)
class PreviewSerializer(serializers.Serializer):
    """The meaning of a schedule."""

    normalized = NormalSchedule(help_text="The schedule in normal form; null without a schedule.")
    description = Text(allow_null=True, help_text="The schedule in words; null without a schedule.")
    type = ScheduleTypeField()
    next = serializers.ListField(
        child=Instant(), help_text="The next occurrences; fewer than `count` if the schedule ends."
    )
    warnings = serializers.ListField(
        child=Text(),
        help_text="Clock changes that affect the schedule within a year or until the end of `next`, and settings that "
        "conflict, such as a jitter as long as the time between two occurrences.",
    )


class SchedulePreview(ApiView):
    """A computation on the body: generic views would create an object."""

    read_scope: str = Scope.JOBS_READ
    # A POST that changes nothing: the schedule is in the body.
    write_scope: str = Scope.JOBS_READ
    serializer_class = PreviewSerializer

    @extend_schema(
        operation_id="schedules_preview",
        summary="Preview a schedule",
        description="Explains a schedule and lists its next occurrences. Validated like a job, except that a one-off "
        "schedule may be in the past.",
        request=ScheduleSerializer,
        responses=PreviewSerializer,
    )
    def post(self, request: Request) -> Response:
        timing = self.read_body(request, ScheduleSerializer)
        since, count = timing.pop("from", self.now), timing.pop("count")
        preview = preview_timing(timing, since=since, count=count)
        return Response(_represent(preview, contradictions(preview.schedule, timing)))


def _represent(preview: TimingPreview, conflicts: tuple[str, ...]) -> dict[str, Any]:
    schedule = preview.schedule
    return {
        "normalized": schedule and schedule.normalized,
        "description": schedule and schedule.description,
        "type": schedule.type if schedule else ScheduleType.MANUAL,
        "next": [instant_text(at) for at in preview.firings],
        "warnings": [*preview.warnings, *conflicts],
    }
