"""Use cases of jobs: save (every change is a version), delete, pause, resume.

Locks are taken job first, then its job-environments by id; how a plan changes is in `jobs.services.periods`.
"""

import datetime
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Environment, Workspace
from accounts.usage import refuse_when_stopped
from jobs.definition.contract import Timetable
from jobs.definition.overrides import OVERRIDES, PerEnvironment, effective
from jobs.errors import AmbiguousEnvironmentError, SlugTakenError
from jobs.models import Job, JobEnvironment, JobVersion, ScheduleType
from jobs.services.audit import job_facts, pause_facts, record_pauses, record_saved
from jobs.services.limits import hold_active_jobs, refuse_too_many_active
from jobs.services.periods import begin_plan, change_plan, has_ended
from jobs.services.retry_policies import adopted_policy, resolved
from jobs.slugs import JOB_SLUGS

#: The parts of a definition that decide which occurrences are planned. A change of another part leaves the plan alone.
TIMING = ("schedule", "timezone", "starts_at", "ends_at", "dst_gap", "dst_fold")


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
    restored: int | None = None,
    actor: Actor,
    now: datetime.datetime,
) -> Job:
    """Make a job (`job` is None) or its next version. `config` is a complete, validated definition.

    A new job is enabled in the environments given, else in the workspace's first. A save that changes nothing makes no
    version. Neither making nor editing a job fires it, but for the schedule "now". A retry policy that `config` names
    replaces its retry rules. `restored` is the number of the older version whose definition `config` is, for the audit
    log. Raises SlugTakenError, UnknownRetryPolicyError, TooManyActiveJobsError, and QuotaExceededError for whatever
    would be called more, or otherwise, while the workspace's plan lets no more runs start.
    """
    if job is not None:
        job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("current_version").get(pk=job.pk)
    was_active = job is not None and job.job_environments.filter(enabled=True).exists()
    if not was_active:
        hold_active_jobs(workspace)
    policy = adopted_policy(job, workspace=workspace, slug=config["retry"]["policy"])
    if policy is not None:
        config = {**config, "retry": resolved(config["retry"], policy)}
    known = job_facts(job) if job is not None and job.current_version else None
    if job is None:
        new_slug = slug or JOB_SLUGS.free(config["name"], Job.objects.of(workspace).live())
        job = _create(workspace=workspace, slug=new_slug, config=config, now=now)
    before = job.current_version
    changed = before is None or before.config != config or bool(slug and slug != job.slug)
    if changed:
        job.retry_policy = policy
        _add_version(job=job, slug=slug, config=config, actor=actor, now=now)
    if before is None and environments is None:
        first = workspace.environments.order_by("created_at", "id").first()
        environments = [EnvironmentChange(first, enabled=True)] if first else []
    enabled = _apply(job=job, before=before, changes=environments or [], now=now)
    if changed or enabled:
        refuse_when_stopped(workspace.pk, now=now)
    if enabled and not was_active:
        refuse_too_many_active(workspace)
    record_saved(job, before=known, restored=restored, actor=actor, now=now)
    return job


def _create(*, workspace: Workspace, slug: str, config: dict[str, Any], now: datetime.datetime) -> Job:
    try:
        with transaction.atomic():
            return Job.objects.create(
                workspace=workspace, slug=slug, created_at=now, updated_at=now, **listed_columns(config)
            )
    except IntegrityError as error:
        raise SlugTakenError(slug) from error


def _add_version(*, job: Job, slug: str | None, config: dict[str, Any], actor: Actor, now: datetime.datetime) -> None:
    number = job.current_version.number + 1 if job.current_version else 1
    job.current_version = JobVersion.objects.create(
        job=job, number=number, config=config, created_at=now, created_by=actor.user
    )
    job.slug = slug or job.slug
    job.updated_at = now
    columns = listed_columns(config)
    for column, value in columns.items():
        setattr(job, column, value)
    try:
        with transaction.atomic():
            job.save(update_fields=["current_version", "retry_policy", "slug", "updated_at", *columns])
    except IntegrityError as error:
        raise SlugTakenError(job.slug) from error


def listed_columns(config: dict[str, Any]) -> dict[str, Any]:
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


