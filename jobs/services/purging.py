"""Purge jobs with their history: hidden from every reader at once, then removed by the workers."""

import datetime
import uuid
from collections.abc import Collection

from jobs.models import Job, SchedulePeriod


def purge_jobs(job_ids: Collection[uuid.UUID], *, now: datetime.datetime) -> int:
    """Mark deleted jobs as purged, in the caller's transaction. Returns how many were not yet.

    Their closed periods need no settling any more: nobody can read their ledgers.
    """
    SchedulePeriod.objects.filter(unsettled_from__isnull=False, job_environment__job__in=job_ids).update(
        unsettled_from=None
    )
    return Job.objects.kept().filter(pk__in=job_ids, deleted_at__isnull=False).update(purged_at=now)
