"""Create many jobs at once, in a fixed number of statements."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts.actors import Actor
from accounts.models import Workspace
from accounts.usage import refuse_when_stopped
from jobs.definition.calls import policies_of
from jobs.errors import UnknownRetryPolicyError
from jobs.models import Job, JobEnvironment, JobVersion, RetryPolicy, SchedulePeriod
from jobs.services.audit import record_created
from jobs.services.limits import hold_active_jobs, refuse_too_many_active
from jobs.services.periods import first_periods
from jobs.services.retry_policies import policy_columns, with_rules
from jobs.services.save import EnvironmentChange, listed_columns


@dataclass(frozen=True, slots=True)
class Draft:
    """A job to create: `config` is a complete, validated definition."""

    slug: str
    config: dict[str, Any]
    environments: Sequence[EnvironmentChange]
    managed_by: str | None = None


def create_jobs(*, workspace: Workspace, drafts: Sequence[Draft], actor: Actor, now: datetime.datetime) -> None:
    """Create these jobs in the caller's transaction.

    Locks the retry policies that they name, as `save_job` does. Raises UnknownRetryPolicyError, TooManyActiveJobsError,
    QuotaExceededError, and IntegrityError for a slug that was taken meanwhile.
    """
    if drafts:
        refuse_when_stopped(workspace.pk, now=now)
        hold_active_jobs(workspace)
    policies = _locked_policies(workspace, drafts)
    jobs: list[Job] = []
    versions: list[JobVersion] = []
    job_environments: list[JobEnvironment] = []
    periods: list[SchedulePeriod] = []
    for draft in drafts:
        config = with_rules(draft.config, policies)
        job = Job(
            workspace=workspace,
            slug=draft.slug,
            managed_by=draft.managed_by,
            created_at=now,
            updated_at=now,
            **policy_columns(draft.config, policies),
            **listed_columns(config),
        )
        version = JobVersion(job=job, number=1, config=config, created_at=now, created_by=actor.user)
        job.current_version = version  # Its constraint is deferred until the transaction ends.
        jobs.append(job)
        versions.append(version)
        for change in draft.environments:
            job_environment = JobEnvironment(
                workspace=workspace, job=job, environment=change.environment, enabled=change.enabled
            )
            periods.extend(first_periods(job_environment, version=version, now=now))
            job_environments.append(job_environment)
    Job.objects.bulk_create(jobs)
    JobVersion.objects.bulk_create(versions)
    JobEnvironment.objects.bulk_create(job_environments)
    SchedulePeriod.objects.bulk_create(periods)
    if any(job_environment.enabled for job_environment in job_environments):
        refuse_too_many_active(workspace)
    states = [{change.environment.slug: change.enabled for change in draft.environments} for draft in drafts]
    record_created(zip(jobs, states, strict=True), actor=actor, now=now)


def _locked_policies(workspace: Workspace, drafts: Sequence[Draft]) -> dict[str, RetryPolicy]:
    slugs = frozenset[str]().union(*(policies_of(draft.config) for draft in drafts))
    if not slugs:
        return {}
    rows = RetryPolicy.objects.filter(workspace=workspace, slug__in=slugs).order_by("pk")
    policies: dict[str, RetryPolicy] = {policy.slug: policy for policy in rows.select_for_update(no_key=True)}
    for slug in sorted(slugs - policies.keys()):
        raise UnknownRetryPolicyError(slug)
    return policies
