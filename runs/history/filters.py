"""Which executions of a workspace somebody means: what lists and bulk operations narrow the history by."""

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
    """None means that a field narrows nothing.

    `environment_ids` are those asked for among those within the caller's reach. `since` is inclusive, `until` is not;
    both look at when an execution was due, else made. `search` is part of the error of a failed one, or of the URL that
    its job has now. `last_only` is the latest ended one of each job in each environment, of those that are left.
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
        """Whether jobs of the workspace are just being removed."""
        return Job.objects.of(self.workspace).purged().exists()

    @property
    def names_jobs(self) -> bool:
        return self.job_name is not None or self.tag is not None

    def jobs(self) -> JobQuerySet:
        """The jobs that are meant, deleted ones included, but for those that were purged."""
        jobs = Job.objects.of(self.workspace).kept()
        if self.job_id is not None:
            jobs = jobs.filter(pk=self.job_id)
        if self.job_name is not None:
            jobs = jobs.filter(name__icontains=self.job_name)
        return jobs if self.tag is None else jobs.filter(tags__contains=[self.tag])

    def jobs_called(self) -> JobQuerySet:
        """Those of them whose URL holds what is searched for."""
        return self.jobs().filter(url__icontains=self.search)

    def executions(self) -> ExecutionQuerySet:
        """All that is meant, `last_only` aside, as conditions on the whole history."""
        return self.of_jobs(self.searched(self.narrowed(Execution.objects.filter(workspace=self.workspace))))

    def narrowed(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        """By columns of executions only."""
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
        return rows.filter(failed | Q(job_id__in=self.jobs_called().values("id")))

    def in_sight(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        """Within the time, and not of purged jobs. One that is named is none: it was looked up."""
        if self.job_id is None:
            rows = rows.in_sight(self.workspace)
        if self.since is not None:
            rows = rows.filter(due_at__gte=self.since)
        return rows if self.until is None else rows.filter(due_at__lt=self.until)

    def of_jobs(self, rows: ExecutionQuerySet) -> ExecutionQuerySet:
        if self.names_jobs:
            return rows.filter(job_id__in=self.jobs().values("id"))
        return rows if self.job_id is None else rows.filter(job_id=self.job_id)
