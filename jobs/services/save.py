"""Save jobs (each change is a version), delete, pause and resume them.

Locks: the job first, then its job-environments by id. `jobs.services.periods` opens and closes schedule periods.
"""

import datetime
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Environment, Workspace
from accounts.usage import refuse_when_stopped
from jobs.definition.calls import calls_of
from jobs.definition.contract import Timetable
from jobs.definition.overrides import OVERRIDES, PerEnvironment, effective
from jobs.errors import AmbiguousEnvironmentError, SlugTakenError
from jobs.models import Job, JobEnvironment, JobVersion, ScheduleType
from jobs.services.audit import job_facts, pause_facts, record_pauses, record_saved
from jobs.services.limits import hold_active_jobs, refuse_too_many_active
from jobs.services.periods import add_job_environment, change_periods, has_completed
from jobs.services.retry_policies import adopted_policies, policy_columns, with_rules
from jobs.slugs import JOB_SLUGS

#: The fields of a definition that decide its occurrences. A change of another field opens no new period.
TIMING = ("schedule", "timezone", "starts_at", "ends_at", "dst_gap", "dst_fold")


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """Whether a save enables the job in an environment."""

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
    managed_by: str | EllipsisType | None = ...,
    restored: int | None = None,
    actor: Actor,
    now: datetime.datetime,
) -> Job:
    """Create a job (`job` is None) or its next version. `config` is a complete, validated definition.

    A new job is enabled in the given environments, else in the workspace's first. A save that changes nothing creates
    no version. No save fires the job, except for the schedule "now". A retry policy in `config` replaces its retry
    rules. `managed_by` is who applies the job from a file; if left out, it is unchanged. `restored` is the number of
    the older version that `config` comes from, for the audit log. Raises SlugTakenError, UnknownRetryPolicyError,
    TooManyActiveJobsError, and QuotaExceededError for a change or an enabling while the workspace's plan lets no more
    runs start.
    """
    if job is not None:
        job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("current_version").get(pk=job.pk)
    was_active = job is not None and job.job_environments.filter(enabled=True).exists()
    if not was_active:
        hold_active_jobs(workspace)
    policies = adopted_policies(job, workspace=workspace, config=config)
    config = with_rules(config, policies)
    facts_before = job_facts(job) if job is not None and job.current_version else None
    if job is None:
        new_slug = slug or JOB_SLUGS.free(config["name"], Job.objects.of(workspace).live())
        job = _create(workspace=workspace, slug=new_slug, config=config, managed_by=managed_by, now=now)
    before = job.current_version
    changed = before is None or before.config != config or bool(slug and slug != job.slug)
    if changed:
        _add_version(job, policy_columns(config, policies), slug=slug, config=config, actor=actor, now=now)
    if before is None and environments is None:
        first = workspace.environments.order_by("created_at", "id").first()
        environments = [EnvironmentChange(first, enabled=True)] if first else []
    enabled = _apply(job=job, before=before, changes=environments or [], now=now)
    handed_over = False
    if not isinstance(managed_by, EllipsisType) and managed_by != job.managed_by:
        handed_over, job.managed_by = True, managed_by
        job.save(update_fields=["managed_by"])
    if changed or enabled or handed_over:
        refuse_when_stopped(workspace.pk, now=now)
    if enabled and not was_active:
        refuse_too_many_active(workspace)
    record_saved(job, before=facts_before, restored=restored, actor=actor, now=now)
    return job


def _create(
    *,
    workspace: Workspace,
    slug: str,
    config: dict[str, Any],
    managed_by: str | EllipsisType | None,
    now: datetime.datetime,
) -> Job:
    columns = {**listed_columns(config), "managed_by": None if managed_by is ... else managed_by}
    try:
        with transaction.atomic():
            return Job.objects.create(workspace=workspace, slug=slug, created_at=now, updated_at=now, **columns)
    except IntegrityError as error:
        raise SlugTakenError(slug) from error


def _add_version(
    job: Job,
    columns: dict[str, Any],
    *,
    slug: str | None,
    config: dict[str, Any],
    actor: Actor,
    now: datetime.datetime,
) -> None:
    number = job.current_version.number + 1 if job.current_version else 1
    job.current_version = JobVersion.objects.create(
        job=job, number=number, config=config, created_at=now, created_by=actor.user
    )
    job.slug = slug or job.slug
    job.updated_at = now
    columns = {**columns, **listed_columns(config)}
    for column, value in columns.items():
        setattr(job, column, value)
    try:
        with transaction.atomic():
            job.save(update_fields=["current_version", "slug", "updated_at", *columns])
    except IntegrityError as error:
        raise SlugTakenError(job.slug) from error


