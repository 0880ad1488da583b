"""Routes of executions and runs."""

import re
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.accounts.access import Access
from api.base.views import ApiViewSet, EmptySerializer
from api.jobs.lookups import environment_named, live_job, past_job_within_reach
from api.runs.approvals import DecideSerializer
from api.runs.filters import ExecutionListQuery, RunListQuery, history_filter, run_filter
from api.runs.ordering import RunKeyset, keyset_of
from api.runs.querysets import reachable_executions, reachable_runs
from api.runs.serializers import (
    ExecutionSerializer,
    ListedExecutionSerializer,
    ListedRunSerializer,
    ReplaySerializer,
    RetryFromSerializer,
    RunNowSerializer,
    RunSerializer,
    edited_request,
)
from jobs.models import Job, JobEnvironment
from jobs.services.save import only_environment
from runs.errors import JobNotEnabledError
from runs.executions.services import SOURCE, cancel, configuration_of, replay, retry, run_now
from runs.history.rows import executions_with_runs, full_runs
from runs.models import Execution
from runs.states import MAX_DEPTH
from runs.workflows.approvals import ApprovalChoice, decide

_DEPTH = "X-Hourhand-Depth"
DEPTH_HEADER = OpenApiParameter(
    _DEPTH,
    int,
    OpenApiParameter.HEADER,
    description="How many callbacks and webhooks called each other before this request, as in the callback that leads "
    f"to it. The callback of an execution that is {MAX_DEPTH} deep is not sent.",
)


