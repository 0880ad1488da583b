"""What people do with executions: run now, replay, retry, cancel. The API and the dashboard call the same functions.

Those that create an execution raise QuotaExceededError while the workspace's plan lets no more runs start. The audit
log gets what was done, without the input.
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
from runs.executions.create import JobEnvironmentKey, NewExecution, callback_on, insert_and_enqueue
from runs.models import Execution
from runs.overlap import hold_environments, limiting
from runs.states import ExecutionStatus, Trigger
from runs.workflows.carrying import carried_steps, carry_over
from runs.workflows.cleanup import Cleanup

MAX_DELAY_SECONDS = 366 * 24 * 3600
#: The relations of an execution that a new one takes over: for select_related.
SOURCE = ("job_version", "job__current_version", "job_environment")


@transaction.atomic
def run_now(
    *,
    job_environment: JobEnvironment,
    now: datetime.datetime,
    input: Any = None,  # noqa: A002 - the product's word
    delay_seconds: int = 0,
    callback_url: str | None = None,
    depth: int = 0,
    actor: Actor,
) -> Execution:
    """Create one execution of a job by hand, due now or after a delay. The schedule is not affected.

    Its callback goes to `callback_url` instead of the job's, after the same endings, or the usual ones if the job has
    no callback.

    Raises JobGoneError if the job is deleted, and JobNotEnabledError if it is not enabled in this environment.
    """
    if not job_environment.enabled:
        raise JobNotEnabledError(job_environment.job.slug, job_environment.environment.slug)
    scheduled_for = now + datetime.timedelta(seconds=delay_seconds) if delay_seconds else None
    execution = _create(
        job_environment=job_environment,
        job_version=_current_version(job_environment.job),
        trigger=Trigger.MANUAL,
        now=now,
        scheduled_for=scheduled_for,
        input=input,
        callback_url=callback_url,
        depth=depth,
        state=_state(None, actor),
    )
    details: dict[str, Any] = {"execution": str(execution.pk), "environment": job_environment.environment.slug}
    details |= {"delay_seconds": delay_seconds} if delay_seconds else {}
    details |= {"callback_url": callback_url} if callback_url else {}
    audit.record("job.run", job_environment.job, actor=actor, now=now, changes=difference({}, details))
    return execution


@transaction.atomic
def run_for_webhook(
    *,
    job_environment: JobEnvironment,
    input: Any,  # noqa: A002 - the product's word
    trigger: dict[str, Any],
    depth: int,
    now: datetime.datetime,
) -> Execution:
    """Make an execution of what an inbound webhook brought. `trigger` holds the `headers` and `query` that it keeps.

    Raises as `run_now` does.
    """
    if not job_environment.enabled:
        raise JobNotEnabledError(job_environment.job.slug, job_environment.environment.slug)
    return _create(
        job_environment=job_environment,
        job_version=_current_version(job_environment.job),
        trigger=Trigger.WEBHOOK,
        now=now,
        input=input,
        state={"trigger": trigger},
        depth=depth,
    )


def configuration_of(execution: Execution, *, original: bool) -> JobVersion:
    """The version that a replay runs in: the original one, or the job's current one.

    Raises JobGoneError for the current one of a deleted job.
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
    """Create a new execution of the same job, in the version of `configuration_of`. The old one is not changed.

    It runs in the old one's environment, even if the job is not enabled there, or in another in which it is enabled;
    otherwise JobNotEnabledError is raised. `input` is the old one's unless given. `request`, complete and validated,
    replaces that of the version in this environment, for this execution only.
    """
    version = configuration_of(execution, original=original_config)
    job_environment = _job_environment(execution, environment)
    current = effective(version.config, str(job_environment.environment_id))["request"]
    edited = request is not None and request != current
    replayed = _create(
        job_environment=job_environment,
        job_version=_edited(version, request, now, actor) if request is not None and edited else version,
        trigger=Trigger.REPLAY,
        now=now,
        input=execution.input if input is ... else input,
        state=_state(execution, actor),
        callback_url=execution.callback_url,
        replay_of=execution,
    )
    details: dict[str, Any] = {"execution": str(replayed.pk), "config": "original" if original_config else "current"}
    details |= {"environment": environment.slug} if environment else {}
    details |= {"edited": True} if edited else {}
    audit.record("execution.replayed", execution, actor=actor, now=now, changes=difference({}, details))
    return replayed


