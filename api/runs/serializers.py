"""Executions, runs, and the bodies of requests for new executions."""

import uuid
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Scope, Workspace
from api.runs import examples
from api.runs.step_representation import represent_step, represent_wait
from api.runs.steps import ExecutionStepSerializer, WaitingSerializer
from core.validation.fields import Choice, Flag, Instant, Text, Whole
from core.validation.strict import StrictSerializer
from jobs.definition.calls import is_workflow
from jobs.definition.overrides import effective
from jobs.models import JobVersion
from jobs.services.limits import PlanLimitError
from jobs.validation.callback import CallbackUrl
from jobs.validation.limits import timeout_beyond_plan
from jobs.validation.sections import RequestSerializer, body_assertion_errors
from runs.errors import NotForWorkflowsError
from runs.executions.services import MAX_DELAY_SECONDS
from runs.failures import OCCURRING
from runs.history.representation import represent_execution, represent_execution_with_runs, represent_run
from runs.history.rows import MAX_RUNS
from runs.models import Run
from runs.states import (
    OCCURRING_RUN_STATUSES,
    OCCURRING_STATUSES,
    OCCURRING_TRIGGERS,
    CallbackStatus,
    ExecutionStatus,
    SkipReason,
)
from runs.workflows.carrying import FAILED, START
from runs.workflows.representation import steps_of, waits_of

_REASONS = [reason.value for reason in OCCURRING]
_JOB = "The job's current slug."
_ENVIRONMENT = "Slug of the environment."
_COMMANDS_ONLY = "Always null; reserved for commands."


class TimingsSerializer(serializers.Serializer):
    """The phases of a call in milliseconds; null for a phase that did not happen."""

    queue_ms = Whole(allow_null=True, help_text="From the due time of the attempt to the start of the call.")
    dns_ms = Whole(allow_null=True, help_text="Resolving the host name; 0 if it was cached.")
    connect_ms = Whole(allow_null=True, help_text="Connecting; null on a reused connection.")
    tls_ms = Whole(allow_null=True, help_text="TLS handshake; null for `http` and on a reused connection.")
    first_byte_ms = Whole(
        allow_null=True, help_text="From the start of the call to the first byte of the response; null: no response."
    )
    total_ms = Whole(allow_null=True, help_text="From the start of the call to its end.")


class SentRequestSerializer(serializers.Serializer):
    """The request as sent, with most header values redacted."""

    method = Text(help_text="The HTTP method.")
    url = Text(help_text="The URL after template expansion, with secrets redacted.")
    headers = serializers.DictField(
        child=Text(),
        help_text="Values by lower-case name. Values other than those of harmless headers are `[redacted]`.",
    )
    body = Text(
        allow_null=True,
        help_text="The body after template expansion, with secrets redacted; 2 KiB of it in lists. Null: no body.",
    )
    body_encoding = Choice(choices=("base64",), required=False, help_text="Present if the body is not UTF-8 text.")


class ReceivedResponseSerializer(serializers.Serializer):
    """The response as received."""

    status_code = Whole(help_text="The HTTP status.")
    headers = serializers.DictField(
        child=Text(),
        help_text="Values by lower-case name; repeated headers are joined with commas, `set-cookie` with line breaks.",
    )
    body = Text(
        allow_null=True,
        help_text="The first 64 KiB of the body, decompressed and decoded from its charset; 2 KiB in lists.",
    )
    body_truncated = Flag(help_text="Whether the body was longer than 64 KiB or incomplete.")
    body_bytes = Whole(allow_null=True, help_text="Length of the decompressed body; at most about 1 MiB is read.")
    body_note = Text(
        allow_null=True,
        help_text="Why the body is shown as received: its content coding or charset could not be decoded. Else null.",
    )
    http_version = Text(allow_null=True, help_text="`1.0`, `1.1` or `2`.")
    remote_ip = Text(allow_null=True, help_text="The IP address of the server.")
    body_encoding = Choice(choices=("base64",), required=False, help_text="Present if the body is not UTF-8 text.")


class RetryPositionSerializer(serializers.Serializer):
    """The position of a run among the retries."""

    of = serializers.UUIDField(allow_null=True, help_text="Id of the execution's first run.")
    attempt = Whole(help_text="1 for the first retry (the execution's attempt 2).")


