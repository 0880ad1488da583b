"""Executions and runs on the wire, and the bodies that ask for new executions."""

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Workspace
from api.runs import examples
from api.runs.representation import represent_execution, represent_execution_with_runs, represent_run
from core.validation.fields import Choice, Flag, Instant, Text, Whole
from core.validation.strict import StrictSerializer
from jobs.definition.overrides import effective
from jobs.models import JobVersion
from jobs.services.limits import PlanLimitError
from jobs.validation.limits import timeout_beyond_plan
from jobs.validation.sections import RequestSerializer, body_assertion_errors
from runs.executions.services import MAX_DELAY_SECONDS
from runs.failures import OCCURRING
from runs.models import Execution, Run
from runs.states import OCCURRING_RUN_STATUSES, OCCURRING_STATUSES, OCCURRING_TRIGGERS, SkipReason

_REASONS = [reason.value for reason in OCCURRING]
_JOB = "The job's slug, as it is now."
_ENVIRONMENT = "Slug of the environment that it runs in."
_COMMANDS_ONLY = "Null so far: of commands."


class TimingsSerializer(serializers.Serializer):
    """Milliseconds; null for a phase that did not happen."""

    queue_ms = Whole(allow_null=True, help_text="From when the attempt was due to when the call began.")
    dns_ms = Whole(allow_null=True, help_text="Resolving the host's name; 0 where its addresses were known.")
    connect_ms = Whole(allow_null=True, help_text="Connecting; null on a connection that was kept from before.")
    tls_ms = Whole(allow_null=True, help_text="The TLS handshake; null for `http`, and on a kept connection.")
    first_byte_ms = Whole(
        allow_null=True, help_text="From the call's beginning to the answer's first byte; null: none came."
    )
    total_ms = Whole(allow_null=True, help_text="From the call's beginning to its end.")


class SentRequestSerializer(serializers.Serializer):
    """What was sent; header values redacted but for harmless ones."""

    method = Text(help_text="The HTTP method that was used.")
    url = Text(help_text="With its variables filled in, and values of secrets redacted.")
    headers = serializers.DictField(
        child=Text(), help_text="By name, in lower case. All but harmless values read `[redacted]`."
    )
    body = Text(
        allow_null=True,
        help_text="As the URL: filled in, and redacted. Lists show its first 2 KiB. Null: there was none.",
    )
    body_encoding = Choice(choices=("base64",), required=False, help_text="Only where the body is no UTF-8 text.")


class ReceivedResponseSerializer(serializers.Serializer):
    """What came back."""

    status_code = Whole(help_text="The HTTP status.")
    headers = serializers.DictField(
        child=Text(),
        help_text="By name, in lower case; a repeated one is joined with a comma, `set-cookie` with a line break.",
    )
    body = Text(
        allow_null=True,
        help_text="Its first 64 KiB, decompressed, as text from the charset that it declares; lists show 2 KiB.",
    )
    body_truncated = Flag(help_text="Whether more than 64 KiB of body came, or it broke off.")
    body_bytes = Whole(
        allow_null=True, help_text="How long the whole body is, decompressed; no more than about 1 MiB is read."
    )
    body_note = Text(
        allow_null=True,
        help_text="A sentence where the body is shown as it came, since its content coding could not be undone or its "
        "charset not be read; else null.",
    )
    http_version = Text(allow_null=True, help_text="`1.0`, `1.1` or `2`, as the answer says.")
    remote_ip = Text(allow_null=True, help_text="The address that was connected to.")
    body_encoding = Choice(choices=("base64",), required=False, help_text="Only where the body is no UTF-8 text.")


class RetryPositionSerializer(serializers.Serializer):
    """Which retry a run is."""

    of = serializers.UUIDField(allow_null=True, help_text="Id of the execution's first run.")
    attempt = Whole(help_text="1 for the first retry, which is the run's `attempt` 2.")


