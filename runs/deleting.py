"""What becomes of a job's executions when it is deleted: what has not ended is canceled, and the rest can be purged.

Executions are locked before their job, and that before its environments: the order that all others keep.
"""

import datetime

from django.db import connection, transaction

from accounts.actors import SYSTEM, Actor
from jobs.audit import record_purged
from jobs.models import Job
from jobs.services import delete_job
from runs import tallies
from runs.digests import forget_subjects
from runs.models import Execution, Run
from runs.queue import abort_on_commit
from runs.reaping import cancel_running
from runs.states import ExecutionStatus
from scheduler_project import USER_AGENT

JOB_DELETED = "Canceled: the job was deleted."
_BATCH = 1000


@transaction.atomic
def delete_with_executions(*, job: Job, actor: Actor = SYSTEM, now: datetime.datetime) -> None:
    """Delete a job softly, and cancel what has not ended of it. A request in flight is aborted; it may have arrived."""
    _cancel_live(job, now=now, waits=True)
    delete_job(job=job, actor=actor, now=now)
    # What fired before the job was locked. Whoever holds one of these now has just claimed it.
    _cancel_live(job, now=now, waits=False)


def purge(*, job: Job, actor: Actor = SYSTEM, now: datetime.datetime) -> int:
    """Remove a job with its versions and its whole history, in batches. Returns how many executions it had.

    It is deleted first, so that nothing new is made meanwhile. A purge that was cut short can be asked for again: the
    audit log tells of it when nothing is left.
    """
    delete_with_executions(job=job, actor=actor, now=now)
    removed = 0
    while ids := list(Execution.objects.filter(job=job).values_list("pk", flat=True)[:_BATCH]):
        with transaction.atomic():
            Run.objects.filter(execution__in=ids)._raw_delete("default")
            Execution.objects.filter(pk__in=ids)._raw_delete("default")
        removed += len(ids)
    with transaction.atomic():
        forget_subjects(job.job_environments.values_list("pk", flat=True))
        _, gone = Job.objects.filter(pk=job.pk).delete()
        if gone.get("jobs.Job"):
            record_purged(job, executions=removed, actor=actor, now=now)
    return removed


def _cancel_live(job: Job, *, now: datetime.datetime, waits: bool) -> None:
    live = Execution.objects.filter(job=job, finished_at__isnull=True).order_by("pk")
    found = dict(live.select_for_update(no_key=True, skip_locked=not waits).values_list("pk", "status"))
    running = [key for key, status in found.items() if status == ExecutionStatus.RUNNING]
    idle = found.keys() - set(running)
    canceled = Execution.objects.filter(pk__in=idle).update(
        status=ExecutionStatus.CANCELED, finished_at=now, next_attempt_at=None, queued=False, error=JOB_DELETED
    )
    with connection.cursor() as cursor:
        tallies.add(cursor, tallies.of_canceled(canceled))
    if running:
        cancel_running(running, user_agent=USER_AGENT)
    for key in running:
        abort_on_commit(key)
