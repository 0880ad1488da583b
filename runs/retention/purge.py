"""Removes purged jobs with all that is stored of them, batch by batch; readers don't see them any more.

A job's rows go after those that refer to them: executions first, then the job-environments, under a lock that every
transaction needs to create an execution there, then the versions, then the job.
"""

import datetime
import uuid
from functools import partial

import structlog
from django.db import connection, transaction

from jobs.models import Job, JobEnvironment, JobVersion, SchedulePeriod
from runs.executions.cancel import cancel_live
from runs.executions.delete import JOB_DELETED
from runs.models import Execution
from runs.retention.prune import Turn, remove
from runs.stats.rollups import forget_subjects

log = structlog.get_logger(__name__)

_ENDED = """
    SELECT id FROM runs_execution WHERE job_id = %s AND facet IS NOT NULL ORDER BY due_at DESC, id DESC LIMIT %s
       FOR UPDATE SKIP LOCKED
"""


def remove_purged(turn: Turn, now: datetime.datetime) -> bool:
    """Remove purged jobs. Returns whether none is left. The caller holds the pruning lock."""
    tried: list[uuid.UUID] = []
    while not turn.is_over and (job_id := _next(tried)) is not None:
        tried.append(job_id)
        cancel_live(Execution.objects.filter(job=job_id), now=now, error=JOB_DELETED, skip_locked=True)
        if turn.batches(partial(_remove_executions, job_id)) and _remove_job_environments(job_id):
            _remove_job(turn, job_id)
    return not Job.objects.purged().exists()


def _next(tried: list[uuid.UUID]) -> uuid.UUID | None:
    """The next purged job that this turn has not tried."""
    jobs = Job.objects.purged().exclude(pk__in=tried).order_by("workspace", "purged_at")
    job_id: uuid.UUID | None = jobs.values_list("pk", flat=True).first()
    return job_id


def _remove_executions(job_id: uuid.UUID, limit: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ENDED, [job_id, limit])
        ids = [row[0] for row in cursor.fetchall()]
        if ids:
            remove(cursor, ids)
    return len(ids)


def _remove_job_environments(job_id: uuid.UUID) -> bool:
    """Remove job-environments with their periods. False if an execution was created just now, or is locked."""
    with transaction.atomic():
        rows = JobEnvironment.objects.filter(job=job_id)
        ids = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
        if Execution.objects.filter(job=job_id).exists():
            return False
        SchedulePeriod.objects.filter(job_environment__in=ids)._raw_delete("default")
        forget_subjects(ids)
        rows._raw_delete("default")
    return True


def _remove_job(turn: Turn, job_id: uuid.UUID) -> None:
    """Remove the versions, and once they are gone the job."""
    Job.objects.filter(pk=job_id).update(current_version=None)
    if turn.batches(partial(_remove_versions, job_id)):
        Job.objects.filter(pk=job_id).delete()
        log.info("purged_job_removed", job_id=str(job_id))


def _remove_versions(job_id: uuid.UUID, limit: int) -> int:
    ids = list(JobVersion.objects.filter(job=job_id).values_list("pk", flat=True)[:limit])
    return JobVersion.objects.filter(pk__in=ids)._raw_delete("default") if ids else 0
