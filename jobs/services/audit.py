"""The audit log of jobs and retry policies: which parts of a definition differ, without header values."""

import datetime
from collections.abc import Iterable
from typing import Any

from accounts import audit
from accounts.actors import Actor
from accounts.models import Environment
from core.differences import Changes, difference, differing, shortened
from core.instants import instant_text
from jobs.definition.calls import WORKFLOW, is_workflow
from jobs.definition.overrides import OVERRIDES, shared
from jobs.definition.workflow.comparison import by_step
from jobs.models import Job, JobEnvironment, RetryPolicy

_REDACTED = "[redacted]"  # as the history of runs writes it
_HEADERS = "headers"
#: The fields logged of a new job; the others are in its first version.
_CREATED = ("name", "kind", "schedule", "timezone", "tags")


def job_facts(job: Job) -> dict[str, Any]:
    """Return what the log compares: a job's slug, version, definition, and where it is enabled."""
    version = job.current_version
    assert version is not None
    states = job.job_environments.order_by("environment__slug").values_list("environment__slug", "enabled")
    overridden = version.config.get(OVERRIDES, {})
    slugs = dict(Environment.objects.filter(pk__in=overridden).values_list("pk", "slug")) if overridden else {}
    return {
        "slug": job.slug,
        "version": version.number,
        "managed_by": job.managed_by,
        **by_step(shared(version.config)),
        OVERRIDES: {slug: overridden[str(key)] for key, slug in slugs.items()},
        "enabled": dict(states),
    }


def record_created(jobs: Iterable[tuple[Job, dict[str, bool]]], *, actor: Actor, now: datetime.datetime) -> None:
    """Log new jobs, each with whether it is enabled, by the environment's slug."""
    audit.record_all(
        [
            audit.entry("job.created", job, actor=actor, now=now, changes=_creation(job, enabled))
            for job, enabled in jobs
        ]
    )


def _creation(job: Job, enabled: dict[str, bool]) -> Changes:
    config = job.current_version.config if job.current_version else {}
    fields = {**{field: config[field] for field in _CREATED}, "managed_by": job.managed_by, "enabled": enabled}
    if is_workflow(config):
        steps = [f"{step['id']} ({step['type']})" for step in config[WORKFLOW]["steps"]]
        return difference({}, {**fields, "steps": steps})
    request = {field: config["request"][field] for field in ("method", "url")} if config["request"] else {}
    return difference({"request": {}}, {**fields, "request": request})


def record_saved(
    job: Job, *, before: dict[str, Any] | None, restored: int | None = None, actor: Actor, now: datetime.datetime
) -> None:
    """Log a save that changed something.

    `before` is None for a new job; `restored` is the number of the version that was restored.
    """
    after = job_facts(job)
    if before is None:
        record_created([(job, after["enabled"])], actor=actor, now=now)
    elif changes := _without_secrets(before, after):
        action = "job.updated"
        if restored is not None:
            action, changes = "job.restored", {**difference({}, {"restored": restored}), **changes}
        audit.record(action, job, actor=actor, now=now, changes=changes)


def pause_facts(job_environments: Iterable[JobEnvironment]) -> dict[Any, dict[str, Any]]:
    """Return how these job_environments are paused, by job and environment."""
    job_environments = list(job_environments)
    slugs = dict(
        Environment.objects.filter(
            pk__in={job_environment.environment_id for job_environment in job_environments}
        ).values_list("pk", "slug")
    )
    facts: dict[Any, dict[str, Any]] = {}
    for job_environment in job_environments:
        facts.setdefault(job_environment.job_id, {})[slugs[job_environment.environment_id]] = {
            "paused": job_environment.paused_at is not None,
            "paused_until": job_environment.paused_until and instant_text(job_environment.paused_until),
            "pause_note": job_environment.pause_note,
        }
    return facts


def record_pauses(
    action: str,
    job_environments: Iterable[JobEnvironment],
    *,
    before: dict[Any, dict[str, Any]],
    actor: Actor,
    now: datetime.datetime,
) -> None:
    """Log a pause or a resumption, once for each job that it changed."""
    job_environments = list(job_environments)
    jobs, after = (
        {job_environment.job_id: job_environment.job for job_environment in job_environments},
        pause_facts(job_environments),
    )
    for job_id, job in jobs.items():
        if changes := difference(before[job_id], after[job_id]):
            audit.record(action, job, actor=actor, now=now, changes=changes)


def policy_facts(policy: RetryPolicy, rules: Iterable[str]) -> dict[str, Any]:
    return {field: getattr(policy, field) for field in ("slug", "name", *rules)}


def redacted(changes: Changes) -> Changes:
    """Replace the values of headers: one may hold a token, and more people read the log."""
    return {path: [_without_headers(value, path.split(".")) for value in pair] for path, pair in changes.items()}


def _without_secrets(before: dict[str, Any], after: dict[str, Any]) -> Changes:
    """Return what differs. Long values are cut after they are redacted: of a text, nobody knows where headers are."""
    changes = redacted({path: [old, new] for path, old, new in differing(before, after)})
    return {path: [shortened(value) for value in pair] for path, pair in changes.items()}


def _without_headers(value: Any, path: list[str]) -> Any:
    if _HEADERS in path[:-1] and value is not None:
        return _REDACTED
    if isinstance(value, dict):
        return {name: _without_headers(inner, [*path, name]) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_headers(inner, path) for inner in value]
    return value
