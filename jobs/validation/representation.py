"""Jobs as the API shows them."""

import datetime
import uuid
from typing import Any, cast

from core.validation.fields import instant_text
from jobs.definition.overrides import OVERRIDABLE, OVERRIDES, overrides_in
from jobs.definition.reading import UnreadableError, definition_of, problem_of, timetable_of
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.schedule import Schedule
from jobs.validation.sections import RequestSerializer, RetentionSerializer, RetrySerializer, SuccessSerializer

#: The parts of the job object that are its definition: what a JobVersion keeps as `config`.
CONFIG_FIELDS = (
    "name", "description", "tags", "kind", "schedule", "timezone", "starts_at", "ends_at", "jitter_seconds", "dst_gap",
    "dst_fold", "overlap", "misfire", "misfire_grace_seconds", "request", "success", "retry", "callback_url",
    "concurrency", "command", "workflow", "retention",
)  # fmt: skip
#: The job object's fields, in the order that they are documented in.
JOB_FIELDS = (
    "id", "slug", "name", "description", "tags", "kind", "schedule", "schedule_normalized", "schedule_description",
    "schedule_type", "timezone", "starts_at", "ends_at", "jitter_seconds", "dst_gap", "dst_fold", "overlap", "misfire",
    "misfire_grace_seconds", "request", "success", "retry", "callback_url", "concurrency", "command", "workflow",
    "webhook", "retention", "environments", "version", "unreadable", "created_at", "updated_at", "deleted_at",
)  # fmt: skip
#: Fields that came with a later release, and what holds where a version says nothing of them.
LATER_FIELDS: dict[str, dict[str, Any]] = {"request": {"client_cert": None}}
#: The fields of each section, in the order that they are documented in.
SECTION_FIELDS = {
    "request": tuple(RequestSerializer().fields),
    "success": tuple(SuccessSerializer().fields),
    "retry": tuple(RetrySerializer().fields),
    "retention": tuple(RetentionSerializer().fields),
}


def shown_job(job: Job, *, now: datetime.datetime) -> dict[str, Any]:
    """The job object of the API. Reads `current_version` and `job_environments` with their environments."""
    version = cast(JobVersion, job.current_version)
    config = version.config
    schedule, error = _read(job, config)
    return {
        "id": str(job.pk),
        "slug": job.slug,
        **shown_definition(config),
        "schedule_normalized": schedule and schedule.normalized,
        "schedule_description": schedule and schedule.description,
        "schedule_type": job.schedule_type,
        "webhook": {"enabled": False, "url": None, "secret_set": False},
        "environments": {
            row.environment.slug: shown_state(row, now, shown_overrides(config, row.environment_id))
            for row in sorted(job.job_environments.all(), key=lambda row: row.environment.slug)
        },
        "version": version.number,
        "unreadable": error,
        "created_at": instant_text(job.created_at),
        "updated_at": instant_text(job.updated_at),
        "deleted_at": job.deleted_at and instant_text(job.deleted_at),
    }


def _read(job: Job, config: dict[str, Any]) -> tuple[Schedule | None, str | None]:
    """The schedule that all environments share, and why this release can't read the definition in one of them."""
    try:
        schedule, error = timetable_of(config, anchor=job.created_at).schedule, None
        definition_of(config)
    except UnreadableError as found:
        schedule, error = None, str(found)
    for key in config.get(OVERRIDES, {}):
        error = error or problem_of(config, environment_id=key, anchor=job.created_at)
    return schedule, error


def shown_definition(config: dict[str, Any]) -> dict[str, Any]:
    """A definition as the job object spells it."""
    return {field: _in_order(field, _whole(field, config[field])) for field in CONFIG_FIELDS}


def _whole(field: str, value: Any) -> Any:
    """A section with the fields that a version of an older release lacks."""
    return {**LATER_FIELDS.get(field, {}), **value} if field in LATER_FIELDS else value


def _in_order(field: str, value: Any) -> Any:
    """A section of the definition in the order that it is documented in; the database keeps none."""
    section = SECTION_FIELDS.get(field)
    return {name: value[name] for name in section if name in value} if section else value


def shown_overrides(config: dict[str, Any], environment_id: uuid.UUID) -> dict[str, Any]:
    """What is overridden in an environment, sparse."""
    sparse = overrides_in(config, str(environment_id))
    return {field: _in_order(field, sparse[field]) for field in OVERRIDABLE if field in sparse}


def shown_state(row: JobEnvironment, now: datetime.datetime, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    paused = row.paused_at is not None and (row.paused_until is None or row.paused_until > now)
    return {
        "enabled": row.enabled,
        "paused": paused,
        "paused_until": instant_text(row.paused_until) if paused and row.paused_until else None,
        "pause_note": row.pause_note if paused else "",
        "overrides": overrides or {},
        "next_fire_at": row.next_fire_at and instant_text(row.next_fire_at),
        "last_status": row.last_status or None,
        "consecutive_failures": row.consecutive_failures,
    }
