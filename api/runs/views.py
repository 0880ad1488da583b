"""Routes of executions and runs: validate, call one verb, show what it made."""

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.accounts.access import Access
from api.base.pagination import Keyset
from api.base.views import DEFINITION_BYTES, ApiView
from api.jobs.actions import named_environment
from api.jobs.filters import find, reachable
from api.runs import rows
from api.runs.filters import ExecutionListQuery, RunListQuery, meant, meant_runs, past_job, reaches
from api.runs.orders import ByAttempt, order_of
from api.runs.serializers import (
    EmptySerializer,
    ExecutionSerializer,
    ListedExecutionSerializer,
    ListedRunSerializer,
    ReplaySerializer,
    RunNowSerializer,
    RunSerializer,
    edited_request,
)
from jobs.models import Job, JobEnvironment
from jobs.services.save import only_environment
from runs.errors import JobNotEnabledError
from runs.executions.services import SOURCE, cancel, configuration_of, replay, retry, run_now
from runs.models import Execution


class HistoryView(ApiView):
    """A view of executions or runs."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE

    def shown(self, execution_id: uuid.UUID, *, code: int = status.HTTP_200_OK) -> Response:
        """An execution with its runs. Raises NotFound for one out of reach."""
        execution = rows.whole_executions(rows.reachable_executions(self.access)).filter(pk=execution_id).first()
        if execution is None:
            raise NotFound(f"There is no execution {execution_id}.")
        shown = ExecutionSerializer(execution).data
        if code == status.HTTP_202_ACCEPTED:
            return self.made(shown, f"executions/{execution_id}", code=code)
        return Response(shown, status=code)

    def execution(self, execution_id: uuid.UUID) -> Execution:
        known = rows.reachable_executions(self.access).select_related(*SOURCE)
        execution = known.filter(pk=execution_id).first()
        if execution is None:
            raise NotFound(f"There is no execution {execution_id}.")
        return execution


def state_to_run(access: Access, job: Job, environment: str | None) -> JobEnvironment:
    """The job in the environment that a caller names, or in the only one within reach that it is enabled in.

    Raises NotFoundError, JobNotEnabledError and AmbiguousEnvironmentError.
    """
    if environment is None:
        allowed = None if access.environment_ids is None else access.environments()
        return only_environment(job, allowed=allowed)
    wanted = named_environment(access, environment)
    states = job.job_environments.select_related("job__current_version", "environment")
    state = states.filter(environment=wanted).first()
    if state is None:
        raise JobNotEnabledError(job.slug, environment)
    return state


class ExecutionList(HistoryView):
    query_class = ExecutionListQuery

    @extend_schema(
        operation_id="executions_list", summary="List executions", responses=ListedExecutionSerializer(many=True)
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return self.page(meant(self.query, self.access), ListedExecutionSerializer)

    def keyset(self) -> Keyset:
        return order_of(self.query)


class JobExecutionList(ExecutionList):
    @extend_schema(
        operation_id="jobs_executions_list",
        summary="List a job's executions",
        responses=ListedExecutionSerializer(many=True),
    )
    def get(self, request: Request, job: str) -> Response:  # type: ignore[override]  # noqa: ARG002
        found = past_job(self.access, job)
        if found is None or not reaches(self.access, found):
            raise NotFound(f"There is no job {job}.")
        return self.page(meant(self.query, self.access, job=found), ListedExecutionSerializer)


class ExecutionDetail(HistoryView):
    serializer_class = ExecutionSerializer

    @extend_schema(operation_id="executions_get", summary="Get an execution with its runs")
    def get(self, request: Request, execution: uuid.UUID) -> Response:  # noqa: ARG002
        return self.shown(execution)


class ExecutionCancel(HistoryView):
    @extend_schema(
        operation_id="executions_cancel",
        summary="Cancel an execution that has not ended",
        request=EmptySerializer,
        responses=ExecutionSerializer,
    )
    def post(self, request: Request, execution: uuid.UUID) -> Response:  # noqa: ARG002
        self.body(EmptySerializer)
        found = self.execution(execution)
        cancel(workspace=self.access.workspace, execution_id=found.pk, now=self.now, actor=self.access.actor)
        return self.shown(found.pk)


class ExecutionReplay(HistoryView):
    max_body_bytes = DEFINITION_BYTES
    needs_quota = frozenset({"POST"})

    @extend_schema(
        operation_id="executions_replay",
        summary="Replay an execution as a new one",
        request=ReplaySerializer,
        responses={202: ExecutionSerializer},
    )
    def post(self, request: Request, execution: uuid.UUID) -> Response:  # noqa: ARG002
        body = self.body(ReplaySerializer)
        found = self.execution(execution)
        original = body["config"] == "original"
        environment = named_environment(self.access, body["environment"]) if "environment" in body else None
        edited = None
        if "edit" in body:
            version = configuration_of(found, original=original)
            place = environment.pk if environment else found.environment_id
            edited = edited_request(version, body["edit"], self.access.workspace, place)
        made = replay(
            execution=found,
            now=self.now,
            original_config=original,
            environment=environment,
            input=body.get("input", ...),
            request=edited,
            actor=self.access.actor,
        )
        return self.shown(made.pk, code=status.HTTP_202_ACCEPTED)


class ExecutionRetry(HistoryView):
    needs_quota = frozenset({"POST"})

    @extend_schema(
        operation_id="executions_retry",
        summary="Retry a failed execution as a new one",
        request=EmptySerializer,
        responses={202: ExecutionSerializer},
    )
    def post(self, request: Request, execution: uuid.UUID) -> Response:  # noqa: ARG002
        self.body(EmptySerializer)
        made = retry(execution=self.execution(execution), now=self.now, actor=self.access.actor)
        return self.shown(made.pk, code=status.HTTP_202_ACCEPTED)


class JobRun(HistoryView):
    needs_quota = frozenset({"POST"})

    @extend_schema(
        operation_id="jobs_run",
        summary="Run a job now, or after a delay",
        request=RunNowSerializer,
        responses={202: ExecutionSerializer},
    )
    def post(self, request: Request, job: str) -> Response:  # noqa: ARG002
        body = self.body(RunNowSerializer)
        found = find(reachable(self.access), job)
        if found is None:
            raise NotFound(f"There is no job {job}.")
        state = state_to_run(self.access, found, body.get("environment"))
        made = run_now(
            job_environment=state,
            now=self.now,
            input=body["input"],
            delay_seconds=body["delay_seconds"],
            actor=self.access.actor,
        )
        return self.shown(made.pk, code=status.HTTP_202_ACCEPTED)


class RunList(HistoryView):
    query_class = RunListQuery

    @extend_schema(
        operation_id="runs_list", summary="List runs, newest first", responses=ListedRunSerializer(many=True)
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return self.page(meant_runs(self.query, self.access), ListedRunSerializer)

    def keyset(self) -> Keyset:
        return ByAttempt(("id",), descending=True)


class RunDetail(HistoryView):
    serializer_class = RunSerializer

    @extend_schema(operation_id="runs_get", summary="Get a run")
    def get(self, request: Request, run: uuid.UUID) -> Response:  # noqa: ARG002
        found = rows.whole_runs(rows.reachable_runs(self.access)).filter(pk=run).first()
        if found is None:
            raise NotFound(f"There is no run {run}.")
        return Response(RunSerializer(found).data)
