"""Querysets of executions and runs: the columns that are shown, in a fixed number of queries."""

from django.db.models import OuterRef, Prefetch, Subquery
from django.db.models.functions import Left

from api.accounts.access import Access
from api.runs.representation import PREVIEW_BYTES
from jobs.models import Job, JobVersion
from runs.models import Execution, Run
from runs.querysets import ExecutionQuerySet, RunQuerySet

_LONG_TEXTS = ("request_body", "response_body", "output", "error_output")
#: One character more than a preview shows, to know if it is cut. Longer texts stay in the database.
_CUT = PREVIEW_BYTES + 1
_JOB_COLUMNS = ("job__tags", "job__url")


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


def executions_for_list(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    """With the last run of each as `last_runs`, its body truncated."""
    last_runs = (
        Run.objects.only("execution_id", "number", "response_status", "response_body_encoding")
        .annotate(response_body_cut=Left("response_body", _CUT))
        .order_by("execution_id", "-number")
        .distinct("execution_id")
    )
    return _with_job(executions).light().prefetch_related(Prefetch("runs", queryset=last_runs, to_attr="last_runs"))


def executions_with_runs(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    """With every run in full, in the order of attempts."""
    runs = full_runs(Run.objects.annotate(response_body_cut=Left("response_body", _CUT)).order_by("number"))
    return _with_job(executions).prefetch_related(Prefetch("runs", queryset=runs))


def _with_job(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    versions = JobVersion.objects.defer("config")
    return (
        executions.select_related("job__current_version", "environment")
        .defer("state", "job__current_version__config", *_JOB_COLUMNS)
        .prefetch_related(Prefetch("job_version", queryset=versions))
        .with_max_attempts()
    )


def full_runs(runs: RunQuerySet) -> RunQuerySet:
    first = Run.objects.filter(execution=OuterRef("execution"), step=OuterRef("step"), number=1).values("pk")
    return (
        runs.select_related("job", "environment", "job_version")
        .defer("job_version__config", *_JOB_COLUMNS)
        .annotate(first_run_id=Subquery(first))
    )


def runs_for_list(runs: RunQuerySet) -> RunQuerySet:
    """With their long texts truncated, as `..._cut`."""
    cuts = {f"{column}_cut": Left(column, _CUT) for column in _LONG_TEXTS}
    return full_runs(runs).defer("job_version__config", *_JOB_COLUMNS, *_LONG_TEXTS).annotate(**cuts)
