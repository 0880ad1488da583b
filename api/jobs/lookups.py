"""Look up the jobs and environments that a caller names, within its reach."""

from django.db.models import Exists, F, OuterRef, Prefetch
from rest_framework.exceptions import NotFound, PermissionDenied

from accounts.models import Environment
from api.accounts.access import Access
from core.errors import NotFoundError
from core.slugs import is_uuid
from jobs.models import Job, JobEnvironment
from jobs.querysets import JobQuerySet
from jobs.slugs import JOB_SLUGS


def reachable_jobs(access: Access) -> JobQuerySet:
    """The live jobs within reach, with all that the job object shows."""
    return _within_reach(access, Job.objects.of(access.workspace).live())


def live_job(access: Access, reference: str, *, locked: bool = False) -> Job:
    """The live job of this slug or UUID. Raises NotFound."""
    jobs = reachable_jobs(access)
    return _named(jobs.select_for_update(of=("self",)) if locked else jobs, reference)


def live_or_deleted_job(access: Access, reference: str) -> Job:
    """The same, or the deleted, not purged job of this UUID. Its slug may name another job by now."""
    jobs = Job.objects.of(access.workspace)
    return _named(_within_reach(access, jobs.kept() if is_uuid(reference) else jobs.live()), reference)


def _within_reach(access: Access, jobs: JobQuerySet) -> JobQuerySet:
    job_environments = JobEnvironment.objects.select_related("environment")
    if access.environment_ids is not None:
        job_environments = job_environments.filter(environment_id__in=access.environment_ids)
        jobs = jobs.filter(Exists(job_environments.filter(job=OuterRef("pk"))))
    return jobs.select_related("current_version").prefetch_related(
        Prefetch("job_environments", queryset=job_environments)
    )


def _named(jobs: JobQuerySet, reference: str) -> Job:
    job = jobs.named(reference).first() if JOB_SLUGS.accepts(reference) or is_uuid(reference) else None
    if job is None:
        raise NotFound(f"There is no job {reference}.")
    return job


def past_job(access: Access, reference: str) -> Job | None:
    """The job of this slug or UUID, deleted ones included: the live one first, then the one deleted last."""
    if not (JOB_SLUGS.accepts(reference) or is_uuid(reference)):
        return None
    named = Job.objects.of(access.workspace).kept().named(reference)
    return named.order_by(F("deleted_at").desc(nulls_first=True)).first()


def past_job_within_reach(access: Access, reference: str) -> Job:
    """The same, in any environment within reach. Raises NotFound."""
    job, bound = past_job(access, reference), access.environment_ids
    if job is None or (bound is not None and not job.job_environments.filter(environment_id__in=bound).exists()):
        raise NotFound(f"There is no job {reference}.")
    return job


def environment_named(access: Access, slug: str) -> Environment:
    """The environment of this slug. Raises NotFoundError for one out of reach."""
    for environment in access.environments():
        if environment.slug == slug:
            return environment
    raise NotFoundError(f"There is no environment {slug}.", field="environment")


def job_environments_named(job: Job, access: Access, slug: str | None) -> list[JobEnvironment]:
    """The job in this environment, or in all within reach. Raises NotFoundError."""
    job_environments = list(job.job_environments.all())
    if slug is None:
        return job_environments
    environment = environment_named(access, slug)
    matching = [row for row in job_environments if row.environment_id == environment.pk]
    if not matching:
        raise NotFoundError(f"The job is not in the environment {slug}.", field="environment")
    return matching


def refuse_foreign_change(access: Access, job: Job) -> None:
    """Refuse a bound key whose environments are not all of the job's: they share one definition."""
    bound = access.environment_ids
    if bound is not None and JobEnvironment.objects.filter(job=job).exclude(environment_id__in=bound).exists():
        raise PermissionDenied(
            "This API key is bound to environments, and the job also has others.", code="environment_bound"
        )
