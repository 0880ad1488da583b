"""The job object: the one validator of definitions (API, dashboard and imports), and how a job is shown."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.errors import NotFoundError
from accounts.models import Environment
from jobs.api import examples
from jobs.api.definition import (
    RequestSerializer,
    RetentionSerializer,
    RetrySerializer,
    SuccessSerializer,
    WebhookSerializer,
)
from jobs.api.fields import NullOnly, ScheduleSpelling, only
from jobs.api.shown import CONFIG_FIELDS, shown_job, shown_state
from jobs.api.timing import DstFold, DstGap, check_timing
from jobs.definition import Overlap
from jobs.jitter import MAX_JITTER_SECONDS
from jobs.misfire import Misfire
from jobs.models import Job, JobEnvironment, ScheduleType
from jobs.schedule import settled_schedule
from jobs.services import RESERVED_SLUGS, EnvironmentChange, save_job
from scheduler_project.api.fields import Choice, Flag, Instant, Text, Whole, instant_text
from scheduler_project.api.strict import StrictSerializer

KINDS = ("http", "command", "workflow")
MAX_CONCURRENCY = 10_000
MAX_GRACE_SECONDS = 366 * 24 * 3600
SLUG = re.compile(r"[a-z0-9-]{1,100}")
#: Objects in it that a PATCH merges field by field, and whose absence means their defaults.
_SECTIONS = ("success", "retry", "retention", "webhook")
_MERGED = ("request", *_SECTIONS)
_PAUSE_FIELDS = ("paused", "paused_until", "pause_note")


def is_slug(text: str) -> bool:
    """Whether a job may be called so. A slug that reads as a UUID could be taken for another job's id."""
    if not SLUG.fullmatch(text) or text in RESERVED_SLUGS:
        return False
    try:
        uuid.UUID(text)
    except ValueError:
        return True
    return False


class EnvironmentStateSerializer(StrictSerializer):
    """A job in one environment. Pausing has its own routes, so its fields may be sent back but not changed."""

    enabled = Flag(required=False, help_text="True where left out of a new job.")
    paused = Flag(read_only=True)
    paused_until = Instant(read_only=True, allow_null=True)
    pause_note = Text(read_only=True)
    overrides = serializers.DictField(default=dict, validators=[only({})], help_text="Only {} so far.")
    next_fire_at = Instant(read_only=True, allow_null=True)
    last_status = Text(read_only=True, allow_null=True)
    consecutive_failures = Whole(read_only=True)


