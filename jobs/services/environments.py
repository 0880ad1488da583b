"""Delete environments. This needs jobs, which know whether an environment is in use."""

import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from accounts import audit
from accounts.actors import Actor
from accounts.models import ApiKey, Environment, Secret, Workspace
from core.errors import ConflictError
from jobs.models import JobEnvironment, SchedulePeriod

_MAX_NAMED = 5


class EnvironmentInUseError(ConflictError):
    """`jobs`, a member of the problem, are the sorted slugs of the jobs that are or were in the environment."""

    code = "environment_in_use"

    def __init__(self, slug: str, jobs: list[str]) -> None:
        more = f" and {len(jobs) - _MAX_NAMED} more" if len(jobs) > _MAX_NAMED else ""
        users = f"the jobs {', '.join(jobs[:_MAX_NAMED])}{more}, or by their history" if jobs else "other records"
        super().__init__(f"The environment {slug} is in use by {users}.", members={"jobs": jobs})


class LastEnvironmentError(ConflictError):
    code = "last_environment"

    def __init__(self, slug: str) -> None:
        super().__init__(f"{slug} is the workspace's only environment; jobs need one to run in.")


@transaction.atomic
def delete_environment(*, environment: Environment, actor: Actor, now: datetime.datetime) -> None:
    """Delete an environment, with its secrets, that no job is enabled or overridden in or has history in.

    Keys bound to it lose it and gain no other. Raises LastEnvironmentError and EnvironmentInUseError.
    """
    # One deletion per workspace at a time, so that two can't delete the last two; nothing else waits for this lock.
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=environment.workspace_id)
    locked = Environment.objects.select_for_update().filter(pk=environment.pk).first()
    if locked is None:
        return
    if not workspace.environments.exclude(pk=locked.pk).exists():
        raise LastEnvironmentError(locked.slug)
    job_environments = (
        JobEnvironment.objects.select_for_update(of=("self",))
        .select_related("job")
        .filter(environment=locked)
        .annotate(overridden=Q(job__current_version__config__overrides__has_key=str(locked.pk)))
    )
    if used := [row.job for row in job_environments.order_by("pk") if _is_used(row)]:
        # Purged jobs use the environment until their rows are removed, but are not named.
        raise EnvironmentInUseError(locked.slug, sorted({job.slug for job in used if job.purged_at is None}))
    changes = _lost_with(locked)
    _delete(locked)
    audit.record("environment.deleted", locked, actor=actor, now=now, changes=changes)


def _is_used(job_environment: Any) -> bool:
    """`job_environment` is annotated with whether its job is `overridden` here."""
    # By job, because that is how history is indexed.
    history = job_environment.job.executions.filter(environment_id=job_environment.environment_id)
    unsettled = job_environment.periods.filter(unsettled_from__isnull=False)
    overridden = bool(job_environment.overridden)
    return job_environment.enabled or overridden or history.exists() or unsettled.exists()


def _lost_with(environment: Environment) -> dict[str, list[object]]:
    """Return what is deleted with an environment, for the audit log."""
    secrets = sorted(Secret.objects.filter(environment=environment).values_list("name", flat=True))
    keys = sorted(str(key) for key in ApiKey.objects.filter(environments=environment, revoked_at__isnull=True))
    lost = {"name": environment.name, "secrets": secrets, "keys": keys}
    return {path: [value, None] for path, value in lost.items() if value}


def _delete(environment: Environment) -> None:
    """Delete without Django's collector, which would search all of history for rows of this environment."""
    job_environments = JobEnvironment.objects.filter(environment=environment)
    periods = SchedulePeriod.objects.filter(job_environment__in=job_environments)
    secrets = Secret.objects.filter(environment=environment)
    bindings = ApiKey.environments.through.objects.filter(environment=environment)
    own_row = Environment.objects.filter(pk=environment.pk)
    try:
        with transaction.atomic():
            for rows in (periods, job_environments, secrets, bindings, own_row):
                rows._raw_delete(rows.db)
            connection.check_constraints()
    except IntegrityError as error:
        raise EnvironmentInUseError(environment.slug, []) from error
