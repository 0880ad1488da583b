"""Querysets of the executions and runs within a caller's reach."""

from api.accounts.access import Access
from jobs.models import Job
from runs.models import Execution, Run
from runs.querysets import ExecutionQuerySet, RunQuerySet


def reachable_executions(access: Access) -> ExecutionQuerySet:
    executions, bound = Execution.objects.of(access.workspace), access.environment_ids
    return executions if bound is None else executions.filter(environment_id__in=bound)


def reachable_runs(access: Access) -> RunQuerySet:
    runs, bound = Run.objects.of(access.workspace), access.environment_ids
    jobs = Job.objects.of(access.workspace)
    if jobs.purged().exists():
        # Read job by job: a scan of the workspace would step over the purged jobs' rows, possibly a million.
        runs = runs.filter(job_id__in=list(jobs.kept().values_list("pk", flat=True)))
    return runs if bound is None else runs.filter(environment_id__in=bound)
