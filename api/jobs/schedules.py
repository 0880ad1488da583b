"""The preview of a schedule: what it means and when it would fire, without making a job."""

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
    """The timing of a job that need not exist. Its fields are those of the job object."""

    schedule = ScheduleSpelling(allow_null=True)
    timezone = Text(default="UTC", max_length=64, help_text="An IANA name.")
    dst_gap = DstGap()
    dst_fold = DstFold()
    starts_at = StartsAt()
    ends_at = EndsAt()
    jitter_seconds = Whole(
        default=0, min_value=0, max_value=MAX_JITTER_SECONDS, help_text="For `warnings`; `next` is without it."
    )
    overlap = Choice(
        choices=[policy.value for policy in Overlap], default=Overlap.ALLOW.value, help_text="For `warnings`."
    )
    misfire = Choice(
        choices=[policy.value for policy in Misfire], default=Misfire.FIRE_ONCE.value, help_text="For `warnings`."
    )
    misfire_grace_seconds = Whole(default=3600, min_value=0, max_value=MAX_GRACE_SECONDS, help_text="For `warnings`.")
    concurrency = Whole(
        allow_null=True, default=None, min_value=1, max_value=MAX_CONCURRENCY, help_text="For `warnings`."
    )
    count = Whole(default=_DEFAULT_COUNT, min_value=1, max_value=MAX_FIRINGS, help_text="How many firings to show.")

    def get_fields(self) -> dict[str, serializers.Field]:
        # "from" is a word of Python's own, so it can't be declared above.
        looks_from = Instant(
            required=False, help_text="Show what fires later than this, as for a job made then. Now when left out."
        )
        return {**super().get_fields(), "from": looks_from}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Dates as a definition keeps them."""
        dates = {field: attrs[field] and instant_text(attrs[field]) for field in ("starts_at", "ends_at")}
        return {**attrs, **dates}


@extend_schema_serializer(examples=examples.PREVIEW)
class PreviewSerializer(serializers.Serializer):
    """What a schedule means."""

    normalized = NormalSchedule(help_text="An equal schedule in normal form; null without one.")
    description = Text(allow_null=True, help_text="The schedule in words; null without one.")
    type = ScheduleTypeField()
    next = serializers.ListField(child=Instant(), help_text="The next firings, fewer where there are no more.")
    warnings = serializers.ListField(
        child=Text(),
        help_text="Days ahead, a year or as far as `next` goes, when the clock is set and it matters; and settings "
        "that work against each other, as a jitter as long as the time between two firings.",
    )


class SchedulePreview(ApiView):
    """A computation on the body: DRF's generic views would create an object."""

    read_scope: str = Scope.JOBS_READ
    # It is a POST because a schedule does not fit a path. It changes nothing.
    write_scope: str = Scope.JOBS_READ
    serializer_class = PreviewSerializer

    @extend_schema(
        operation_id="schedules_preview",
        summary="Show what a schedule means and when it fires",
        description="Refuses what a job with this timing would be refused for, but for a time that is past.",
        request=ScheduleSerializer,
        responses=PreviewSerializer,
    )
    def post(self, request: Request) -> Response:
        timing = self.read_body(request, ScheduleSerializer)
        since, count = timing.pop("from", self.now), timing.pop("count")
        found = preview_timing(timing, since=since, count=count)
        return Response(_shown(found, contradictions(found.schedule, timing)))


def _shown(found: TimingPreview, contrary: tuple[str, ...]) -> dict[str, Any]:
    schedule = found.schedule
    return {
        "normalized": schedule and schedule.normalized,
        "description": schedule and schedule.description,
        "type": schedule.type if schedule else ScheduleType.MANUAL,
        "next": [instant_text(at) for at in found.firings],
        "warnings": [*found.warnings, *contrary],
    }
