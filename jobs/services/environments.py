"""Whether an environment can go: only jobs know what it holds."""

import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from accounts import audit
from accounts.actors import Actor
from accounts.models import ApiKey, Environment, Secret, Workspace
from core.errors import ConflictError
from jobs.models import JobEnvironment, SchedulePeriod

_TOLD = 5


class EnvironmentInUseError(ConflictError):
    """`jobs` are the slugs of the jobs that are or were in it, in order, told as the problem's member of that name."""

    code = "environment_in_use"

    def __init__(self, slug: str, jobs: list[str]) -> None:
        more = f" and {len(jobs) - _TOLD} more" if len(jobs) > _TOLD else ""
        named = f" the jobs {', '.join(jobs[:_TOLD])}{more}" if jobs else " what else refers to it"
        super().__init__(f"The environment {slug} holds{named}, or their history.", members={"jobs": jobs})


class LastEnvironmentError(ConflictError):
    code = "last_environment"

    def __init__(self, slug: str) -> None:
        super().__init__(f"{slug} is the workspace's only environment, and jobs need one to run in.")


@transaction.atomic
def delete_environment(*, environment: Environment, actor: Actor, now: datetime.datetime) -> None:
    """Delete an environment that no job is enabled, was overridden or ever ran in; its own secrets go with it.

    Keys bound to it lose it, and reach no other for that. Raises LastEnvironmentError and EnvironmentInUseError.
    """
    # Deletions in one workspace take turns, so that two can't take the last two; nothing else waits for this lock.
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=environment.workspace_id)
    locked = Environment.objects.select_for_update().filter(pk=environment.pk).first()
    if locked is None:
        return
    if not workspace.environments.exclude(pk=locked.pk).exists():
        raise LastEnvironmentError(locked.slug)
    places = JobEnvironment.objects.select_for_update(of=("self",)).select_related("job").filter(environment=locked)
    places = places.annotate(overridden=Q(job__current_version__config__overrides__has_key=str(locked.pk)))
    if used := [row.job for row in places.order_by("pk") if _is_used(row)]:
        # Purged ones are being removed and nobody is to read of them, but until then the environment is theirs.
        raise EnvironmentInUseError(locked.slug, sorted({job.slug for job in used if job.purged_at is None}))
    changes = _lost_with(locked)
    _delete(locked)
    audit.record("environment.deleted", locked, actor=actor, now=now, changes=changes)


def _is_used(row: Any) -> bool:
    """Whether a row, annotated with whether its job is `overridden` here, holds something."""
    # The job stands in the question because history is indexed by job.
    history = row.job.executions.filter(environment_id=row.environment_id)
    owed = row.periods.filter(unsettled_from__isnull=False)
    return row.enabled or bool(row.overridden) or history.exists() or owed.exists()


def _lost_with(environment: Environment) -> dict[str, list[object]]:
    """What goes with an environment besides itself, as the audit log tells it."""
    secrets = sorted(Secret.objects.filter(environment=environment).values_list("name", flat=True))
    keys = sorted(str(key) for key in ApiKey.objects.filter(environments=environment, revoked_at__isnull=True))
    lost = {"name": environment.name, "secrets": secrets, "keys": keys}
    return {path: [value, None] for path, value in lost.items() if value}


def _delete(environment: Environment) -> None:
    """By hand: Django would first look through all of history for rows of this environment, and there are none."""
    places = JobEnvironment.objects.filter(environment=environment)
    periods = SchedulePeriod.objects.filter(job_environment__in=places)
    secrets = Secret.objects.filter(environment=environment)
    bindings = ApiKey.environments.through.objects.filter(environment=environment)
    itself = Environment.objects.filter(pk=environment.pk)
    try:
        with transaction.atomic():
            for rows in (periods, places, secrets, bindings, itself):
                rows._raw_delete(rows.db)
            connection.check_constraints()
    except IntegrityError as error:
        raise EnvironmentInUseError(environment.slug, []) from error
