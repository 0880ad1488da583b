"""The job object: validates definitions for the API, the dashboard and imports, and represents jobs."""

import datetime
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty

from accounts.actors import Actor
from accounts.encryption import EncryptionKeyError
from accounts.models import Environment, Scope
from api.jobs import examples
from core.errors import NotFoundError
from core.validation.fields import BoundedDict, Flag, Instant, Slug, Text, Whole
from core.validation.strict import StrictSerializer, by_field
from jobs.definition.calls import is_workflow, with_bare_policies
from jobs.definition.overrides import OVERRIDES, effective, shared, with_overrides
from jobs.definition.reading import UNREADABLE
from jobs.errors import VersionUnreadableError
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.services.save import TIMING, EnvironmentChange, save_job
from jobs.services.webhooks import webhook_path
from jobs.slugs import JOB_SLUGS
from jobs.validation.callback import merged_callback, without_short_form
from jobs.validation.definition import DefinitionSerializer, definition_fields
from jobs.validation.kinds import of_kind
from jobs.validation.overrides import Overrides, checked_overrides, override_errors
from jobs.validation.representation import JOB_FIELDS, represent_job, represent_state
from jobs.validation.timing import NormalSchedule, ScheduleTypeField

#: Maximum number of environments in one job object.
MAX_ENVIRONMENTS = 1000
#: Objects that a PATCH merges field by field.
_MERGED = ("request", "success", "retry", "callback", "retention", "webhook", "workflow")
_PAUSE_FIELDS = ("paused", "paused_until", "pause_note")


class EnvironmentStateSerializer(StrictSerializer):
    """A job in one environment. Pauses are changed with `pause/` and `resume/` only."""

    enabled = Flag(required=False, help_text="Whether the job runs in this environment. Default for a new job: true.")
    paused = Flag(read_only=True, help_text="Whether occurrences are currently skipped.")
    paused_until = Instant(
        read_only=True, allow_null=True, help_text="When the pause ends; null: when it is resumed, or not paused."
    )
    pause_note = Text(read_only=True, help_text="The note of the pause; empty if not paused.")
    overrides = Overrides(required=False)
    next_fire_at = Instant(
        read_only=True,
        allow_null=True,
        help_text="The next occurrence; null if disabled, paused without an end, manual, or ended.",
    )
    last_status = Text(
        read_only=True,
        allow_null=True,
        help_text="`succeeded` or `failed`: status of the last execution with either; null before the first.",
    )
    consecutive_failures = Whole(
        read_only=True,
        help_text="Number of failed executions since the last success; canceled ones are not counted.",
    )