def listed_columns(config: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that lists search and sort by."""
    schedule = config["schedule"]
    if schedule is None:
        schedule_type = ScheduleType.MANUAL
    else:
        epoch = datetime.datetime.fromtimestamp(0, tz=datetime.UTC)
        schedule_object = Timetable.of(config, anchor=epoch).schedule
        is_one_off = schedule_object is not None and schedule_object.type == "one_off"
        schedule_type = ScheduleType.ONE_OFF if is_one_off else ScheduleType.RECURRING
    return {
        "name": config["name"],
        "kind": config["kind"],
        "tags": config["tags"],
        "url": next((call.sections["request"]["url"] for call in calls_of(config)), ""),
        "schedule_type": schedule_type,
    }


def _apply(*, job: Job, before: JobVersion | None, changes: list[EnvironmentChange], now: datetime.datetime) -> bool:
    """Enable, disable, and open periods for new timing. Returns whether the job is newly enabled anywhere.

    New timing enables a completed job again, unless this very save disables it. Other environments are not written.
    """
    version = job.current_version
    assert version is not None
    retimed = _retimed(before, version) if before else PerEnvironment(False, {})
    unapplied = {change.environment.pk: change for change in changes}
    newly_enabled = False
    locked = _locked_environments(job) if any(retimed.all) or (before and unapplied) else []
    for job_environment in locked:
        change = unapplied.pop(job_environment.environment_id, None)
        new_timing = retimed.of(str(job_environment.environment_id))
        enabled = (
            change.enabled if change else job_environment.enabled or (new_timing and has_completed(job_environment))
        )
        if enabled != job_environment.enabled or (enabled and new_timing):
            newly_enabled |= enabled and not job_environment.enabled
            job_environment.job, job_environment.enabled = job, enabled
            change_periods(job_environment, before=before or version, version=version, now=now)
    for change in unapplied.values():
        job_environment = JobEnvironment(
            workspace_id=job.workspace_id, job=job, environment=change.environment, enabled=change.enabled
        )
        add_job_environment(job_environment, version=version, now=now)
        newly_enabled |= change.enabled
    return newly_enabled


def _retimed(before: JobVersion, version: JobVersion) -> PerEnvironment[bool]:
    """Return whether the timing differs between two versions, per environment."""
    overridden = before.config.get(OVERRIDES, {}).keys() | version.config.get(OVERRIDES, {}).keys()

    def differs(old: dict[str, Any], new: dict[str, Any]) -> bool:
        return any(old[field] != new[field] for field in TIMING)

    return PerEnvironment(
        differs(before.config, version.config),
        {key: differs(effective(before.config, key), effective(version.config, key)) for key in overridden},
    )


@transaction.atomic
def delete_job(*, job: Job, actor: Actor, now: datetime.datetime) -> None:
    """Delete a job softly: it never fires again, its slug becomes free, its history stays."""
    live = Job.objects.live().select_for_update(no_key=True, of=("self",)).select_related("current_version")
    locked = live.filter(pk=job.pk).first()
    if locked is None:
        return
    locked.deleted_at, locked.updated_at, locked.retry_policy, locked.step_policies = now, now, None, []
    locked.save(update_fields=["deleted_at", "updated_at", "retry_policy", "step_policies"])
    for job_environment in _locked_environments(locked):
        job_environment.job, job_environment.enabled = locked, False
        _change(job_environment, now=now)
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
    """Pause a job in these environments, until an instant or until it is resumed."""
    locked = _relocked(job_environments)
    before = pause_facts(locked)
    for job_environment in locked:
        job_environment.paused_at, job_environment.paused_until, job_environment.pause_note = now, until, note
        _change(job_environment, now=now)
    record_pauses("job.paused", locked, before=before, actor=actor, now=now)


@transaction.atomic
def resume(*, job_environments: list[JobEnvironment], actor: Actor, now: datetime.datetime) -> None:
    """End a pause. Fires nothing at once and catches up nothing; a job without further occurrences completes."""
    locked = _relocked(job_environments)
    before = pause_facts(locked)
    for job_environment in locked:
        if job_environment.paused_at is not None:
            job_environment.paused_at, job_environment.paused_until, job_environment.pause_note = None, None, ""
            _change(job_environment, now=now, completes=True)
    record_pauses("job.resumed", locked, before=before, actor=actor, now=now)


def _change(job_environment: JobEnvironment, *, now: datetime.datetime, completes: bool = False) -> None:
    """Open the periods of a locked row, in the same version. A pause of a disabled one is only saved."""
    version = job_environment.job.current_version
    assert version is not None
    if not job_environment.enabled and job_environment.job.deleted_at is None:
        job_environment.save(update_fields=["paused_at", "paused_until", "pause_note"])
        return
    change_periods(job_environment, before=version, version=version, now=now, completes=completes)


def _locked_environments(job: Job) -> list[JobEnvironment]:
    return list(JobEnvironment.objects.select_for_update(no_key=True).filter(job=job).order_by("id"))


def _relocked(job_environments: list[JobEnvironment]) -> list[JobEnvironment]:
    """Lock these rows and read their jobs afterwards: a save of the job may have come first."""
    ids = [job_environment.pk for job_environment in job_environments]
    locked = list(JobEnvironment.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("id"))
    jobs = Job.objects.select_related("current_version").in_bulk({job_environment.job_id for job_environment in locked})
    for job_environment in locked:
        job_environment.job = jobs[job_environment.job_id]
    return locked


def only_environment(job: Job, *, allowed: list[Environment] | None = None) -> JobEnvironment:
    """Return the only enabled job-environment (among `allowed`), for a call that names none.

    Raises AmbiguousEnvironmentError if there are none or several.
    """
    enabled = list(job.job_environments.select_related("environment", "job__current_version").filter(enabled=True))
    if allowed is not None:
        ids = {environment.pk for environment in allowed}
        enabled = [job_environment for job_environment in enabled if job_environment.environment_id in ids]
    if len(enabled) != 1:
        raise AmbiguousEnvironmentError(sorted(job_environment.environment.slug for job_environment in enabled))
    return enabled[0]
