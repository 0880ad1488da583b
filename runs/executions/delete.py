"""Deletes a job: its live executions are canceled, and its history can be purged.

Executions are locked before their job, and the job before its environments: the order that all code keeps.
"""

import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from jobs.models import Job
from jobs.services.purging import purge_jobs
from jobs.services.save import delete_job
from runs.executions.cancel import cancel_live
from runs.models import Execution
from runs.queue import PRUNING_TASK, wake_on_commit

JOB_DELETED = "Canceled: the job was deleted."


@transaction.atomic
def delete_with_executions(*, job: Job, actor: Actor, now: datetime.datetime) -> None:
    """Mark a job as deleted, and cancel its live executions. A request in flight is aborted; it may have arrived.

    Workflows that have begun go on: somebody may be about to end their waits.
    """
    executions = Execution.objects.filter(job=job, step="")
    cancel_live(executions, now=now, error=JOB_DELETED)
    delete_job(job=job, actor=actor, now=now)
    # Those that fired before the job was locked. One that is locked now is being claimed.
    cancel_live(executions, now=now, error=JOB_DELETED, skip_locked=True)


@transaction.atomic
def purge(*, job: Job, actor: Actor, now: datetime.datetime) -> None:
    """Delete a job with its versions and its whole history. Readers stop seeing it at once.

    A worker removes the rows, however many: `runs.retention.purge`.
    """
    delete_with_executions(job=job, actor=actor, now=now)
    cancel_live(Execution.objects.filter(job=job), now=now, error=JOB_DELETED, skip_locked=True)
    if purge_jobs([job.pk], now=now):
        audit.record("job.purged", job, actor=actor, now=now)
        wake_on_commit(PRUNING_TASK)
