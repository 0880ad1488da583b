"""Use cases of jobs: save (every change is a version), delete, pause, resume."""

import datetime
import re
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import Environment, Workspace
from jobs.definition import Timetable
from jobs.errors import AmbiguousEnvironmentError, SlugTakenError
from jobs.models import Job, JobEnvironment, JobVersion, ScheduleType
from jobs.retry_policies import adopted_policy, resolved
from jobs.schedule import Once

#: The parts of a definition that decide when a job fires. A change of another part leaves `next_fire_at` alone.
TIMING = ("schedule", "timezone", "dst_gap", "dst_fold", "starts_at", "ends_at")
#: Words that paths below /jobs/ need for themselves.
RESERVED_SLUGS = frozenset({"export", "import"})


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """What a save says about one environment."""

    environment: Environment
    enabled: bool


@transaction.atomic
def save_job(
    *,
    workspace: Workspace,
    job: Job | None,
    slug: str | None,
    config: dict[str, Any],
    environments: list[EnvironmentChange] | None,
    actor: Any,
    now: datetime.datetime,
) -> Job:
    """Make a job (`job` is None) or its next version. `config` is a complete, validated definition.

    A new job is enabled in the environments given, else in the workspace's first. A save that changes nothing makes no
    version. Neither making nor editing a job fires it, but for the schedule "now". A retry policy that `config` names
    replaces its retry rules. Raises SlugTakenError and UnknownRetryPolicyError.
    """
    if job is not None:
        job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("current_version").get(pk=job.pk)
    policy = adopted_policy(job, workspace=workspace, slug=config["retry"]["policy"])
    if policy is not None:
        config = {**config, "retry": resolved(config["retry"], policy)}
    if job is None:
        job = _create(workspace=workspace, slug=slug or free_slug(workspace, config["name"]), config=config, now=now)
    before = job.current_version.config if job.current_version else None
    if before is None or before != config or (slug and slug != job.slug):
        job.retry_policy = policy
        _add_version(job=job, slug=slug, config=config, actor=actor, now=now)
    if before is None and environments is None:
        first = workspace.environments.order_by("created_at", "id").first()
        environments = [EnvironmentChange(first, enabled=True)] if first else []
    _apply_environments(job=job, changes=environments or [], now=now)
    if before is not None and any(before[field] != config[field] for field in TIMING):
        _replan(job=job, before=before, changes=environments or [], now=now)
    return job


def _create(*, workspace: Workspace, slug: str, config: dict[str, Any], now: datetime.datetime) -> Job:
    try:
        with transaction.atomic():
            return Job.objects.create(
                workspace=workspace, slug=slug, created_at=now, updated_at=now, **_listed_columns(config)
            )
    except IntegrityError as error:
        raise SlugTakenError(slug) from error


def _add_version(*, job: Job, slug: str | None, config: dict[str, Any], actor: Any, now: datetime.datetime) -> None:
    number = job.current_version.number + 1 if job.current_version else 1
    job.current_version = JobVersion.objects.create(
        job=job, number=number, config=config, created_at=now, created_by=actor
    )
    job.slug = slug or job.slug
    job.updated_at = now
    columns = _listed_columns(config)
    for column, value in columns.items():
        setattr(job, column, value)
    try:
        with transaction.atomic():
            job.save(update_fields=["current_version", "retry_policy", "slug", "updated_at", *columns])
    except IntegrityError as error:
        raise SlugTakenError(job.slug) from error


def _listed_columns(config: dict[str, Any]) -> dict[str, Any]:
    """The columns that lists search and sort by, as `config` has them."""
    schedule = config["schedule"]
    if schedule is None:
        schedule_type = ScheduleType.MANUAL
    else:
        epoch = datetime.datetime.fromtimestamp(0, tz=datetime.UTC)
        planned = Timetable.of(config, anchor=epoch).schedule
        schedule_type = ScheduleType.ONE_OFF if planned and planned.type == "one_off" else ScheduleType.RECURRING
    return {
        "name": config["name"],
        "kind": config["kind"],
        "tags": config["tags"],
        "url": config["request"]["url"],
        "schedule_type": schedule_type,
    }


