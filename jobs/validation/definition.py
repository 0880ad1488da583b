"""The validator of a complete definition: of a job, or of a job in one environment."""

import datetime
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty

from core import exact_json
from core.validation.fields import BoundedList, Choice, Text, Whole, instant_text
from core.validation.strict import StrictSerializer, by_field
from jobs.definition.calls import WORKFLOW, is_workflow
from jobs.definition.contract import Overlap
from jobs.definition.reading import KINDS
from jobs.definition.webhook import NO_WEBHOOK
from jobs.schedule import resolve_relative
from jobs.schedule.jitter import MAX_JITTER_SECONDS
from jobs.schedule.misfire import Misfire
from jobs.services.save import TIMING
from jobs.validation.callback import CallbackSerializer, CallbackUrl, with_callback
from jobs.validation.fields import NullOnly, ScheduleSpelling
from jobs.validation.kinds import section_errors, with_defaults
from jobs.validation.limits import beyond_plan
from jobs.validation.representation import CONFIG_FIELDS
from jobs.validation.sections import (
    RequestSerializer,
    RetentionSerializer,
    RetrySerializer,
    SuccessSerializer,
    body_assertion_errors,
)
from jobs.validation.timing import DstFold, DstGap, EndsAt, StartsAt, check_timing, checked_schedule
from jobs.validation.webhook import WebhookSerializer, stored_webhook
from jobs.validation.workflow import WorkflowSerializer

MAX_CONCURRENCY = 10_000
MAX_GRACE_SECONDS = 366 * 24 * 3600
MAX_WORKFLOW_BYTES = 256 * 1024
#: Sections that may be left out for their defaults, whatever the kind.
_SECTIONS = ("webhook", "retention")


