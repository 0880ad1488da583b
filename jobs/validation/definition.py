"""The whole definition of a job: the validator of what a version keeps, and of what holds in one environment."""

import datetime
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from core.validation.fields import BoundedList, Choice, Text, Whole, instant_text
from core.validation.strict import StrictSerializer, by_field
from jobs.definition.contract import Overlap
from jobs.schedule import settled_schedule
from jobs.schedule.jitter import MAX_JITTER_SECONDS
from jobs.schedule.misfire import Misfire
from jobs.services.save import TIMING
from jobs.validation.fields import NullOnly, ScheduleSpelling
from jobs.validation.limits import beyond_plan
from jobs.validation.representation import CONFIG_FIELDS
from jobs.validation.sections import (
    RequestSerializer,
    RetentionSerializer,
    RetrySerializer,
    SuccessSerializer,
    wrong_for_head,
)
from jobs.validation.timing import DstFold, DstGap, EndsAt, StartsAt, check_timing, checked_schedule

#: More kinds come with later releases.
KINDS = ("http",)
MAX_CONCURRENCY = 10_000
MAX_GRACE_SECONDS = 366 * 24 * 3600
#: Objects whose absence means their defaults.
SECTIONS = ("success", "retry", "retention")


class DefinitionSerializer(StrictSerializer):
    """A complete definition.

    The context holds `workspace` and `now`, and for a job that is there already `before`, the definition that held so
    far, and `anchor`, when it was made.
    """

    name = Text(max_length=200, help_text="What people call the job; several may have the same.")
    description = Text(
        default="", allow_blank=True, max_length=10_000, help_text="For people; nothing follows from it."
    )
    tags = BoundedList(
        child=Text(max_length=100),
        default=list,
        max_length=20,
        help_text="Words of your own, which lists of jobs and executions can be filtered by.",
    )
    kind = Choice(choices=KINDS, default="http", help_text="What the job does. Only `http` so far.")
    schedule = ScheduleSpelling(allow_null=True, default=None)
    timezone = Text(default="UTC", max_length=64, help_text="An IANA name.")
    starts_at = StartsAt()
    ends_at = EndsAt()
    jitter_seconds = Whole(
        default=0,
        min_value=0,
        max_value=MAX_JITTER_SECONDS,
        help_text="Each occurrence starts up to so many seconds later, always the same for one occurrence.",
    )
    dst_gap = DstGap()
    dst_fold = DstFold()
    overlap = Choice(
        choices=[policy.value for policy in Overlap],
        default=Overlap.ALLOW.value,
        help_text="What becomes of one that is due while another of this job still goes on in that environment: "
        "`allow` starts it beside that, `queue` after it, `cancel_running` in its place, `skip` not at all.",
    )
    misfire = Choice(
        choices=[policy.value for policy in Misfire],
        default=Misfire.FIRE_ONCE.value,
        help_text="What becomes of occurrences that could not be fired on time: of those within the grace, `fire_once` "
        "fires the latest, `fire_all` the latest 100, `skip` none. The others are counted as missed.",
    )
    misfire_grace_seconds = Whole(
        default=3600, min_value=0, max_value=MAX_GRACE_SECONDS, help_text="How late one may still be fired."
    )
    request = RequestSerializer(help_text="The HTTP call to make.")
    success = SuccessSerializer(required=False, help_text="What answers count as success.")
    retry = RetrySerializer(required=False, help_text="Whether and when to try again after a failure.")
    callback_url = NullOnly(help_text="Only null so far.")
    concurrency = Whole(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=MAX_CONCURRENCY,
        help_text="Most executions of this job in flight; null: no limit.",
    )
    command = NullOnly(help_text="Only null so far.")
    workflow = NullOnly(help_text="Only null so far.")
    retention = RetentionSerializer(
        required=False, help_text="How much history to keep; an execution stays while any of its rules keeps it."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping):
            data = {**{section: {} for section in SECTIONS}, **data}
        try:
            return super().to_internal_value(data)
        except ValidationError as error:
            raise ValidationError({**self._wrong_timing(data), **by_field(error)}) from error

    def _wrong_timing(self, data: Any) -> dict[str, Any]:
        """What is wrong with when it fires, beside fields that are wrong by themselves: neither hides the other."""
        timing = {}
        for name in TIMING:
            field = self.fields[name]
            try:
                timing[name] = field.run_validation(data.get(name, empty))
            except (AttributeError, ValidationError):
                timing[name] = field.get_default()
        try:
            checked_schedule(self._settled(timing), anchor=self.anchor)
        except ValidationError as error:
            return by_field(error)
        return {}

    def _settled(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With dates as text, and a schedule that counts from now as the instant that it means."""
        dates = {field: attrs[field] and instant_text(attrs[field]) for field in ("starts_at", "ends_at")}
        return {**attrs, **dates, "schedule": settled_schedule(attrs["schedule"], self.context["now"])}

    def validate_tags(self, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs, errors = self._settled(attrs), {}
        before, plan = None if self.enables else self.before, self.context["workspace"].plan
        timed_before = None if self.starts_timing else self.before
        try:
            check_timing(attrs, before=timed_before, anchor=self.anchor, now=self.context["now"], fires=self.fires)
        except ValidationError as error:
            errors = by_field(error)
        errors |= beyond_plan(attrs, plan=plan, before=before, anchor=self.anchor, timed=not errors)
        if wrong := wrong_for_head(attrs["request"], attrs["success"]):
            errors["success"] = {"assertions": wrong}
        if errors:
            raise ValidationError(errors)
        return attrs

    @property
    def before(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.context.get("before")
        return found

    @property
    def anchor(self) -> datetime.datetime:
        found: datetime.datetime = self.context.get("anchor") or self.context["now"]
        return found

    @property
    def fires(self) -> bool:
        """Whether it is enabled where it holds; if not, its schedule may be over."""
        found: bool = self.context.get("fires", True)
        return found

    @property
    def enables(self) -> bool:
        """Whether it is enabled anew: then all of it is judged, as of a new job, and not only what is different."""
        found: bool = self.context.get("enables", False)
        return found

    @property
    def starts_timing(self) -> bool:
        """Whether its timing holds anew somewhere: then something has to be left of it to fire."""
        return self.enables

    @property
    def definition(self) -> dict[str, Any]:
        """The complete definition, once valid."""
        return definition_in(self.validated_data)


def definition_in(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The part of validated attributes that is the definition."""
    return {field: attrs[field] for field in CONFIG_FIELDS}
