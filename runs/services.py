"""Use cases of executions: run now, replay, cancel. Views, admin buttons and commands call the same ones."""

import datetime
import uuid
from typing import Any

from django.db import connection, transaction

from accounts.models import Workspace
from jobs.definition import Overlap
from jobs.models import JobEnvironment, JobVersion
from jobs.overrides import effective
from runs.errors import ExecutionNotCancelableError, JobGoneError, JobNotEnabledError
from runs.models import Execution
from runs.overlap import limiting, lock_environments, release_queued
from runs.queue import abort_on_commit, enqueue_on_commit
from runs.reaping import cancel_running
from runs.states import ExecutionStatus, Trigger
from scheduler_project import USER_AGENT

MAX_DELAY_SECONDS = 366 * 24 * 3600


@transaction.atomic
def run_now(
    *,
    job_environment: JobEnvironment,
    now: datetime.datetime,
    input: Any = None,  # noqa: A002 - the product's word
    delay_seconds: int = 0,
) -> Execution:
    """Ask for one execution of a job by hand, now or after a delay. The schedule is untouched.

    Raises JobGoneError for a deleted job and JobNotEnabledError where the job is not enabled in this environment.
    """
    if not job_environment.enabled:
        raise JobNotEnabledError(job_environment.job.slug, job_environment.environment.slug)
    scheduled_for = now + datetime.timedelta(seconds=delay_seconds) if delay_seconds else None
    return _create(
        job_environment=job_environment,
        job_version=_current_version(job_environment),
        trigger=Trigger.MANUAL,
        now=now,
        scheduled_for=scheduled_for,
        input=input,
    )


@transaction.atomic
def replay(*, execution: Execution, now: datetime.datetime, original_config: bool, input: Any = ...) -> Execution:  # noqa: A002
    """Make a NEW execution of the same job in the same environment; the old one stays untouched.

    With `original_config` it runs in the version of the old one, else in the job's current version. `input` is the old
    one's unless given. Raises JobGoneError when the current configuration is wanted of a deleted job.
    """
    job_environment = JobEnvironment.objects.select_related("job__current_version").get(pk=execution.job_environment_id)
    version = execution.job_version if original_config else _current_version(job_environment)
    return _create(
        job_environment=job_environment,
        job_version=version,
        trigger=Trigger.REPLAY,
        now=now,
        input=execution.input if input is ... else input,
        replay_of=execution,
    )


@transaction.atomic
def cancel(*, workspace: Workspace, execution_id: uuid.UUID, now: datetime.datetime) -> Execution:
    """Cancel an execution that has not ended, its retries included.

    One in flight ends at once, with a canceled run: its request may have arrived. Its worker is told to abort the
    transfer, and moves nothing any more whether it hears that or not. Raises ExecutionNotCancelableError where it has
    ended already.
    """
    executions = Execution.objects.of(workspace)
    found: Execution = executions.light().select_for_update(no_key=True).get(pk=execution_id)
    if found.status == ExecutionStatus.RUNNING:
        cancel_running([execution_id], user_agent=USER_AGENT)
        abort_on_commit(execution_id)
    elif not executions.cancel_idle(execution_id, now):
        raise ExecutionNotCancelableError(found.status)
    elif found.overlap == Overlap.QUEUE and not found.queued:
        with connection.cursor() as cursor:
            lock_environments(cursor, [str(found.job_environment_id)])
            release_queued(cursor, [str(found.job_environment_id)])
    return executions.get(pk=execution_id)


def _current_version(job_environment: JobEnvironment) -> JobVersion:
    job = job_environment.job
    if job.deleted_at is not None or job.current_version is None:
        raise JobGoneError(job.slug)
    return job.current_version


def _create(
    *,
    job_environment: JobEnvironment,
    job_version: JobVersion,
    trigger: Trigger,
    now: datetime.datetime,
    scheduled_for: datetime.datetime | None = None,
    input: Any = None,  # noqa: A002
    replay_of: Execution | None = None,
) -> Execution:
    definition = effective(job_version.config, str(job_environment.environment_id))
    execution = Execution.objects.create(
        workspace_id=job_environment.workspace_id,
        job_id=job_environment.job_id,
        environment_id=job_environment.environment_id,
        job_environment=job_environment,
        job_version=job_version,
        trigger=trigger,
        concurrency=definition["concurrency"],
        overlap=limiting(definition["overlap"]),
        created_at=now,
        scheduled_for=scheduled_for,
        next_attempt_at=scheduled_for or now,
        enqueued_at=None if scheduled_for else now,
        input=input,
        replay_of=replay_of,
    )
    if scheduled_for is None:
        enqueue_on_commit([execution.pk])
    return execution