@extend_schema_serializer(examples=examples.RUN)
class RunSerializer(serializers.Serializer):
    """One attempt of an execution, or of a workflow's step: one HTTP exchange."""

    id = serializers.UUIDField(help_text="Id of the run, a UUIDv7: sorts by creation time.")
    execution = serializers.UUIDField(help_text="Id of the execution.")
    job = Text(help_text=_JOB)
    job_version = Whole(help_text="Number of the job's version.")
    environment = Text(help_text=_ENVIRONMENT)
    step = Text(allow_null=True, help_text="Id of the workflow's step that was called; null for other jobs.")
    attempt = Whole(help_text="1 for the first attempt, 2 for the first retry; polls of a step count on.")
    trigger = Choice(
        choices=OCCURRING_TRIGGERS, help_text="The trigger of the execution; `retry` from the second attempt."
    )
    retry = RetryPositionSerializer(
        allow_null=True, help_text="Position among the retries; null for the first attempt."
    )
    status = Choice(
        choices=OCCURRING_RUN_STATUSES,
        help_text="The outcome of the attempt. Runs appear when they end; the execution may continue with another.",
    )
    failure_reason = Choice(
        choices=_REASONS, allow_null=True, help_text="Why the attempt failed; null unless `failed`."
    )
    error = Text(
        allow_null=True,
        help_text="An explanation, such as `HTTP 503`; for a canceled run, whether its request may have been received. "
        "Null if it succeeded.",
    )
    started_at = Instant(help_text="When the call started, by the database's clock.")
    finished_at = Instant(allow_null=True, help_text="When the call ended, was canceled, or was given up as lost.")
    duration_ms = Whole(allow_null=True, help_text="Milliseconds from `started_at` to `finished_at`.")
    timings = TimingsSerializer(
        help_text="Milliseconds; null for a phase that did not happen. All are null if the worker was lost."
    )
    request = SentRequestSerializer(
        help_text="The request as sent. If the worker was lost: the job's request with unexpanded templates."
    )
    response = ReceivedResponseSerializer(
        allow_null=True, help_text="The response as far as it was received; null without a status."
    )
    exit_code = Whole(allow_null=True, help_text=_COMMANDS_ONLY)
    output = Text(allow_null=True, help_text=_COMMANDS_ONLY)
    error_output = Text(allow_null=True, help_text=_COMMANDS_ONLY)
    worker = Text(allow_null=True, help_text="Name of the worker process.")

    def to_representation(self, instance: Run) -> dict[str, Any]:
        return represent_run(instance)


class ListedRunSerializer(RunSerializer):
    """A run in a list, with texts truncated to 2 KiB."""

    def to_representation(self, instance: Run) -> dict[str, Any]:
        return represent_run(instance, cut=True)


class FinalResponseSerializer(serializers.Serializer):
    """The response of an execution's last run."""

    status_code = Whole(help_text="The HTTP status.")
    body_preview = Text(allow_null=True, help_text="The first 2 KiB of the body.")
    body_encoding = Choice(choices=("base64",), required=False, help_text="Present if the body is not UTF-8 text.")


class CallbackStateSerializer(serializers.Serializer):
    """How far the callback of an execution is."""

    status = Choice(
        choices=CallbackStatus.choices,
        help_text="`pending`: to be sent, or sent again; `delivered`: answered with 2xx; `failed`: given up.",
    )
    attempts = Whole(help_text="Number of attempts made.")


class ExecutionListSerializer(serializers.ListSerializer[Any]):
    """Executions of a page, with what they wait for read at once."""

    def to_representation(self, data: Any) -> list[Any]:
        executions: list[Any] = list(data)
        waits = waits_of(executions, may_resume=_may_resume(self.context))
        return [
            represent_execution(
                execution,
                last_run=execution.last_runs[0] if execution.last_runs else None,
                waiting=represent_wait(waits.get(execution.pk)),
            )
            for execution in executions
        ]