@extend_schema_serializer(examples=examples.JOB)
class JobSerializer(StrictSerializer):
    """What to do and when.

    Give `data` and, for an edit, `instance`; `partial=True` merges `data` into the stored definition. The context holds
    `workspace` and `now`, the instant of the whole request, and `access` where a caller of the API is bound by it.
    """

    id = serializers.UUIDField(read_only=True)
    slug = Text(required=False, help_text="Made from the name when left out.")
    name = Text(max_length=200)
    description = Text(default="", allow_blank=True, max_length=10_000)
    tags = serializers.ListField(child=Text(max_length=100), default=list, max_length=20)
    kind = Choice(choices=KINDS, default="http", validators=[only("http")])
    schedule = ScheduleSpelling(allow_null=True, default=None)
    schedule_normalized = extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object"}], "nullable": True})(
        serializers.JSONField
    )(read_only=True)
    schedule_description = Text(read_only=True, allow_null=True)
    schedule_type = serializers.ChoiceField(choices=ScheduleType.choices, read_only=True)
    timezone = Text(default="UTC", help_text="An IANA name.")
    starts_at = Instant(allow_null=True, default=None)
    ends_at = Instant(allow_null=True, default=None)
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
        help_text="When one is due while another of this job still goes on in that environment.",
    )
    misfire = Choice(
        choices=[policy.value for policy in Misfire],
        default=Misfire.FIRE_ONCE.value,
        help_text="What becomes of occurrences that could not be fired on time.",
    )
    misfire_grace_seconds = Whole(
        default=3600, min_value=0, max_value=MAX_GRACE_SECONDS, help_text="How late one may still be fired."
    )
    request = RequestSerializer()
    success = SuccessSerializer(required=False)
    retry = RetrySerializer(required=False)
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
    webhook = WebhookSerializer(required=False)
    retention = RetentionSerializer(required=False)
    environments = serializers.DictField(child=EnvironmentStateSerializer(), required=False)
    version = Whole(read_only=True)
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    deleted_at = Instant(read_only=True, allow_null=True)

    def __init__(self, instance: Job | None = None, *, partial: bool = False, **options: Any) -> None:
        self._merges = partial
        super().__init__(instance, **options)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping):
            data = {**{section: {} for section in _SECTIONS}, **(self._merged(data) if self._merges else data)}
        return super().to_internal_value(data)

    def _merged(self, data: Mapping[str, Any]) -> dict[str, Any]:
        stored = self._stored() or {}
        merged = {**stored, **data}
        for section in _MERGED:
            if isinstance(data.get(section), Mapping):
                merged[section] = {**stored.get(section, {}), **data[section]}
        if isinstance(merged.get("retry"), Mapping) and merged["retry"].get("policy") is not None:
            # The stored rules are those of the policy so far: nobody asks for them now.
            merged["retry"] = {"policy": merged["retry"]["policy"], **data.get("retry", {})}
        return merged

    def _stored(self) -> dict[str, Any] | None:
        version = self.instance.current_version if isinstance(self.instance, Job) else None
        return version.config if version else None

    def validate_slug(self, value: str) -> str:
        if not is_slug(value):
            raise ValidationError("Should be 1 to 100 of a-z, 0-9 and -, and no UUID or reserved word.", code="invalid")
        return value

    def validate_tags(self, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))

    def validate_environments(self, value: dict[str, Any]) -> list[EnvironmentChange]:
        """What to change. Without `partial`, environments that are not named are disabled."""
        known = self._environments()
        rows = self._rows()
        errors: dict[str, Any] = {}
        for slug in value:
            if slug not in known:
                errors[slug] = [self._unknown_environment(slug)]
            elif wrong := self._changed_pause(slug, rows.get(slug)):
                errors[slug] = wrong
        if errors:
            raise ValidationError(errors)
        changes = [
            EnvironmentChange(known[slug], state.get("enabled", True))
            for slug, state in value.items()
            if "enabled" in state or slug not in rows or not self._merges
        ]
        if not self._merges:
            unnamed = (slug for slug in rows if slug in known and slug not in value)
            changes += [EnvironmentChange(known[slug], enabled=False) for slug in unnamed]
        return changes

    def _environments(self) -> dict[str, Environment]:
        access = self.context.get("access")
        found = access.environments() if access else self.context["workspace"].environments.all()
        return {environment.slug: environment for environment in found}

    def _rows(self) -> dict[str, JobEnvironment]:
        if not isinstance(self.instance, Job):
            return {}
        rows = self.instance.job_environments.select_related("environment")
        return {row.environment.slug: row for row in rows}

    def _unknown_environment(self, slug: str) -> ErrorDetail:
        access = self.context.get("access")
        if access is not None and access.environment_ids is not None:
            raise NotFoundError(f"This API key reaches no environment {slug}.", field=f"environments.{slug}")
        return ErrorDetail("There is no such environment.", code="environment_unknown")

    def _changed_pause(self, slug: str, row: JobEnvironment | None) -> dict[str, list[ErrorDetail]]:
        shown = shown_state(row or JobEnvironment(), self.context["now"])
        given = self.initial_data["environments"][slug]
        detail = ErrorDetail("Change this with the routes pause/ and resume/.", code="read_only")
        return {field: [detail] for field in _PAUSE_FIELDS if field in given and given[field] != shown[field]}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        now = self.context["now"]
        for field in ("starts_at", "ends_at"):
            attrs[field] = attrs[field] and instant_text(attrs[field])
        attrs["schedule"] = settled_schedule(attrs["schedule"], now)
        anchor = self.instance.created_at if isinstance(self.instance, Job) else now
        check_timing(attrs, before=self._stored(), anchor=anchor, now=now)
        return attrs

    @property
    def config(self) -> dict[str, Any]:
        """The complete definition, once valid: what a JobVersion keeps."""
        return {field: self.validated_data[field] for field in CONFIG_FIELDS}

    @property
    def changes_definition(self) -> bool:
        """Whether saving would change what all of the job's environments share."""
        stored = self._stored()
        slug = self.validated_data.get("slug")
        return stored != self.config or (isinstance(self.instance, Job) and slug not in {None, self.instance.slug})

    def to_representation(self, instance: Job) -> dict[str, Any]:
        shown = shown_job(instance, now=self.context["now"])
        return {field: shown[field] for field in self._declared_fields}


def save_validated(serializer: JobSerializer, *, actor: Any, slug: str | None = None) -> Job:
    """Save what a valid serializer holds. A caller bound to environments makes its jobs in the first of those."""
    valid, access = serializer.validated_data, serializer.context.get("access")
    job = serializer.instance if isinstance(serializer.instance, Job) else None
    environments = valid.get("environments")
    if job is None and environments is None and access is not None:
        environments = [EnvironmentChange(first, enabled=True) for first in access.environments()[:1]]
    return save_job(
        workspace=serializer.context["workspace"],
        job=job,
        slug=valid.get("slug") or slug,
        config=serializer.config,
        environments=environments,
        actor=actor,
        now=serializer.context["now"],
    )