@extend_schema_serializer(examples=examples.RUN)
class RunSerializer(serializers.Serializer):
    """One attempt inside an execution: exactly one HTTP exchange."""

    id = serializers.UUIDField(help_text="Of this run, a UUIDv7: sorts by when it was made.")
    execution = serializers.UUIDField(help_text="Id of the execution that it is an attempt of.")
    job = Text(help_text=_JOB)
    job_version = Whole(help_text="Number of the job's version that it follows.")
    environment = Text(help_text=_ENVIRONMENT)
    step = Text(allow_null=True, help_text="Null so far: of workflows.")
    attempt = Whole(help_text="1 for the execution's first run, 2 for its first retry.")
    trigger = Choice(choices=OCCURRING_TRIGGERS, help_text="That of its execution; `retry` from the second attempt on.")
    retry = RetryPositionSerializer(allow_null=True, help_text="Which retry it is; null for the first attempt.")
    status = Choice(
        choices=OCCURRING_RUN_STATUSES,
        help_text="How this attempt ended; the execution may go on with another. It is shown once it has ended.",
    )
    failure_reason = Choice(choices=_REASONS, allow_null=True, help_text="Why this attempt failed; null unless it did.")
    error = Text(
        allow_null=True,
        help_text="The reason for people, as `HTTP 503`; of a canceled one, whether its request may have "
        "arrived; null where it succeeded.",
    )
    started_at = Instant(help_text="When the call began, by the database's clock.")
    finished_at = Instant(allow_null=True, help_text="When the call ended, or was canceled or given up as lost.")
    duration_ms = Whole(allow_null=True, help_text="Milliseconds from `started_at` to `finished_at`.")
    timings = TimingsSerializer(
        help_text="Milliseconds; null for a phase that did not happen, and all of them where the worker could not "
        "tell any more."
    )
    request = SentRequestSerializer(
        help_text="What was sent. Where the worker could not tell any more: what the job says, variables as written."
    )
    response = ReceivedResponseSerializer(
        allow_null=True, help_text="What came back, as far as it did; null where no status came."
    )
    exit_code = Whole(allow_null=True, help_text=_COMMANDS_ONLY)
    output = Text(allow_null=True, help_text=_COMMANDS_ONLY)
    error_output = Text(allow_null=True, help_text=_COMMANDS_ONLY)
    worker = Text(allow_null=True, help_text="Name of the worker process that held it.")

    def to_representation(self, instance: Run) -> dict[str, Any]:
        return represent_run(instance)


class ListedRunSerializer(RunSerializer):
    """A run in a list: its texts are cut to 2 KiB."""

    def to_representation(self, instance: Run) -> dict[str, Any]:
        return represent_run(instance, cut=True)


class FinalResponseSerializer(serializers.Serializer):
    """The answer of an execution's last run, in short."""

    status_code = Whole(help_text="The HTTP status of the last run's answer.")
    body_preview = Text(allow_null=True, help_text="At most 2 KiB of its body; the run has more.")
    body_encoding = Choice(choices=("base64",), required=False, help_text="Only where the body is no UTF-8 text.")


class ListedExecutionSerializer(serializers.Serializer):
    """One firing of a job, as lists show it."""

    id = serializers.UUIDField(help_text="Of this execution, a UUIDv7: sorts by when it was made.")
    job = Text(help_text=_JOB)
    job_id = serializers.UUIDField(help_text="The job's id, which stays when its slug changes.")
    job_name = Text(help_text="The job's name, as it is now.")
    job_version = Whole(help_text="Number of the job's version that it follows, in all its attempts.")
    job_version_current = Whole(
        allow_null=True, help_text="Number of the job's version now: higher if the job was changed since."
    )
    environment = Text(help_text=_ENVIRONMENT)
    trigger = Choice(
        choices=OCCURRING_TRIGGERS,
        help_text="Why it was made. `retry`: somebody asked for a failed one again; attempts within one are its runs.",
    )
    status = Choice(
        choices=OCCURRING_STATUSES,
        help_text="`pending` also between two attempts; final once it is `succeeded`, `failed`, `canceled`, `skipped`.",
    )
    skip_reason = Choice(
        choices=SkipReason.choices, allow_null=True, help_text="Why it was not fired; null unless it is `skipped`."
    )
    occurrences = Whole(help_text="How many planned ones it stands for: more than 1 only for skipped ones in a row.")
    scheduled_for = Instant(
        allow_null=True,
        help_text="When it was to run, by schedule or after a delay; null for what was asked for at once.",
    )
    scheduled_until = Instant(allow_null=True, help_text="The last of several occurrences that a skipped one counts.")
    created_at = Instant(help_text="When it was made, which for a delayed one is before `scheduled_for`.")
    started_at = Instant(allow_null=True, help_text="When a worker took up its first attempt; null before.")
    finished_at = Instant(allow_null=True, help_text="When `status` became final; null before.")
    next_attempt_at = Instant(
        allow_null=True,
        help_text="When its next attempt may start; null unless pending, and while it waits for one before it to end.",
    )
    pending_duration_ms = Whole(
        allow_null=True,
        help_text="Milliseconds that it waited until `started_at`, since it was to start or was made, whichever is "
        "later; null before.",
    )
    run_duration_ms = Whole(
        allow_null=True,
        help_text="Milliseconds from `started_at` to `finished_at`, waits between attempts included; null before.",
    )
    total_duration_ms = Whole(
        allow_null=True,
        help_text="Milliseconds to `finished_at`, from where `pending_duration_ms` counts; null before.",
    )
    lateness_ms = Whole(
        allow_null=True,
        help_text="Milliseconds from when it was to start, `scheduled_for` and its jitter, to `started_at`; null "
        "without either.",
    )
    attempts = Whole(help_text="How many attempts have started, the one under way included.")
    max_attempts = Whole(help_text="How many it may have, the first included: `retry.max_attempts` of its version.")
    failure_reason = Choice(
        choices=_REASONS, allow_null=True, help_text="Why its last attempt failed; null unless it is `failed`."
    )
    error = Text(
        allow_null=True,
        help_text="The reason for people, as `HTTP 503`; of a canceled one, why, or whether its request may have "
        "arrived. Null where there is nothing to say.",
    )
    replay_of = serializers.UUIDField(
        allow_null=True, help_text="Id of the execution that it replays, be that pruned or not; null for others."
    )
    retry_of = serializers.UUIDField(
        allow_null=True, help_text="Id of the failed execution that it retries, where `trigger` is `retry`; else null."
    )
    final_response = FinalResponseSerializer(
        allow_null=True, help_text="What its last run was answered; null where nothing came, or there is no run yet."
    )
    exit_code = Whole(allow_null=True, help_text=_COMMANDS_ONLY)
    waiting = serializers.DictField(allow_null=True, help_text="Null so far.")
    callback = serializers.DictField(allow_null=True, help_text="Null so far.")

    def to_representation(self, instance: Execution) -> dict[str, Any]:
        last_runs = instance.last_runs  # type: ignore[attr-defined]
        return represent_execution(instance, last_run=last_runs[0] if last_runs else None)


