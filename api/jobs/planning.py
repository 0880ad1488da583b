"""What an import would change: the fields of each job, and its next firings before and after. Reads only."""

import datetime
import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from api.jobs.serializers import JobSerializer
from core import exact_json
from core.differences import difference
from core.validation.fields import instant_text
from jobs.definition.calls import with_bare_policies
from jobs.definition.overrides import effective
from jobs.definition.reading import UnreadableError, timetable_of
from jobs.definition.workflow.comparison import by_step
from jobs.errors import RevisionChangedError
from jobs.models import Job, JobEnvironment
from jobs.schedule import Once, Schedule, next_firings
from jobs.services.periods import has_completed
from jobs.services.save import TIMING
from jobs.validation.callback import without_short_form
from jobs.validation.representation import represent_definition, represent_overrides

#: Number of firings listed before and after.
FIRINGS = 5
_DIGITS = 12


def revision_of(job: Job) -> str:
    """Return a text that changes with a job: with its version, who manages it, and where it is enabled."""
    version = job.current_version.number if job.current_version else 0
    enabled = sorted(str(row.environment_id) for row in job.job_environments.all() if row.enabled)
    state = exact_json.compact([job.slug, job.managed_by, enabled])
    return f"{version}-{hashlib.sha256(state.encode()).hexdigest()[:_DIGITS]}"


def refuse_changed(revisions: Mapping[str, str | None], existing: Mapping[str, Job], *, taken: Collection[str]) -> None:
    """Refuse jobs that are not as the caller knows them. None: there is no such job; `taken` are all slugs in use.

    Raises RevisionChangedError.
    """
    current = {slug: revision_of(existing[slug]) if slug in existing else None for slug in revisions}
    changed = [
        slug
        for slug, revision in revisions.items()
        if revision != current[slug] or (revision is None and slug in taken)
    ]
    if changed:
        raise RevisionChangedError(sorted(changed))


def changed_fields(serializer: JobSerializer) -> list[dict[str, Any]]:
    """Return the fields of an existing job that saving a valid serializer would change; long values are cut."""
    job = serializer.instance
    if not isinstance(job, Job) or serializer.before is None:
        return []
    before = _compared(serializer.before, job.managed_by, job, {})
    after = _compared(serializer.config, serializer.managed_after, job, _states(serializer))
    changes = difference(before, after)
    return [{"field": field, "old": old, "new": new} for field, (old, new) in changes.items()]


def _compared(
    config: dict[str, Any], managed_by: str | None, job: Job, states: Mapping[str, tuple[Any, bool]]
) -> dict[str, Any]:
    """Return what is compared. `states` are the environments that a save touches, and whether it enables the job."""
    now = {row.environment.slug: (row.environment_id, row.enabled) for row in job.job_environments.all()}
    environments = {
        slug: {"enabled": enabled, "overrides": represent_overrides(config, key)}
        for slug, (key, enabled) in sorted({**now, **states}.items())
    }
    definition = with_bare_policies(without_short_form(represent_definition(config)))
    return {**by_step(definition), "managed_by": managed_by, "environments": environments}


def _states(serializer: JobSerializer) -> dict[str, tuple[Any, bool]]:
    """Return the environments that a save names, with their id and whether the job is enabled there."""
    changes = serializer.validated_data.get("environments") or []
    return {change.environment.slug: (change.environment.pk, change.enabled) for change in changes}


def planned_firings(serializer: JobSerializer, *, now: datetime.datetime) -> dict[str, dict[str, list[str]]]:
    """Return the next firings before and after a save, by the slugs of environments in which there is any."""
    job = serializer.instance if isinstance(serializer.instance, Job) else None
    rows = {row.environment.slug: row for row in job.job_environments.all()} if job else {}
    keys = {slug: row.environment_id for slug, row in rows.items()}
    states = _states(serializer)
    firings = {}
    for slug, key in sorted({**keys, **{slug: key for slug, (key, _) in states.items()}}.items()):
        row = rows.get(slug)
        old = effective(serializer.before, str(key)) if serializer.before else None
        new = effective(serializer.config, str(key))
        enabled = states[slug][1] if slug in states else row is not None and _stays_enabled(row, old, new)
        before = list(_firings(old, job, row, now)) if row is not None and row.enabled else []
        after = list(_firings(new, job, row, now)) if enabled else []
        if before or after:
            firings[slug] = {"before": before, "after": after}
    return firings


def _stays_enabled(row: JobEnvironment, old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Whether a job that a save neither enables nor disables will be: new timing enables a completed one again."""
    retimed = old is None or any(old.get(field) != new[field] for field in TIMING)
    return row.enabled or (retimed and has_completed(row))


def _firings(
    config: dict[str, Any] | None, job: Job | None, row: JobEnvironment | None, now: datetime.datetime
) -> Iterator[str]:
    """Yield the next firings of a definition in one environment, where it may be paused."""
    if config is None or (row is not None and row.paused_at is not None and row.paused_until is None):
        return
    try:
        schedule = timetable_of(config, anchor=job.created_at if job else now).schedule
    except UnreadableError:
        return
    if schedule is not None:
        since = max(now, row.paused_until) if row is not None and row.paused_until is not None else now
        yield from (instant_text(at) for at in _next(schedule, since))


def _next(schedule: Schedule, since: datetime.datetime) -> tuple[datetime.datetime, ...]:
    """Return the next firings, and for the schedule "now" this very instant."""
    if isinstance(schedule, Once) and schedule.at == since:
        return (since,)
    return next_firings(schedule, since, FIRINGS)