def _may_resume(context: Mapping[str, Any]) -> bool:
    """Whether the caller sees URLs that resume steps. The live tail has none: its listeners share what they get."""
    access = context.get("access")
    return access is not None and Scope.EXECUTIONS_WRITE in access.scopes


class ListedExecutionSerializer(serializers.Serializer):
    """An execution in a list."""

    id = serializers.UUIDField(help_text="Id of the execution, a UUIDv7: sorts by creation time.")
    job = Text(help_text=_JOB)
    job_id = serializers.UUIDField(help_text="The job's id, which never changes.")
    job_name = Text(help_text="The job's current name.")
    job_version = Whole(help_text="Number of the job's version used by all attempts.")
    job_version_current = Whole(allow_null=True, help_text="Number of the job's current version.")
    environment = Text(help_text=_ENVIRONMENT)
    trigger = Choice(
        choices=OCCURRING_TRIGGERS,
        help_text="Why the execution was created. `retry` is a manual retry of a failed execution, not a further "
        "attempt.",
    )
    status = Choice(
        choices=OCCURRING_STATUSES,
        help_text="`pending` also between attempts; `waiting`: a workflow at a delay, poll, webhook or approval; "
        "`succeeded`, `failed`, `canceled` and `skipped` are final.",
    )
    skip_reason = Choice(
        choices=SkipReason.choices, allow_null=True, help_text="Why it was skipped; null unless `skipped`."
    )
    occurrences = Whole(
        help_text="Number of occurrences that it covers: more than 1 only for consecutive skipped ones."
    )
    scheduled_for = Instant(
        allow_null=True,
        help_text="The scheduled or delayed time; null if run immediately.",
    )
    scheduled_until = Instant(
        allow_null=True, help_text="The last occurrence, if a skipped execution covers several; else null."
    )
    created_at = Instant(help_text="When the execution was created.")
    started_at = Instant(allow_null=True, help_text="When its first attempt started; null before.")
    finished_at = Instant(allow_null=True, help_text="When `status` became final; null before.")
    next_attempt_at = Instant(
        allow_null=True,
        help_text="When the next attempt may start; null unless pending, and while another execution has to end first.",
    )
    pending_duration_ms = Whole(
        allow_null=True,
        help_text="Milliseconds from the due time or `created_at`, whichever is later, to `started_at`; null before.",
    )
    run_duration_ms = Whole(
        allow_null=True,
        help_text="Milliseconds from `started_at` to `finished_at`, including delays between attempts; null before.",
    )
    total_duration_ms = Whole(
        allow_null=True,
        help_text="Milliseconds from the due time or `created_at`, whichever is later, to `finished_at`; null before.",
    )
    lateness_ms = Whole(
        allow_null=True,
        help_text="Milliseconds from the due time (`scheduled_for` plus jitter) to `started_at`; null without either.",
    )
    attempts = Whole(help_text="Number of attempts started.")
    max_attempts = Whole(
        allow_null=True,
        help_text="Maximum number of attempts: `retry.max_attempts` of its version. Null for workflows, where each "
        "step has its own.",
    )
    failure_reason = Choice(
        choices=_REASONS, allow_null=True, help_text="Why the last attempt failed; null unless `failed`."
    )
    error = Text(
        allow_null=True,
        help_text="An explanation, such as `HTTP 503`; for a canceled execution why, or whether its request may have "
        "been received. Else null.",
    )
    replay_of = serializers.UUIDField(
        allow_null=True, help_text="Id of the replayed execution, which may be pruned; null if not a replay."
    )
    retry_of = serializers.UUIDField(
        allow_null=True, help_text="Id of the retried execution, if `trigger` is `retry`; else null."
    )
    final_response = FinalResponseSerializer(
        allow_null=True, help_text="The response of the last run; null without a response or a run."
    )
    exit_code = Whole(allow_null=True, help_text=_COMMANDS_ONLY)
    waiting = WaitingSerializer(allow_null=True, help_text="What it waits for; null unless `waiting`.")
    callback = CallbackStateSerializer(
        allow_null=True, help_text="The callback that reports it, since it has ended; null: none is due."
    )

    class Meta:
        list_serializer_class = ExecutionListSerializer


