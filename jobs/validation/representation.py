"""The API's representation of jobs."""

import datetime
import uuid
from typing import Any, cast

from core.validation.fields import instant_text
from jobs.definition.calls import STEP_LISTS, WORKFLOW
from jobs.definition.overrides import OVERRIDABLE, OVERRIDES, SECTIONS, overrides_in
from jobs.definition.reading import UnreadableError, problem_of, runnable_of, timetable_of
from jobs.definition.webhook import NO_WEBHOOK
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.schedule import Schedule
from jobs.validation.callback import CallbackSerializer
from jobs.validation.sections import RequestSerializer, RetentionSerializer, RetrySerializer, SuccessSerializer
from jobs.validation.steps import STEP_SERIALIZERS
from jobs.validation.workflow import WorkflowSerializer

#: The fields of the job object that are its definition, stored as a JobVersion's `config`.
CONFIG_FIELDS = (
    "name", "description", "tags", "kind", "schedule", "timezone", "starts_at", "ends_at", "jitter_seconds", "dst_gap",
    "dst_fold", "overlap", "misfire", "misfire_grace_seconds", "request", "success", "retry", "callback_url",
    "callback", "concurrency", "command", "workflow", "webhook", "retention",
)  # fmt: skip
#: The job object's fields, in the documented order.
JOB_FIELDS = (
    "id", "slug", "name", "description", "tags", "kind", "schedule", "schedule_normalized", "schedule_description",
    "schedule_type", "timezone", "starts_at", "ends_at", "jitter_seconds", "dst_gap", "dst_fold", "overlap", "misfire",
    "misfire_grace_seconds", "request", "success", "retry", "callback_url", "callback", "concurrency", "command",
    "workflow", "webhook", "managed_by", "retention", "environments", "version", "unreadable", "created_at",
    "updated_at", "deleted_at",
)  # fmt: skip
#: Fields of later releases, and their values for versions without them.
LATER_FIELDS: dict[str, dict[str, Any]] = {"request": {"client_cert": None}, "webhook": NO_WEBHOOK}
#: The fields of each section, in the documented order.
SECTION_FIELDS = {
    "request": tuple(RequestSerializer().fields),
    "success": tuple(SuccessSerializer().fields),
    "retry": tuple(RetrySerializer().fields),
    "retention": tuple(RetentionSerializer().fields),
}
#: The fields of all objects within a definition, in the documented order.
_ORDER = {**SECTION_FIELDS, "callback": tuple(CallbackSerializer().fields)}
WORKFLOW_FIELDS = tuple(WorkflowSerializer().fields)
#: The fields of each type of step, in the documented order.
STEP_FIELDS = {kind: tuple(serializer().fields) for kind, serializer in STEP_SERIALIZERS.items()}


def represent_job(job: Job, *, now: datetime.datetime, webhook_url: str | None = None) -> dict[str, Any]:
    """Return the job object, with `webhook_url` while the webhook is on.

    Reads `current_version` and `job_environments` with their environments.
    """
    version = cast(JobVersion, job.current_version)
    config = version.config
    schedule, error = _read(job, config)
    return {
        "id": str(job.pk),
        "slug": job.slug,
        **represent_definition(config),
        "schedule_normalized": schedule and schedule.normalized,
        "schedule_description": schedule and schedule.description,
        "schedule_type": job.schedule_type,
        "webhook": _represent_webhook(config, webhook_url),
        "managed_by": job.managed_by,
        "environments": {
            job_environment.environment.slug: represent_state(
                job_environment, now, represent_overrides(config, job_environment.environment_id)
            )
            for job_environment in sorted(
                job.job_environments.all(), key=lambda job_environment: job_environment.environment.slug
            )
        },
        "version": version.number,
        "unreadable": error,
        "created_at": instant_text(job.created_at),
        "updated_at": instant_text(job.updated_at),
        "deleted_at": job.deleted_at and instant_text(job.deleted_at),
    }


