"""The columns that `runs.history.representation` reads of executions and runs, in a fixed number of queries."""

from django.db.models import Case, JSONField, OuterRef, Prefetch, Subquery, When
from django.db.models.functions import JSONObject, Left

from jobs.models import JobVersion
from runs.history.representation import PREVIEW_BYTES
from runs.models import Callback, Run
from runs.querysets import ExecutionQuerySet, RunQuerySet

#: How many runs an execution is read with: those of a workflow that polls may be a thousand, with a body each.
MAX_RUNS = 100
_LONG_TEXTS = ("request_body", "response_body", "output", "error_output")
#: One character more than a preview shows, to know if it is cut. Longer texts stay in the database.
_CUT = PREVIEW_BYTES + 1
_JOB_COLUMNS = ("job__tags", "job__url")
_LAST_RUN = ("execution_id", "number", "response_status", "response_body_encoding")


def executions_for_list(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    """With the last run of each as `last_runs`, its body truncated."""
    return _with_last_run(executions).light()


def executions_for_callbacks(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    """With their input and output, and the last run of each as `last_runs`, with its body."""
    return _with_last_run(executions, "response_body")


def executions_with_runs(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    """With their kind, and the latest runs of each in full as `latest_runs`, the last one first."""
    runs = full_runs(Run.objects.annotate(response_body_cut=Left("response_body", _CUT)).order_by("-id"))
    latest = Prefetch("runs", queryset=runs[:MAX_RUNS], to_attr="latest_runs")
    return _with_job(executions).with_kind().prefetch_related(latest)


def _with_last_run(executions: ExecutionQuerySet, *columns: str) -> ExecutionQuerySet:
    last_runs = (
        Run.objects.only(*_LAST_RUN, *columns)
        .annotate(response_body_cut=Left("response_body", _CUT))
        .order_by("execution_id", "-id")
        .distinct("execution_id")
    )
    return _with_job(executions).prefetch_related(Prefetch("runs", queryset=last_runs, to_attr="last_runs"))


def _with_job(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    versions = JobVersion.objects.defer("config")
    return (
        executions.select_related("job__current_version", "environment")
        .defer("state", "job__current_version__config", *_JOB_COLUMNS)
        .prefetch_related(Prefetch("job_version", queryset=versions))
        .with_max_attempts()
        .annotate(callback_state=_callback_state())
    )


def _callback_state() -> Case:
    """The callback of an execution, which is looked up only where one may be due."""
    callbacks = Callback.objects.filter(execution=OuterRef("pk")).order_by()
    states = Subquery(callbacks.values(state=JSONObject(status="status", attempts="attempts"))[:1])
    return Case(When(callback_on__gt=0, then=states), output_field=JSONField())


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