@extend_schema_serializer(examples=examples.EXECUTION)
class ExecutionSerializer(ListedExecutionSerializer):
    """An execution with its runs."""

    input = serializers.JSONField(allow_null=True, help_text="The input for `{{input...}}` in templates; null: none.")
    output = serializers.JSONField(
        allow_null=True, help_text="What a workflow resulted in; null before that, and for other jobs."
    )
    steps = ExecutionStepSerializer(many=True, help_text="The steps of a workflow in its order; empty for other jobs.")
    runs = RunSerializer(
        many=True,
        help_text=f"The attempts in full, in order; the latest {MAX_RUNS} of them. `GET /runs/` lists all.",
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        is_workflow = instance.kind == "workflow"
        steps = steps_of(instance, may_resume=_may_resume(self.context)) if is_workflow else []
        is_waiting = instance.status == ExecutionStatus.WAITING
        wait = next((step.wait for step in steps if step.wait is not None), None) if is_waiting else None
        return represent_execution_with_runs(
            instance, waiting=represent_wait(wait), steps=[represent_step(step) for step in steps]
        )


@extend_schema_serializer(examples=examples.RUN_NOW)
class RunNowSerializer(StrictSerializer):
    environment = Text(
        required=False, help_text="The environment's slug. May be omitted if the job is enabled in exactly one."
    )
    input = serializers.JSONField(
        required=False, allow_null=True, default=None, help_text="Any JSON, available to templates as `{{input...}}`."
    )
    delay_seconds = Whole(
        default=0, min_value=0, max_value=MAX_DELAY_SECONDS, help_text="Delay in seconds; 0: run immediately."
    )
    callback_url = CallbackUrl(
        required=False,
        allow_null=True,
        default=None,
        help_text="Where the callback of this execution goes instead; null: as in the job. Without a callback in the "
        "job, it is sent unless the execution is skipped.",
    )


@extend_schema_serializer(examples=examples.RETRY)
class RetryFromSerializer(StrictSerializer):
    """Where a retry starts; `from` is a word of Python."""

    def get_fields(self) -> dict[str, Any]:
        help_text = (
            f"`{START}`, `{FAILED}` or the id of a step of a workflow, whose earlier results are carried over. "
            "Default for a workflow: the step that failed."
        )
        return {**super().get_fields(), "from": Text(required=False, max_length=40, help_text=help_text)}


@extend_schema_field(RequestSerializer(partial=True))
class RequestEdit(serializers.DictField):
    """Fields of a request, validated by `edited_request` together with the stored ones."""


@extend_schema_serializer(examples=examples.REPLAY)
class ReplaySerializer(StrictSerializer):
    environment = Text(
        required=False,
        help_text="Slug of an environment in which the job is enabled. Default: that of the replayed execution.",
    )
    config = Choice(
        choices=("current", "original"),
        default="current",
        help_text="Use the job's current configuration, or that of the replayed execution.",
    )
    input = serializers.JSONField(
        required=False, allow_null=True, help_text="Any JSON. Default: the input of the replayed execution."
    )
    edit = RequestEdit(required=False, help_text="Changes of the request, for this execution only.")


def edited_request(
    version: JobVersion, edit: dict[str, Any], workspace: Workspace, environment_id: uuid.UUID
) -> dict[str, Any]:
    """A version's request in an environment with changed fields, validated as in a job.

    Raises ValidationError, and NotForWorkflowsError for a workflow.
    """
    if is_workflow(version.config):
        raise NotForWorkflowsError(version.job.slug, "change the job, or replay it without edit")
    definition = effective(version.config, str(environment_id))
    before = definition["request"]
    request = RequestSerializer(data={**before, **edit}, context={"workspace": workspace})
    if not request.is_valid():
        raise ValidationError({"edit": request.errors})
    if body_assertion_errors(request.validated_data, definition["success"]):
        detail = "The response to a HEAD request has no body, but the job has assertions on the body."
        raise ValidationError({"edit": {"method": [ErrorDetail(detail, code="conflicting")]}})
    if problem := timeout_beyond_plan(request.validated_data, workspace.plan, before=before):
        raise ValidationError({"edit": {"timeout_seconds": [ErrorDetail(problem, code=PlanLimitError.code)]}})
    return request.validated_data