@extend_schema_serializer(examples=examples.JOB)
class JobSerializer(DefinitionSerializer):
    """What to do and when.

    `instance` is the job to change; `partial=True` merges `data` into its definition. `like` is a serializer with the
    same context, whose fields are reused. The context has `workspace`, `now` (the instant of the request) and, for a
    caller of the API, `access`.
    """

    #: Read by the OpenAPI document.
    merged_sections = _MERGED

    id = serializers.UUIDField(
        read_only=True, help_text="Id of the job, which never changes. Paths accept it or the slug."
    )
    slug = Slug(
        JOB_SLUGS,
        required=False,
        help_text="1 to 100 characters of a-z, 0-9 and -, unique among jobs that are not deleted. Default: derived "
        "from the name.",
    )
    schedule_normalized = NormalSchedule(
        read_only=True, help_text="The schedule in normal form; null for a manual job."
    )
    schedule_description = Text(
        read_only=True, allow_null=True, help_text="The schedule in words; null for a manual job."
    )
    schedule_type = ScheduleTypeField(read_only=True)
    managed_by = Text(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Who applies this job from a file; null: it is changed by hand. If omitted, it is unchanged, or "
        "null for a new job.",
    )
    environments = BoundedDict(
        child=EnvironmentStateSerializer(),
        max_length=MAX_ENVIRONMENTS,
        required=False,
        help_text="The job in each of its environments, by slug. Default for a new job: enabled in the oldest "
        "environment.",
    )
    version = Whole(read_only=True, help_text="Number of the current version: 1, incremented by each change.")
    unreadable = Text(
        read_only=True,
        allow_null=True,
        help_text="Why this release can't read the current version in at least one environment: the job waits there "
        "for a release that can, or for a change. Null: it can be read.",
    )
    created_at = Instant(read_only=True, help_text="When the job was created.")
    updated_at = Instant(
        read_only=True, help_text="When the current version was created. Enabling and pausing create none."
    )
    deleted_at = Instant(
        read_only=True,
        allow_null=True,
        help_text="When the job was deleted; it is then found by UUID only. Null: not deleted.",
    )

    def __init__(
        self,
        instance: Job | None = None,
        *,
        partial: bool = False,
        like: "JobSerializer | None" = None,
        **options: Any,
    ) -> None:
        self._merges = partial
        super().__init__(instance, **options)
        if like is not None:
            # Building fields is most of the cost of a validation. They depend on the context only.
            self.__dict__["fields"] = like.fields

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        return {name: fields[name] for name in JOB_FIELDS}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping):
            data = self._merged(data) if self._merges else data
        return super().to_internal_value(data)

    def run_validation(self, data: Any = empty) -> Any:
        """Report errors of the job and of its overrides together."""
        try:
            return super().run_validation(data)
        except ValidationError as error:
            raise ValidationError(self._with_override_errors(data, by_field(error))) from error

    def _with_override_errors(self, data: Any, errors: dict[str, Any]) -> dict[str, Any]:
        environments = data.get("environments") if isinstance(data, Mapping) else None
        if not isinstance(environments, Mapping) or "environments" in errors:
            return errors
        whole = self._merged(data) if self._merges else data
        context = {**self.context, "fires": False}
        wrong_by_slug = {
            slug: override_errors(state["overrides"], whole, context=context)
            for slug, state in environments.items()
            if isinstance(state, Mapping) and state.get("overrides")
        }
        wrong = {slug: {"overrides": inner} for slug, inner in wrong_by_slug.items() if any(inner.values())}
        return {**errors, "environments": wrong} if wrong else errors

    def _merged(self, data: Mapping[str, Any]) -> dict[str, Any]:
        stored = shared(self.before or {})
        if isinstance(self.instance, Job) and self.instance.current_version and UNREADABLE in stored:
            number = self.instance.current_version.number
            raise VersionUnreadableError(self.instance.slug, number, f"{stored[UNREADABLE]} PUT the whole job.")
        stored = of_kind(with_bare_policies(stored) if is_workflow(stored) else stored, data)
        merged = {**without_short_form(stored), **data}
        for section in _MERGED:
            if isinstance(data.get(section), Mapping):
                merged[section] = {**(stored.get(section) or {}), **data[section]}
        merged = {**merged, **merged_callback(stored, data)}
        if isinstance(merged.get("retry"), Mapping) and merged["retry"].get("policy") is not None:
            # The stored rules belong to the previous policy.
            merged["retry"] = {"policy": merged["retry"]["policy"], **data.get("retry", {})}
        return merged

    @property
    def before(self) -> dict[str, Any] | None:
        version = self.instance.current_version if isinstance(self.instance, Job) else None
        return version.config if version else None

    @property
    def anchor(self) -> datetime.datetime:
        return self.instance.created_at if isinstance(self.instance, Job) else self.context["now"]

    def validate_environments(self, value: dict[str, Any]) -> dict[str, Any]:
        rows = self._rows
        errors: dict[str, Any] = {}
        for slug in value:
            if slug not in self._environments:
                errors[slug] = [self._unknown_environment(slug)]
            elif wrong := self._changed_pause(slug, rows.get(slug)):
                errors[slug] = wrong
        if errors:
            raise ValidationError(errors)
        return value

    def _changes(self, given: dict[str, Any]) -> list[EnvironmentChange]:
        """The changes to make. Without `partial`, omitted environments are disabled."""
        environments, rows = self._environments, self._rows
        changes = [
            EnvironmentChange(environments[slug], state.get("enabled", True))
            for slug, state in given.items()
            if "enabled" in state or slug not in rows or not self._merges
        ]
        if not self._merges:
            unnamed = (slug for slug in rows if slug in environments and slug not in given)
            changes += [EnvironmentChange(environments[slug], enabled=False) for slug in unnamed]
        return changes

    def _enables(self, change: EnvironmentChange) -> bool:
        row = self._rows.get(change.environment.slug)
        return change.enabled and not (row is not None and row.enabled)

    def _checked_overrides(self, given: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
        """The overrides of all environments, by id: those given, and the stored ones of the others.

        Each is validated with the new definition, unless neither has changed.
        """
        before = self.before or {}
        stored = before.get(OVERRIDES, {})
        slugs = {str(row.pk): row.slug for row in self._all_environments}
        overrides = {key: sparse for key, sparse in stored.items() if key in slugs}
        for slug, state in given.items():
            if "overrides" in state or not self._merges:
                overrides[str(self._environments[slug].pk)] = state.get("overrides", {})
        same, errors = shared(before) == definition, {}
        for key, sparse in overrides.items():
            newly_enabled = slugs[key] in self._newly_enabled
            if not sparse or (same and sparse == stored.get(key) and not newly_enabled):
                continue
            context = {
                **self.context,
                "before": effective(before, key) if before else None,
                "anchor": self.anchor,
                "fires": self.context.get("fires", True) and given.get(slugs[key], {}).get("enabled", True),
                "enables": newly_enabled,
            }
            try:
                overrides[key] = checked_overrides(sparse, definition, context=context)
            except ValidationError as error:
                errors[slugs[key]] = {"overrides": error.detail}
        if errors:
            raise ValidationError({"environments": errors})
        return overrides

    @cached_property
    def _all_environments(self) -> list[Environment]:
        """The environments of the workspace; an import of many jobs has them in the context."""
        return self.context.get("environments") or list(self.context["workspace"].environments.all())

    @cached_property
    def _environments(self) -> dict[str, Environment]:
        """The environments within reach, by slug."""
        access = self.context.get("access")
        bound = access.environment_ids if access else None
        return {
            environment.slug: environment
            for environment in self._all_environments
            if bound is None or environment.pk in bound
        }

    @cached_property
    def _rows(self) -> dict[str, JobEnvironment]:
        if not isinstance(self.instance, Job):
            return {}
        slugs = {environment.pk: environment.slug for environment in self._all_environments}
        return {slugs[row.environment_id]: row for row in self.instance.job_environments.all()}

    def _unknown_environment(self, slug: str) -> ErrorDetail:
        access = self.context.get("access")
        if access is not None and access.environment_ids is not None:
            raise NotFoundError(f"This API key has no access to an environment {slug}.", field=f"environments.{slug}")
        return ErrorDetail("There is no such environment.", code="environment_unknown")

    def _changed_pause(self, slug: str, row: JobEnvironment | None) -> dict[str, list[ErrorDetail]]:
        current = represent_state(row or JobEnvironment(), self.context["now"])
        given = self.initial_data["environments"][slug]
        detail = ErrorDetail("Use pause/ and resume/ to change this.", code="read_only")
        return {field: [detail] for field in _PAUSE_FIELDS if field in given and given[field] != current[field]}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = attrs.pop("environments", None)
        self._fires = self._merges or given is None or any(state.get("enabled", True) for state in given.values())
        changes = None if given is None else self._changes(given)
        self._newly_enabled = {change.environment.slug for change in changes or () if self._enables(change)}
        self._starts_timing = any(not self._overrides_timing(slug, given or {}) for slug in self._newly_enabled)
        attrs = super().validate(attrs)
        if changes is not None:
            attrs["environments"] = changes
        attrs[OVERRIDES] = self._checked_overrides(given or {}, definition_fields(attrs))
        return attrs

    @property
    def config(self) -> dict[str, Any]:
        """The complete valid definition, as stored in a JobVersion."""
        return with_overrides(self.definition, self.validated_data[OVERRIDES])

    @property
    def fires(self) -> bool:
        return self._fires and super().fires

    @property
    def enables(self) -> bool:
        return bool(self._newly_enabled)

    @property
    def starts_timing(self) -> bool:
        return self._starts_timing

    def _overrides_timing(self, slug: str, given: dict[str, Any]) -> bool:
        """Whether an environment overrides the timing, which is then validated with its overrides."""
        stored = (self.before or {}).get(OVERRIDES, {}).get(str(self._environments[slug].pk), {})
        default = stored if self._merges else {}
        return not given.get(slug, {}).get("overrides", default).keys().isdisjoint(TIMING)

    @property
    def becomes_active(self) -> bool:
        """Whether saving would enable a job that is enabled nowhere."""
        return self.enables and not any(row.enabled for row in self._rows.values())

    @property
    def changes_anything(self) -> bool:
        """Whether saving would change the definition, an override, or where the job is enabled."""
        enabled = {row.environment_id: row.enabled for row in self._rows.values()}
        changes = self.validated_data.get("environments") or []
        switched = any(enabled.get(change.environment.pk) != change.enabled for change in changes)
        return self.changes_definition or self.before != self.config or switched

    @property
    def changes_definition(self) -> bool:
        """Whether saving would change what all environments of the job share."""
        slug = self.validated_data.get("slug")
        renamed = isinstance(self.instance, Job) and slug not in {None, self.instance.slug}
        return renamed or self._is_handed_over or self.before is None or shared(self.before) != self.definition

    @property
    def managed_after(self) -> str | None:
        """The value of `managed_by` after saving."""
        current = self.instance.managed_by if isinstance(self.instance, Job) else None
        managed_by: str | None = self.validated_data.get("managed_by", current)
        return managed_by

    @property
    def _is_handed_over(self) -> bool:
        return isinstance(self.instance, Job) and self.managed_after != self.instance.managed_by

    def to_representation(self, instance: Job) -> dict[str, Any]:
        representation = represent_job(instance, now=self.context["now"], webhook_url=self._webhook_url(instance))
        return {field: representation[field] for field in JOB_FIELDS}

    def _webhook_url(self, job: Job) -> str | None:
        """The secret URL of its webhook, for callers that may change the job."""
        access, request = self.context.get("access"), self.context.get("request")
        config = cast(JobVersion, job.current_version).config
        if access is None or Scope.JOBS_WRITE not in access.scopes or not (config.get("webhook") or {}).get("enabled"):
            return None
        try:
            path = webhook_path(job)
        except EncryptionKeyError:  # doctor says so
            return None
        return request.build_absolute_uri(path) if request is not None else path


def save_validated(
    serializer: JobSerializer, *, actor: Actor, slug: str | None = None, restored: int | None = None
) -> Job:
    """Save a valid serializer. A new job of a bound caller is enabled in the first of its environments."""
    valid, access = serializer.validated_data, serializer.context.get("access")
    job = serializer.instance if isinstance(serializer.instance, Job) else None
    environments = valid.get("environments")
    if job is None and environments is None and access is not None:
        environments = [EnvironmentChange(environment, enabled=True) for environment in access.environments()[:1]]
    return save_job(
        workspace=serializer.context["workspace"],
        job=job,
        slug=valid.get("slug") or slug,
        config=serializer.config,
        environments=environments,
        managed_by=valid.get("managed_by", ...),
        restored=restored,
        actor=actor,
        now=serializer.context["now"],
    )