@extend_schema_serializer(examples=examples.EXECUTION)
class ExecutionSerializer(ListedExecutionSerializer):
    """One firing of a job, with every run."""

    input = serializers.JSONField(
        allow_null=True, help_text="What was given for `{{input...}}` when it was asked for; null: nothing."
    )
    output = serializers.JSONField(allow_null=True, help_text="Null so far: of workflows.")
    runs = RunSerializer(many=True, help_text="Its attempts, whole, the first one first.")

    def to_representation(self, instance: Execution) -> dict[str, Any]:
        return represent_execution_with_runs(instance)


@extend_schema_serializer(examples=examples.RUN_NOW)
class RunNowSerializer(StrictSerializer):
    environment = Text(required=False, help_text="May be left out where the job is enabled in exactly one.")
    input = serializers.JSONField(required=False, allow_null=True, default=None, help_text="Any JSON.")
    delay_seconds = Whole(
        default=0, min_value=0, max_value=MAX_DELAY_SECONDS, help_text="How long to wait first; 0: run at once."
    )


@extend_schema_field(RequestSerializer(partial=True))
class RequestEdit(serializers.DictField):
    """Fields of a request, judged together with those that they are to replace: `edited_request`."""


@extend_schema_serializer(examples=examples.REPLAY)
class ReplaySerializer(StrictSerializer):
    environment = Text(required=False, help_text="One that the job is enabled in; the old one's when left out.")
    config = Choice(
        choices=("current", "original"), default="current", help_text="The job as it is now, or as it was then."
    )
    input = serializers.JSONField(required=False, allow_null=True, help_text="The old one's when left out.")
    edit = RequestEdit(required=False, help_text="Fields of the request that differ, for this execution only.")


def edited_request(
    version: JobVersion, edit: dict[str, Any], workspace: Workspace, environment_id: uuid.UUID
) -> dict[str, Any]:
    """A version's request in an environment with some fields replaced, judged as a job's. Raises ValidationError."""
    whole = effective(version.config, str(environment_id))
    before = whole["request"]
    request = RequestSerializer(data={**before, **edit}, context={"workspace": workspace})
    if not request.is_valid():
        raise ValidationError({"edit": request.errors})
    if body_assertion_errors(request.validated_data, whole["success"]):
        bodiless = "The answer to a HEAD request has no body, and the job asserts something of it."
        raise ValidationError({"edit": {"method": [ErrorDetail(bodiless, code="conflicting")]}})
    if told := timeout_beyond_plan(request.validated_data, workspace.plan, before=before):
        raise ValidationError({"edit": {"timeout_seconds": [ErrorDetail(told, code=PlanLimitError.code)]}})
    return request.validated_data
