"""Jobs that go with all that is stored of them: out of every reader's sight at once, removed by the workers."""

import datetime
import uuid
from collections.abc import Collection

from jobs.models import Job, SchedulePeriod


def purge_jobs(job_ids: Collection[uuid.UUID], *, now: datetime.datetime) -> int:
    """Mark deleted jobs as purged, in the caller's transaction. Returns how many were not so before.

    The clock has nothing more to account for: nobody will ask their ledgers.
    """
    SchedulePeriod.objects.filter(unsettled_from__isnull=False, job_environment__job__in=job_ids).update(
        unsettled_from=None
    )
    return Job.objects.kept().filter(pk__in=job_ids, deleted_at__isnull=False).update(purged_at=now)
