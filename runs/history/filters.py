"""The filter of executions: what lists, bulk operations and the live tail narrow the history by."""

import datetime
import uuid
from dataclasses import dataclass

from django.db.models import Q

from accounts.models import Workspace
from jobs.models import Job
from jobs.querysets import JobQuerySet
from runs.models import Execution
from runs.querysets import ExecutionQuerySet


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Conditions on executions of a workspace; a field that is None narrows nothing.

    `environment_ids` are requested ones within the caller's reach. `since` is inclusive, `until` is not; both compare
    when an execution was due, or else created. `search` is a part of a failed one's error, or of its job's current URL.
    `last_only` leaves the latest ended one of each job in each environment, of those that match.
    """

    workspace: Workspace
    environment_ids: tuple[uuid.UUID, ...] | None = None
    statuses: tuple[str, ...] | None = None
    triggers: tuple[str, ...] | None = None
    failure_reason: str | None = None
    job_id: uuid.UUID | None = None
    job_name: str | None = None
    tag: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    search: str | None = None
    last_only: bool = False

    def hides_jobs(self) -> bool:
        """Whether purged jobs of the workspace are still being removed."""
        return Job.objects.of(self.workspace).purged().exists()

    @property
    def names_jobs(self) -> bool:
        return self.job_name is not None or self.tag is not None

    def jobs(self) -> JobQuerySet:
        """The matching jobs, including deleted ones but not purged ones."""
        jobs = Job.objects.of(self.workspace).kept()
        if self.job_id is not None:
            jobs = jobs.filter(pk=self.job_id)
        if self.job_name is not None:
            jobs = jobs.filter(name__icontains=self.job_name)
        return jobs if self.tag is None else jobs.filter(tags__contains=[self.tag])

    def jobs_by_url(self) -> JobQuerySet:
        """Those of them whose URL contains the searched text."""
        return self.jobs().filter(url__icontains=self.search)

    def executions(self) -> ExecutionQuerySet:
        """All matching executions, ignoring `last_only`, as conditions on the whole history."""
        return self.of_jobs(self.searched(self.narrowed(Execution.objects.filter(workspace=self.workspace))))

    def narrowed(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        """Apply the conditions on columns of executions."""
        if self.environment_ids is not None:
            rows = rows.filter(environment_id__in=self.environment_ids)
        if self.statuses is not None:
            rows = rows.filter(status__in=self.statuses)
        if self.triggers is not None:
            rows = rows.filter(trigger__in=self.triggers)
        if self.failure_reason is not None:
            rows = rows.filter(failure_reason=self.failure_reason)
        return self.in_sight(rows)

    def searched(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        if self.search is None:
            return rows
        failed = Q(error__icontains=self.search) & ~Q(failure_reason="")
        return rows.filter(failed | Q(job_id__in=self.jobs_by_url().values("id")))

    def in_sight(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        """Within the time, and not of purged jobs. A job that was looked up by id is not purged."""
        if self.job_id is None:
            rows = rows.in_sight(self.workspace)
        if self.since is not None:
            rows = rows.filter(due_at__gte=self.since)
        return rows if self.until is None else rows.filter(due_at__lt=self.until)

    def of_jobs(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        if self.names_jobs:
            return rows.filter(job_id__in=self.jobs().values("id"))
        return rows if self.job_id is None else rows.filter(job_id=self.job_id)