class DefinitionSerializer(StrictSerializer):
    """A complete definition.

    The context has `workspace` and `now`, and for an existing job `before`, its definition so far, and `anchor`, its
    creation.
    """

    name = Text(max_length=200, help_text="The display name; it need not be unique.")
    description = Text(default="", allow_blank=True, max_length=10_000, help_text="Free text for people.")
    tags = BoundedList(
        child=Text(max_length=100),
        default=list,
        max_length=20,
        help_text="Labels of your own, by which lists of jobs and executions can be filtered.",
    )
    kind = Choice(choices=KINDS, default="http", help_text="What the job does: one call, or the steps of `workflow`.")
    schedule = ScheduleSpelling(allow_null=True, default=None)
    timezone = Text(default="UTC", max_length=64, help_text="The IANA name of the time zone.")
    starts_at = StartsAt()
    ends_at = EndsAt()
    jitter_seconds = Whole(
        default=0,
        min_value=0,
        max_value=MAX_JITTER_SECONDS,
        help_text="Delay each occurrence by up to this many seconds, always the same for one occurrence.",
    )
    dst_gap = DstGap()
    dst_fold = DstFold()
    overlap = Choice(
        choices=[policy.value for policy in Overlap],
        default=Overlap.ALLOW.value,
        help_text="What to do with an occurrence that is due while an execution of this job is in progress in the "
        "same environment: `allow` starts it at once, `queue` after the other, `cancel_running` instead of the other, "
        "`skip` not at all.",
    )
    misfire = Choice(
        choices=[policy.value for policy in Misfire],
        default=Misfire.FIRE_ONCE.value,
        help_text="What to do with occurrences that did not fire on time: of those within the grace, `fire_once` fires "
        "the latest, `fire_all` the latest 100, `skip` none. The others are counted as missed.",
    )
    misfire_grace_seconds = Whole(
        default=3600, min_value=0, max_value=MAX_GRACE_SECONDS, help_text="How late an occurrence may still fire."
    )
    request = RequestSerializer(
        required=False, allow_null=True, help_text="The HTTP call to make, required for `http`; null for `workflow`."
    )
    success = SuccessSerializer(
        required=False, allow_null=True, help_text="Which responses count as success; null for `workflow`."
    )
    retry = RetrySerializer(
        required=False, allow_null=True, help_text="Whether and when to retry after a failure; null for `workflow`."
    )
    callback_url = CallbackUrl(
        allow_null=True,
        default=None,
        help_text="The short form of `callback.url`. Given alone, the other fields of `callback` keep their values, or "
        "have their defaults; given with `callback`, both must have the same URL.",
    )
    callback = CallbackSerializer(
        allow_null=True, default=None, help_text="The call to make after an execution has ended; null: none."
    )
    concurrency = Whole(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=MAX_CONCURRENCY,
        help_text="The most executions of this job in flight; null: no limit.",
    )
    command = NullOnly(help_text="Only null so far.")
    workflow = WorkflowSerializer(
        required=False, allow_null=True, help_text="The steps, required for `workflow`; null for `http`."
    )
    webhook = WebhookSerializer(required=False, help_text="The inbound trigger: a URL that others call to run the job.")
    retention = RetentionSerializer(
        required=False, help_text="How much history to keep. An execution stays while either rule keeps it."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            data = with_defaults({**{section: {} for section in _SECTIONS}, **data})
            errors = section_errors(data)
        try:
            attrs: dict[str, Any] = with_callback(super().to_internal_value(data), given=data)
        except ValidationError as error:
            raise ValidationError({**self._timing_errors(data), **by_field(error), **errors}) from error
        if errors:
            raise ValidationError({**self._timing_errors(data), **errors})
        return attrs

    def _timing_errors(self, data: Any) -> dict[str, Any]:
        """Return the errors of the timing as a whole, which are reported beside those of single fields."""
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
        """Replace dates by text, and a schedule relative to now by its instant."""
        dates = {field: attrs[field] and instant_text(attrs[field]) for field in ("starts_at", "ends_at")}
        return {**attrs, **dates, "schedule": resolve_relative(attrs["schedule"], self.context["now"])}

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
        if is_workflow(attrs):
            size = len(exact_json.compact(definition_fields(attrs)).encode(errors="surrogatepass"))
            if size > MAX_WORKFLOW_BYTES:
                detail = "The whole definition of a workflow should be at most 256 KiB as JSON."
                errors[WORKFLOW] = [ErrorDetail(detail, code="too_large")]
        elif assertion_errors := body_assertion_errors(attrs["request"], attrs["success"]):
            errors["success"] = {"assertions": assertion_errors}
        if errors:
            raise ValidationError(errors)
        return attrs

    @property
    def before(self) -> dict[str, Any] | None:
        before: dict[str, Any] | None = self.context.get("before")
        return before

    @property
    def anchor(self) -> datetime.datetime:
        anchor: datetime.datetime = self.context.get("anchor") or self.context["now"]
        return anchor

    @property
    def fires(self) -> bool:
        """Whether the job is enabled where this applies; if not, its schedule may have no further occurrences."""
        fires: bool = self.context.get("fires", True)
        return fires

    @property
    def enables(self) -> bool:
        """Whether this enables the job: then every field is checked, as of a new job, not only changed ones."""
        enables: bool = self.context.get("enables", False)
        return enables

    @property
    def starts_timing(self) -> bool:
        """Whether the timing takes effect in a new place: then it needs a further occurrence."""
        return self.enables

    @property
    def definition(self) -> dict[str, Any]:
        """The complete definition, once valid."""
        return definition_fields(self.validated_data)


def definition_fields(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the validated attributes that are part of the definition."""
    definition = {field: attrs[field] for field in CONFIG_FIELDS if field in attrs}
    webhook = stored_webhook(definition.pop("webhook", NO_WEBHOOK))
    # Older releases expect a null `callback_url`, and read versions without `callback` and `webhook`.
    later = {"callback": definition.pop("callback", None), "webhook": webhook}
    return {**definition, "callback_url": None, **{field: value for field, value in later.items() if value}}