@transaction.atomic
def retry(*, execution: Execution, now: datetime.datetime, from_step: str | None = None, actor: Actor) -> Execution:
    """Create a new execution like one that failed, with its configuration, environment and input.

    A workflow goes on at `from_step`: START, FAILED (the default), or the id of a step; the results of the steps before
    it are carried over. Raises ExecutionNotRetryableError for any other status, and CannotRetryFromError.
    """
    if execution.status != ExecutionStatus.FAILED:
        raise ExecutionNotRetryableError(execution.status)
    carried = carried_steps(execution, from_step)
    retried = _create(
        job_environment=execution.job_environment,
        job_version=execution.job_version,
        trigger=Trigger.RETRY,
        now=now,
        input=execution.input,
        state=_state(execution, actor),
        callback_url=execution.callback_url,
        replay_of=execution,
    )
    carry_over({retried.pk: carried})
    details = {"execution": str(retried.pk), **({"from": from_step} if from_step else {})}
    changes = difference({}, details)
    audit.record("execution.retried", execution, actor=actor, now=now, changes=changes)
    return retried


@transaction.atomic
def cancel(*, workspace: Workspace, execution_id: uuid.UUID, now: datetime.datetime, actor: Actor) -> Execution:
    """Cancel an execution that has not ended, including its retries and waits.

    A request in flight is aborted; it may have arrived. A workflow runs its `finally` first; canceled again, it ends.
    Raises ExecutionNotCancelableError if the execution has ended.
    """
    executions = Execution.objects.of(workspace)
    canceled = cancel_live(executions.filter(pk=execution_id), now=now, release=True, cleanup=Cleanup.FIRST)
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
    """Create a version with another request: so claiming, retries and history need no notion of edits."""
    return JobVersion.objects.create(
        job_id=version.job_id,
        number=version.number,
        config=with_request(version.config, request),
        created_at=now,
        created_by=actor.user,
        edited=True,
    )


def _job_environment(execution: Execution, environment: Environment | None) -> JobEnvironment:
    """The execution's own job-environment, or that of its job in another environment in which it is enabled."""
    if environment is None or environment.pk == execution.environment_id:
        return execution.job_environment
    enabled = JobEnvironment.objects.filter(job=execution.job_id, environment=environment, enabled=True)
    job_environment = enabled.first()
    if job_environment is None:
        raise JobNotEnabledError(execution.job.slug, environment.slug)
    return job_environment


def _state(source: Execution | None, actor: Actor) -> dict[str, Any] | None:
    """What a new execution remembers: what the webhook of its source brought, and who started it."""
    state = {"trigger": source.state["trigger"]} if source and source.state and "trigger" in source.state else {}
    return {**state, **({"started_by": actor.id} if actor.user is not None else {})} or None


def _create(
    *,
    job_environment: JobEnvironment,
    job_version: JobVersion,
    trigger: Trigger,
    now: datetime.datetime,
    scheduled_for: datetime.datetime | None = None,
    input: Any = None,  # noqa: A002
    state: dict[str, Any] | None = None,
    depth: int = 0,
    callback_url: str | None = None,
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
            callback_on=callback_on(definition.get("callback"), callback_url),
        ),
        trigger=trigger,
        now=now,
        starts_at=scheduled_for or now,
        scheduled_for=scheduled_for,
        input=input,
        state=state,
        depth=depth,
        callback_url=callback_url,
        replay_of_id=replay_of and replay_of.pk,
    )
    (execution,) = insert_and_enqueue([new])
    execution.job_environment, execution.job_version, execution.replay_of = job_environment, job_version, replay_of
    return execution
