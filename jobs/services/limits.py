"""The plan's limit of active jobs. A job is active while it is enabled anywhere, paused or not: a pause may expire."""

from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef

from accounts.models import Workspace
from core.errors import HourhandError
from jobs.models import Job, JobEnvironment

_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended('active jobs of ' || %s, 0))"


class PlanLimitError(HourhandError):
    """The workspace's plan does not allow this."""

    code = "plan_limit"


class TooManyActiveJobsError(PlanLimitError):
    def __init__(self, limit: int) -> None:
        jobs = "1 active job" if limit == 1 else f"{limit:,} active jobs"
        super().__init__(
            f"The workspace's plan allows {jobs}. Disable or delete others first; a paused job is still active.",
            field="environments",
        )


def active_jobs(workspace: Workspace) -> int:
    """Count the active jobs."""
    return int(Job.objects.of(workspace).live().filter(Exists(enabled_rows())).count())


def enabled_rows() -> Any:
    """Return the rows in which the job of an outer query is enabled."""
    return JobEnvironment.objects.filter(job=OuterRef("pk"), enabled=True)


def active_jobs_limit(workspace: Workspace) -> int | None:
    """Return the most active jobs that the plan allows; None: no limit."""
    return workspace.plan.max_active_jobs if workspace.plan else None


def hold_active_jobs(workspace: Workspace) -> None:
    """Block other transactions from activating jobs of a limited workspace until the caller's transaction ends.

    Lock order: after the locks of existing jobs, before all others that saving a job takes.
    """
    if active_jobs_limit(workspace) is not None:
        with connection.cursor() as cursor:
            cursor.execute(_HOLD, [str(workspace.pk)])


def refuse_too_many_active(workspace: Workspace) -> None:
    """Raises TooManyActiveJobsError. The caller holds the lock and has activated another job."""
    limit = active_jobs_limit(workspace)
    if limit is not None and active_jobs(workspace) > limit:
        raise TooManyActiveJobsError(limit)