def free_slug(workspace: Workspace, name: str) -> str:
    """A slug made from a name, numbered when it is taken."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:90] or "job"
    taken = set(Job.objects.of(workspace).live().filter(slug__startswith=base).values_list("slug", flat=True))
    number, slug = 1, base
    while slug in taken | RESERVED_SLUGS:
        number += 1
        slug = f"{base}-{number}"
    return slug


def _locked_environments(job: Job) -> list[JobEnvironment]:
    return list(JobEnvironment.objects.select_for_update(no_key=True).filter(job=job).order_by("id"))


def _apply_environments(*, job: Job, changes: list[EnvironmentChange], now: datetime.datetime) -> None:
    """Enable and disable. Enabling plans the next firing after `now`: it never fires at once, nor catches up."""
    assert job.current_version is not None
    known = {row.environment_id: row for row in _locked_environments(job)} if changes else {}
    for change in changes:
        row = known.get(change.environment.pk)
        if row is None:
            row = JobEnvironment(
                workspace_id=job.workspace_id, job=job, environment=change.environment, enabled=change.enabled
            )
            row.next_fire_at = _next_fire_at(row, config=job.current_version.config, now=now)
            row.save(force_insert=True)
        elif row.enabled != change.enabled:
            row.enabled = change.enabled
            plan_next(row, config=job.current_version.config, now=now)


def _replan(*, job: Job, before: dict[str, Any], changes: list[EnvironmentChange], now: datetime.datetime) -> None:
    """Follow a new timing. A one-off that has completed is enabled again by it, unless this very save disables it."""
    assert job.current_version is not None
    was_one_off = _listed_columns(before)["schedule_type"] == ScheduleType.ONE_OFF
    disabled = {change.environment.pk for change in changes if not change.enabled}
    for row in _locked_environments(job):
        completed = was_one_off and row.last_fired_at is not None
        row.enabled = row.enabled or (completed and row.environment_id not in disabled)
        plan_next(row, config=job.current_version.config, now=now)


def plan_next(job_environment: JobEnvironment, *, config: dict[str, Any], now: datetime.datetime) -> None:
    """Store when this job fires next in this environment, as seen from `now`."""
    job_environment.next_fire_at = _next_fire_at(job_environment, config=config, now=now)
    job_environment.save(update_fields=["enabled", "paused_at", "paused_until", "pause_note", "next_fire_at"])


def _next_fire_at(
    job_environment: JobEnvironment, *, config: dict[str, Any], now: datetime.datetime
) -> datetime.datetime | None:
    if not job_environment.enabled:
        return None
    if job_environment.paused_at is not None:
        if job_environment.paused_until is None:
            return None
        now = max(now, job_environment.paused_until)
    schedule = Timetable.of(config, anchor=job_environment.job.created_at).schedule
    if schedule is None:
        return None
    if isinstance(schedule, Once):
        return schedule.at if schedule.at >= now else None
    return schedule.next_after(now)


def delete_job(*, job: Job, now: datetime.datetime) -> None:
    """Delete a job softly: it never fires again and its slug is free, its history stays."""
    with transaction.atomic():
        Job.objects.live().filter(pk=job.pk).update(deleted_at=now, updated_at=now, retry_policy=None)
        JobEnvironment.objects.filter(job=job).update(enabled=False, next_fire_at=None)


@transaction.atomic
def pause(
    *, job_environments: list[JobEnvironment], until: datetime.datetime | None, note: str, now: datetime.datetime
) -> None:
    """Pause a job in these environments, until an instant or until somebody resumes it."""
    for row in _relocked(job_environments):
        row.paused_at, row.paused_until, row.pause_note = now, until, note
        plan_next(row, config=row.job.current_version.config, now=now)  # type: ignore[union-attr]


@transaction.atomic
def resume(*, job_environments: list[JobEnvironment], now: datetime.datetime) -> None:
    """End a pause. Never fires at once and never catches up what was paused."""
    for row in _relocked(job_environments):
        row.paused_at, row.paused_until, row.pause_note = None, None, ""
        plan_next(row, config=row.job.current_version.config, now=now)  # type: ignore[union-attr]


def _relocked(job_environments: list[JobEnvironment]) -> list[JobEnvironment]:
    ids = [row.pk for row in job_environments]
    rows = JobEnvironment.objects.select_for_update(no_key=True, of=("self",)).select_related("job__current_version")
    return list(rows.filter(pk__in=ids).order_by("id"))


def only_environment(job: Job, *, allowed: list[Environment] | None = None) -> JobEnvironment:
    """The job-environment meant when none is named: the only enabled one (among `allowed`).

    Raises AmbiguousEnvironmentError when there is none or more than one.
    """
    rows = list(job.job_environments.select_related("environment", "job__current_version").filter(enabled=True))
    if allowed is not None:
        ids = {environment.pk for environment in allowed}
        rows = [row for row in rows if row.environment_id in ids]
    if len(rows) != 1:
        raise AmbiguousEnvironmentError(sorted(row.environment.slug for row in rows))
    return rows[0]