def _represent_webhook(config: dict[str, Any], url: str | None) -> dict[str, Any]:
    webhook = _with_later_fields("webhook", config.get("webhook"))
    enabled = webhook["enabled"]
    return {"enabled": enabled, "url": url if enabled else None, "url_set": enabled, **webhook}


def _read(job: Job, config: dict[str, Any]) -> tuple[Schedule | None, str | None]:
    """Return the schedule without overrides, and why this release can't read the definition in any environment."""
    try:
        schedule, error = timetable_of(config, anchor=job.created_at).schedule, None
        runnable_of(config)
    except UnreadableError as unreadable:
        schedule, error = None, str(unreadable)
    for key in config.get(OVERRIDES, {}):
        error = error or problem_of(config, environment_id=key, anchor=job.created_at)
    return schedule, error


def represent_definition(config: dict[str, Any]) -> dict[str, Any]:
    """Return a definition's part of the job object."""
    definition = {field: _in_order(field, _with_later_fields(field, config.get(field))) for field in CONFIG_FIELDS}
    callback = definition["callback"]
    return {**definition, "callback_url": callback and callback["url"]}


def _with_later_fields(field: str, value: Any) -> Any:
    """Add the fields that a version of an older release lacks."""
    if value is None and field in SECTIONS:
        return None
    return {**LATER_FIELDS[field], **(value or {})} if field in LATER_FIELDS else value


def _in_order(field: str, value: Any) -> Any:
    """Sort the fields of a section or callback in the documented order, which the database does not keep."""
    if value is None:
        return None
    if field == WORKFLOW:
        return _workflow_in_order(value)
    section = _ORDER.get(field)
    return {name: value[name] for name in section if name in value} if section else value


def _workflow_in_order(workflow: dict[str, Any]) -> dict[str, Any]:
    steps = {part: [step_in_order(step, step["type"]) for step in workflow[part]] for part in STEP_LISTS}
    return {name: steps.get(name, workflow[name]) for name in WORKFLOW_FIELDS}


def step_in_order(step: dict[str, Any], kind: str) -> dict[str, Any]:
    """Sort the fields of a step, whole or sparse, of this type."""
    return {name: _in_order(name, step[name]) for name in STEP_FIELDS[kind] if name in step}


def represent_overrides(config: dict[str, Any], environment_id: uuid.UUID) -> dict[str, Any]:
    """Return an environment's sparse overrides."""
    sparse = overrides_in(config, str(environment_id))
    if WORKFLOW in sparse:
        sparse = {**sparse, WORKFLOW: _sparse_in_order(sparse[WORKFLOW], config[WORKFLOW])}
    return {
        field: sparse[field] if field == WORKFLOW else _in_order(field, sparse[field])
        for field in OVERRIDABLE
        if field in sparse
    }


def _sparse_in_order(sparse: dict[str, Any], workflow: dict[str, Any]) -> dict[str, Any]:
    """Sort the overrides of a workflow as its steps are."""
    by_id = sparse.get("steps", {})
    steps = {
        step["id"]: step_in_order(by_id[step["id"]], step["type"])
        for part in STEP_LISTS
        for step in workflow[part]
        if step["id"] in by_id
    }
    first = {name: value for name, value in sparse.items() if name != "steps"}
    return {**first, **({"steps": steps} if steps else {})}


def represent_state(
    job_environment: JobEnvironment, now: datetime.datetime, overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    paused = job_environment.paused_at is not None and (
        job_environment.paused_until is None or job_environment.paused_until > now
    )
    return {
        "enabled": job_environment.enabled,
        "paused": paused,
        "paused_until": instant_text(job_environment.paused_until) if paused and job_environment.paused_until else None,
        "pause_note": job_environment.pause_note if paused else "",
        "overrides": overrides or {},
        "next_fire_at": job_environment.next_fire_at and instant_text(job_environment.next_fire_at),
        "last_status": job_environment.last_status or None,
        "consecutive_failures": job_environment.consecutive_failures,
    }