def _apply(*, job: Job, before: JobVersion | None, changes: list[EnvironmentChange], now: datetime.datetime) -> bool:
    """Enable, disable, and follow a new timing. A job that has completed is enabled again by new timing.

    Unless this very save disables it. Only environments whose plan changes are touched. Returns whether it was enabled
    anywhere where it was not.
    """
    version = job.current_version
    assert version is not None
    retimed = _retimed(before, version) if before else PerEnvironment(False, {})
    wanted = {change.environment.pk: change for change in changes}
    anew = False
    rows = _locked_environments(job) if any(retimed.all) or (before and wanted) else []
    for row in rows:
        change = wanted.pop(row.environment_id, None)
        new_timing = retimed.of(str(row.environment_id))
        enabled = change.enabled if change else row.enabled or (new_timing and has_ended(row))
        if enabled != row.enabled or (enabled and new_timing):
            anew |= enabled and not row.enabled
            row.job, row.enabled = job, enabled
            change_plan(row, before=before or version, version=version, now=now)
    for change in wanted.values():
        row = JobEnvironment(
            workspace_id=job.workspace_id, job=job, environment=change.environment, enabled=change.enabled
        )
        begin_plan(row, version=version, now=now)
        anew |= change.enabled
    return anew


def _retimed(before: JobVersion, version: JobVersion) -> PerEnvironment[bool]:
    """Whether this version plans other occurrences than the one before."""
    overridden = before.config.get(OVERRIDES, {}).keys() | version.config.get(OVERRIDES, {}).keys()

    def differs(old: dict[str, Any], new: dict[str, Any]) -> bool:
        return any(old[field] != new[field] for field in TIMING)

    return PerEnvironment(
        differs(before.config, version.config),
        {key: differs(effective(before.config, key), effective(version.config, key)) for key in overridden},
    )


@transaction.atomic
def delete_job(*, job: Job, actor: Actor, now: datetime.datetime) -> None:
    """Delete a job softly: it never fires again and its slug is free, its history stays."""
    live = Job.objects.live().select_for_update(no_key=True, of=("self",)).select_related("current_version")
    locked = live.filter(pk=job.pk).first()
    if locked is None:
        return
    locked.deleted_at, locked.updated_at, locked.retry_policy = now, now, None
    locked.save(update_fields=["deleted_at", "updated_at", "retry_policy"])
    for row in _locked_environments(locked):
        row.job, row.enabled = locked, False
        _change(row, now=now)
    audit.record("job.deleted", locked, actor=actor, now=now)


@transaction.atomic
def pause(
    *,
    job_environments: list[JobEnvironment],
    until: datetime.datetime | None,
    note: str,
    actor: Actor,
    now: datetime.datetime,
) -> None:
    """Pause a job in these environments, until an instant or until somebody resumes it."""
    rows = _relocked(job_environments)
    before = pause_facts(rows)
    for row in rows:
        row.paused_at, row.paused_until, row.pause_note = now, until, note
        _change(row, now=now)
    record_pauses("job.paused", rows, before=before, actor=actor, now=now)


@transaction.atomic
def resume(*, job_environments: list[JobEnvironment], actor: Actor, now: datetime.datetime) -> None:
    """End a pause. Never fires at once and never catches up; a job that has nothing left to fire completes."""
    rows = _relocked(job_environments)
    before = pause_facts(rows)
    for row in rows:
        if row.paused_at is not None:
            row.paused_at, row.paused_until, row.pause_note = None, None, ""
            _change(row, now=now, completes=True)
    record_pauses("job.resumed", rows, before=before, actor=actor, now=now)


def _change(row: JobEnvironment, *, now: datetime.datetime, completes: bool = False) -> None:
    """Change the plan of a locked row, but not its version. Where it is disabled, a pause changes nothing yet."""
    version = row.job.current_version
    assert version is not None
    if not row.enabled and row.job.deleted_at is None:
        row.save(update_fields=["paused_at", "paused_until", "pause_note"])
        return
    change_plan(row, before=version, version=version, now=now, completes=completes)


def _locked_environments(job: Job) -> list[JobEnvironment]:
    return list(JobEnvironment.objects.select_for_update(no_key=True).filter(job=job).order_by("id"))


def _relocked(job_environments: list[JobEnvironment]) -> list[JobEnvironment]:
    """These rows, locked, with their jobs as they are then: a save of the job may have come first."""
    ids = [row.pk for row in job_environments]
    rows = list(JobEnvironment.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("id"))
    jobs = Job.objects.select_related("current_version").in_bulk({row.job_id for row in rows})
    for row in rows:
        row.job = jobs[row.job_id]
    return rows


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
