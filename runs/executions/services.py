"""Use cases of executions: run now, replay, retry, cancel. Views, admin buttons and commands call the same ones.

The audit log gets what was asked for by hand, but nothing of the input.
Where the workspace's plan lets no more runs start, those that make an execution raise QuotaExceededError.
"""

import datetime
import uuid
from typing import Any

from django.db import connection, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Environment, Workspace
from accounts.usage import refuse_when_stopped
from core.differences import difference
from jobs.definition.overrides import effective, with_request
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.services.unreadable import refuse_unreadable
from runs.errors import ExecutionNotCancelableError, ExecutionNotRetryableError, JobGoneError, JobNotEnabledError
from runs.executions.cancel import cancel_live
from runs.executions.create import JobEnvironmentKey, NewExecution, insert_and_enqueue
from runs.models import Execution
from runs.overlap import hold_environments, limiting
from runs.states import ExecutionStatus, Trigger

MAX_DELAY_SECONDS = 366 * 24 * 3600
#: What a new execution takes over from an old one: to be selected with it.
SOURCE = ("job_version", "job__current_version", "job_environment")


@transaction.atomic
def run_now(
    *,
    job_environment: JobEnvironment,
    now: datetime.datetime,
    input: Any = None,  # noqa: A002 - the product's word
    delay_seconds: int = 0,
    actor: Actor,
) -> Execution:
    """Ask for one execution of a job by hand, now or after a delay. The schedule is untouched.

    Raises JobGoneError for a deleted job and JobNotEnabledError where the job is not enabled in this environment.
    """
    if not job_environment.enabled:
        raise JobNotEnabledError(job_environment.job.slug, job_environment.environment.slug)
    scheduled_for = now + datetime.timedelta(seconds=delay_seconds) if delay_seconds else None
    made = _create(
        job_environment=job_environment,
        job_version=_current_version(job_environment.job),
        trigger=Trigger.MANUAL,
        now=now,
        scheduled_for=scheduled_for,
        input=input,
    )
    details: dict[str, Any] = {"execution": str(made.pk), "environment": job_environment.environment.slug}
    details |= {"delay_seconds": delay_seconds} if delay_seconds else {}
    audit.record("job.run", job_environment.job, actor=actor, now=now, changes=difference({}, details))
    return made


def configuration_of(execution: Execution, *, original: bool) -> JobVersion:
    """The version that a replay runs in: the one of then, or the job's current one.

    Raises JobGoneError when the current configuration is wanted of a deleted job.
    """
    return execution.job_version if original else _current_version(execution.job)


@transaction.atomic
def replay(
    *,
    execution: Execution,
    now: datetime.datetime,
    original_config: bool,
    environment: Environment | None = None,
    input: Any = ...,  # noqa: A002
    request: dict[str, Any] | None = None,
    actor: Actor,
) -> Execution:
    """Make a NEW execution of the same job, in what `configuration_of` tells; the old one stays untouched.

    It runs in the old one's environment, whether the job is enabled there or not, or in another that it is enabled in:
    raises JobNotEnabledError elsewhere. `input` is the old one's unless given. `request`, a complete and validated one,
    replaces that of the version in this environment, for this execution alone.
    """
    version, place = configuration_of(execution, original=original_config), _place(execution, environment)
    edited = request is not None and request != effective(version.config, str(place.environment_id))["request"]
    made = _create(
        job_environment=place,
        job_version=_edited(version, request, now, actor) if request is not None and edited else version,
        trigger=Trigger.REPLAY,
        now=now,
        input=execution.input if input is ... else input,
        replay_of=execution,
    )
    details: dict[str, Any] = {"execution": str(made.pk), "config": "original" if original_config else "current"}
    details |= {"environment": environment.slug} if environment else {}
    details |= {"edited": True} if edited else {}
    audit.record("execution.replayed", execution, actor=actor, now=now, changes=difference({}, details))
    return made


@transaction.atomic
def retry(*, execution: Execution, now: datetime.datetime, actor: Actor) -> Execution:
    """Make a NEW execution like one that failed: its configuration, environment and input, attempts from the start.

    Raises ExecutionNotRetryableError for any other.
    """
    if execution.status != ExecutionStatus.FAILED:
        raise ExecutionNotRetryableError(execution.status)
    made = _create(
        job_environment=_place(execution, None),
        job_version=execution.job_version,
        trigger=Trigger.RETRY,
        now=now,
        input=execution.input,
        replay_of=execution,
    )
    changes = difference({}, {"execution": str(made.pk)})
    audit.record("execution.retried", execution, actor=actor, now=now, changes=changes)
    return made


@transaction.atomic
def cancel(*, workspace: Workspace, execution_id: uuid.UUID, now: datetime.datetime, actor: Actor) -> Execution:
    """Cancel an execution that has not ended, its retries included.

    A request in flight is aborted; it may have arrived. Raises ExecutionNotCancelableError where the execution has
    ended already.
    """
    executions = Execution.objects.of(workspace)
    canceled = cancel_live(executions.filter(pk=execution_id), now=now, release=True)
    execution: Execution = executions.get(pk=execution_id)
    if not canceled:
        raise ExecutionNotCancelableError(execution.status)
    audit.record("execution.canceled", execution, actor=actor, now=now)
    return execution


def _current_version(job: Job) -> JobVersion:
    if job.deleted_at is not None or job.current_version is None:
        raise JobGoneError(job.slug)
    return job.current_version


def _edited(version: JobVersion, request: dict[str, Any], now: datetime.datetime, actor: Actor) -> JobVersion:
    """A version with another request, so that claiming, retries and history need to know nothing of edits."""
    return JobVersion.objects.create(
        job_id=version.job_id,
        number=version.number,
        config=with_request(version.config, request),
        created_at=now,
        created_by=actor.user,
        edited=True,
    )


def _place(execution: Execution, environment: Environment | None) -> JobEnvironment:
    """The job of an execution in its own environment, or in another one that it is enabled in."""
    if environment is None or environment.pk == execution.environment_id:
        return execution.job_environment
    states = JobEnvironment.objects.filter(job=execution.job_id, environment=environment, enabled=True)
    state = states.first()
    if state is None:
        raise JobNotEnabledError(execution.job.slug, environment.slug)
    return state


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
    refuse_when_stopped(job_environment.workspace_id, now=now)
    with connection.cursor() as cursor:
        if not hold_environments(cursor, [str(job_environment.pk)]):
            raise JobGoneError(job_environment.job.slug)
    refuse_unreadable(job_environment.job, job_version, job_environment.environment_id)
    definition = effective(job_version.config, str(job_environment.environment_id))
    new = NewExecution.pending(
        JobEnvironmentKey(
            job_environment_id=str(job_environment.pk),
            workspace_id=str(job_environment.workspace_id),
            job_id=str(job_environment.job_id),
            environment_id=str(job_environment.environment_id),
            job_version_id=str(job_version.pk),
            concurrency=definition["concurrency"],
            overlap=limiting(definition["overlap"]),
        ),
        trigger=trigger,
        now=now,
        starts_at=scheduled_for or now,
        scheduled_for=scheduled_for,
        input=input,
        replay_of_id=replay_of and replay_of.pk,
    )
    (execution,) = insert_and_enqueue([new])
    execution.job_environment, execution.job_version, execution.replay_of = job_environment, job_version, replay_of
    return execution