@extend_schema_view(
    list=extend_schema(
        operation_id="executions_list", summary="List executions", responses=ListedExecutionSerializer(many=True)
    ),
    retrieve=extend_schema(operation_id="executions_get", summary="Get an execution with its runs"),
)
class ExecutionViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """The executions within reach."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    query_classes = {"list": ExecutionListQuery}
    serializer_class = ExecutionSerializer
    list_serializer_class = ListedExecutionSerializer
    lookup_url_kwarg = "execution"
    noun = "execution"
    needs_quota = frozenset({"replay", "retry", "run"})

    def get_queryset(self) -> Any:
        """For a list a filter, which its `keyset` turns into rows; else executions with what the action reads."""
        if self.action == "list":
            self.keyset = keyset_of(self.query)
            return history_filter(self.query, self.access)
        executions = reachable_executions(self.access)
        if self.action == "retrieve":
            return executions_with_runs(executions)
        return executions.select_related(*SOURCE)

    @extend_schema(
        operation_id="executions_cancel",
        summary="Cancel an execution",
        description="No further attempt starts; a request in flight is aborted, but may have been received. 409 if it "
        "has ended.",
        request=EmptySerializer,
        responses=ExecutionSerializer,
    )
    def cancel(self, request: Request, **_path: Any) -> Response:
        self.read_body(request, EmptySerializer)
        execution: Execution = self.get_object()
        cancel(workspace=self.access.workspace, execution_id=execution.pk, now=self.now, actor=self.access.actor)
        return Response(self._whole(execution))

    @extend_schema(
        operation_id="executions_replay",
        summary="Replay an execution as a new one",
        description="With the current or the original configuration of the job, in the same or another environment.",
        request=ReplaySerializer,
        responses={202: ExecutionSerializer},
    )
    def replay(self, request: Request, **_path: Any) -> Response:
        body = self.read_body(request, ReplaySerializer)
        execution: Execution = self.get_object()
        original = body["config"] == "original"
        environment = environment_named(self.access, body["environment"]) if "environment" in body else None
        edited = None
        if "edit" in body:
            version = configuration_of(execution, original=original)
            environment_id = environment.pk if environment else execution.environment_id
            edited = edited_request(version, body["edit"], self.access.workspace, environment_id)
        replayed = replay(
            execution=execution,
            now=self.now,
            original_config=original,
            environment=environment,
            input=body.get("input", ...),
            request=edited,
            actor=self.access.actor,
        )
        return self._accepted(replayed)

    @extend_schema(
        operation_id="executions_retry",
        summary="Retry a failed execution as a new one",
        description="With the same configuration and input. A workflow goes on at `from`; the results of earlier steps "
        "are carried over. 409 if the execution did not fail, or did not get to that step.",
        request=RetryFromSerializer,
        responses={202: ExecutionSerializer},
    )
    def retry(self, request: Request, **_path: Any) -> Response:
        from_step = self.read_body(request, RetryFromSerializer).get("from")
        execution: Execution = self.get_object()
        retried = retry(execution=execution, now=self.now, from_step=from_step, actor=self.access.actor)
        return self._accepted(retried)

    @extend_schema(
        operation_id="executions_approve",
        summary="Approve what an execution waits for",
        description="The workflow goes on with the last approval that its step requires. 409 unless the execution "
        "waits for an approval, 403 for callers who may not decide.",
        request=DecideSerializer,
        responses=ExecutionSerializer,
    )
    def approve(self, request: Request, **_path: Any) -> Response:
        return self._decide(request, approves=True)

    @extend_schema(
        operation_id="executions_reject",
        summary="Reject what an execution waits for",
        description="One rejection fails the step, with the reason `rejected`. 409 and 403 as for approvals.",
        request=DecideSerializer,
        responses=ExecutionSerializer,
    )
    def reject(self, request: Request, **_path: Any) -> Response:
        return self._decide(request, approves=False)

    def _decide(self, request: Request, *, approves: bool) -> Response:
        body = self.read_body(request, DecideSerializer)
        execution: Execution = self.get_object()
        decide(
            workspace=self.access.workspace,
            execution_id=execution.pk,
            step=body.get("step"),
            choice=ApprovalChoice(approves=approves, note=body["note"], form=body["form"]),
            actor=self.access.actor,
            now=self.now,
        )
        return Response(self._whole(execution))

    @extend_schema(
        operation_id="jobs_run",
        summary="Run a job now, or after a delay",
        parameters=[DEPTH_HEADER],
        request=RunNowSerializer,
        responses={202: ExecutionSerializer},
    )
    def run(self, request: Request, job: str) -> Response:
        body = self.read_body(request, RunNowSerializer)
        execution = run_now(
            job_environment=job_environment_to_run(self.access, live_job(self.access, job), body.get("environment")),
            now=self.now,
            input=body["input"],
            delay_seconds=body["delay_seconds"],
            callback_url=body["callback_url"],
            depth=depth_of(request),
            actor=self.access.actor,
        )
        return self._accepted(execution)

    def _whole(self, execution: Execution) -> dict[str, Any]:
        executions = executions_with_runs(reachable_executions(self.access))
        row = get_object_or_404(executions, pk=execution.pk)
        return ExecutionSerializer(row, context=self.get_serializer_context()).data

    def _accepted(self, execution: Execution) -> Response:
        headers = self.location(f"executions/{execution.pk}")
        return Response(self._whole(execution), status=status.HTTP_202_ACCEPTED, headers=headers)


@extend_schema_view(
    list=extend_schema(
        operation_id="jobs_executions_list",
        summary="List a job's executions",
        responses=ListedExecutionSerializer(many=True),
    )
)
class JobExecutionViewSet(ExecutionViewSet):
    """The executions of one job."""

    def get_queryset(self) -> Any:
        self.keyset = keyset_of(self.query)
        return history_filter(self.query, self.access, job=past_job_within_reach(self.access, self.kwargs["job"]))


@extend_schema_view(
    list=extend_schema(
        operation_id="runs_list", summary="List runs, newest first", responses=ListedRunSerializer(many=True)
    ),
    retrieve=extend_schema(operation_id="runs_get", summary="Get a run"),
)
class RunViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """The runs within reach."""

    read_scope: str = Scope.EXECUTIONS_READ
    query_classes = {"list": RunListQuery}
    serializer_class = RunSerializer
    list_serializer_class = ListedRunSerializer
    lookup_url_kwarg = "run"
    noun = "run"
    keyset = RunKeyset(("id",), descending=True)

    def get_queryset(self) -> Any:
        """For a list the filter that its `keyset` turns into querysets."""
        if self.action == "list":
            return run_filter(self.query, self.access)
        return full_runs(reachable_runs(self.access))


def depth_of(request: Request) -> int:
    """How many callbacks and webhooks called each other before this request. Raises ValidationError."""
    given = request.headers.get(_DEPTH, "0")
    if not re.fullmatch(r"[0-9]{1,4}", given):
        raise ValidationError({_DEPTH: [ErrorDetail("Should be a whole number from 0 to 9999.", code="invalid")]})
    return int(given)


def job_environment_to_run(access: Access, job: Job, environment: str | None) -> JobEnvironment:
    """The job in this environment, or in the only one within reach in which it is enabled.

    Raises NotFoundError, JobNotEnabledError and AmbiguousEnvironmentError.
    """
    if environment is None:
        allowed = None if access.environment_ids is None else access.environments()
        return only_environment(job, allowed=allowed)
    job_environments = job.job_environments.select_related("job__current_version", "environment")
    job_environment = job_environments.filter(environment=environment_named(access, environment)).first()
    if job_environment is None:
        raise JobNotEnabledError(job.slug, environment)
    return job_environment
