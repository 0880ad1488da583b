"""What the audit log says of jobs and retry policies: which parts of a definition differ, header values left out."""

import datetime
from collections.abc import Iterable
from typing import Any

from accounts import audit
from accounts.actors import Actor
from accounts.models import Environment
from core.differences import Changes, difference
from core.instants import instant_text
from jobs.definition.overrides import OVERRIDES, shared
from jobs.models import Job, JobEnvironment, RetryPolicy

_REDACTED = "[redacted]"  # as the history of runs writes it
_HEADERS = "headers"
#: What a new job is known by; the rest is in its first version.
_INTRODUCED = ("name", "kind", "schedule", "timezone", "tags")


def job_facts(job: Job) -> dict[str, Any]:
    """A job as the log compares it: its slug, its version and definition, and where it is enabled."""
    version = job.current_version
    assert version is not None
    states = job.job_environments.order_by("environment__slug").values_list("environment__slug", "enabled")
    overridden = version.config.get(OVERRIDES, {})
    slugs = dict(Environment.objects.filter(pk__in=overridden).values_list("pk", "slug")) if overridden else {}
    return {
        "slug": job.slug,
        "version": version.number,
        **shared(version.config),
        OVERRIDES: {slug: overridden[str(key)] for key, slug in slugs.items()},
        "enabled": dict(states),
    }


def record_created(made: Iterable[tuple[Job, dict[str, bool]]], *, actor: Actor, now: datetime.datetime) -> None:
    """Put new jobs into the log, each with where it is enabled by the environment's slug."""
    audit.record_all(
        [
            audit.entry("job.created", job, actor=actor, now=now, changes=_introduction(job, enabled))
            for job, enabled in made
        ]
    )


def _introduction(job: Job, enabled: dict[str, bool]) -> Changes:
    config = job.current_version.config if job.current_version else {}
    request = {field: config["request"][field] for field in ("method", "url")} if config["request"] else {}
    introduced = {field: config[field] for field in _INTRODUCED}
    return difference({"request": {}}, {**introduced, "enabled": enabled, "request": request})


def record_saved(
    job: Job, *, before: dict[str, Any] | None, restored: int | None = None, actor: Actor, now: datetime.datetime
) -> None:
    """Put a save into the log, if it changed anything. `before` is None for a new job.

    `restored` is the number of the version that it made the current one again.
    """
    after = job_facts(job)
    if before is None:
        record_created([(job, after["enabled"])], actor=actor, now=now)
    elif changes := redacted(difference(before, after)):
        action = "job.updated"
        if restored is not None:
            action, changes = "job.restored", {**difference({}, {"restored": restored}), **changes}
        audit.record(action, job, actor=actor, now=now, changes=changes)


def pause_facts(rows: Iterable[JobEnvironment]) -> dict[Any, dict[str, Any]]:
    """How these rows are paused, by job and environment."""
    rows = list(rows)
    slugs = dict(Environment.objects.filter(pk__in={row.environment_id for row in rows}).values_list("pk", "slug"))
    facts: dict[Any, dict[str, Any]] = {}
    for row in rows:
        facts.setdefault(row.job_id, {})[slugs[row.environment_id]] = {
            "paused": row.paused_at is not None,
            "paused_until": row.paused_until and instant_text(row.paused_until),
            "pause_note": row.pause_note,
        }
    return facts


def record_pauses(
    action: str,
    rows: Iterable[JobEnvironment],
    *,
    before: dict[Any, dict[str, Any]],
    actor: Actor,
    now: datetime.datetime,
) -> None:
    """Put a pause or a resumption into the log, once for each job whose rows it changed."""
    rows = list(rows)
    jobs, after = {row.job_id: row.job for row in rows}, pause_facts(rows)
    for job_id, job in jobs.items():
        if changes := difference(before[job_id], after[job_id]):
            audit.record(action, job, actor=actor, now=now, changes=changes)


def policy_facts(policy: RetryPolicy, rules: Iterable[str]) -> dict[str, Any]:
    return {field: getattr(policy, field) for field in ("slug", "name", *rules)}


def redacted(changes: Changes) -> Changes:
    """These changes without the values of headers: one may hold a token, and the log is read by more people."""
    return {path: [_without_headers(value, path.split(".")) for value in pair] for path, pair in changes.items()}


def _without_headers(value: Any, path: list[str]) -> Any:
    if _HEADERS in path[:-1] and value is not None:
        return _REDACTED
    if isinstance(value, dict):
        return {name: _without_headers(inner, [*path, name]) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_headers(inner, path) for inner in value]
    return value
