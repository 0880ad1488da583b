"""Removes what was purged: jobs that are gone for every reader, with all that is stored of them, batch by batch.

What a job's rows refer to goes after them: executions, then the job-environments, under a lock that everybody needs who
makes an execution there, then the versions, then the job.
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
    """Remove purged jobs. Returns whether none is left; the caller prunes alone."""
    tried: list[uuid.UUID] = []
    while not turn.is_over and (job_id := _next(tried)) is not None:
        tried.append(job_id)
        cancel_live(Execution.objects.filter(job=job_id), now=now, error=JOB_DELETED, skip_locked=True)
        if turn.batches(partial(_remove_executions, job_id)) and _remove_places(job_id):
            _remove_job(turn, job_id)
    return not Job.objects.purged().exists()


def _next(tried: list[uuid.UUID]) -> uuid.UUID | None:
    """The next one that this turn has not come to."""
    jobs = Job.objects.purged().exclude(pk__in=tried).order_by("workspace", "purged_at")
    found: uuid.UUID | None = jobs.values_list("pk", flat=True).first()
    return found


def _remove_executions(job_id: uuid.UUID, limit: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ENDED, [job_id, limit])
        ids = [row[0] for row in cursor.fetchall()]
        if ids:
            remove(cursor, ids)
    return len(ids)


def _remove_places(job_id: uuid.UUID) -> bool:
    """Where the job was, with its periods. False where somebody has just made one more execution, or holds one."""
    with transaction.atomic():
        places = JobEnvironment.objects.filter(job=job_id)
        ids = list(places.select_for_update().order_by("pk").values_list("pk", flat=True))
        if Execution.objects.filter(job=job_id).exists():
            return False
        SchedulePeriod.objects.filter(job_environment__in=ids)._raw_delete("default")
        forget_subjects(ids)
        places._raw_delete("default")
    return True


def _remove_job(turn: Turn, job_id: uuid.UUID) -> None:
    """Its versions, and when they are gone the job itself."""
    Job.objects.filter(pk=job_id).update(current_version=None)
    if turn.batches(partial(_remove_versions, job_id)):
        Job.objects.filter(pk=job_id).delete()
        log.info("purged_job_removed", job_id=str(job_id))


def _remove_versions(job_id: uuid.UUID, limit: int) -> int:
    ids = list(JobVersion.objects.filter(job=job_id).values_list("pk", flat=True)[:limit])
    return JobVersion.objects.filter(pk__in=ids)._raw_delete("default") if ids else 0
