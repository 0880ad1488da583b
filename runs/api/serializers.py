"""Executions and runs on the wire, and the bodies that ask for new executions."""

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Workspace
from jobs.api.definition import RequestSerializer
from jobs.api.limits import timeout_beyond_plan
from jobs.limits import PlanLimitError
from jobs.models import JobVersion
from jobs.overrides import effective
from runs.api import examples
from runs.api.shown import shown_execution, shown_execution_whole, shown_run
from runs.failures import FailureReason
from runs.models import Execution, Run
from runs.services import MAX_DELAY_SECONDS
from runs.states import ExecutionStatus, RunStatus, SkipReason, Trigger
from scheduler_project.api.fields import Choice, Flag, Instant, Text, Whole
from scheduler_project.api.strict import StrictSerializer

_REASONS = [reason.value for reason in FailureReason]


class TimingsSerializer(serializers.Serializer):
    """Milliseconds; null for a phase that did not happen."""

    queue_ms = Whole(allow_null=True)
    dns_ms = Whole(allow_null=True)
    connect_ms = Whole(allow_null=True)
    tls_ms = Whole(allow_null=True)
    first_byte_ms = Whole(allow_null=True)
    total_ms = Whole(allow_null=True)


class SentRequestSerializer(serializers.Serializer):
    """What was sent; header values redacted but for harmless ones."""

    method = Text()
    url = Text()
    headers = serializers.DictField(child=Text())
    body = Text(allow_null=True)
    body_encoding = Choice(choices=("base64",), required=False, help_text="Only where the body is no UTF-8 text.")


class ReceivedResponseSerializer(serializers.Serializer):
    """What came back. `body_bytes` counts the whole body, also where only its start was kept."""

    status_code = Whole()
    headers = serializers.DictField(child=Text())
    body = Text(allow_null=True)
    body_truncated = Flag()
    body_bytes = Whole(allow_null=True)
    http_version = Text(allow_null=True)
    remote_ip = Text(allow_null=True)
    body_encoding = Choice(choices=("base64",), required=False, help_text="Only where the body is no UTF-8 text.")


class RetryPositionSerializer(serializers.Serializer):
    of = serializers.UUIDField(allow_null=True, help_text="The first run.")
    attempt = Whole(help_text="1 for the first retry.")


@extend_schema_serializer(examples=examples.RUN)
class RunSerializer(serializers.Serializer):
    """One attempt inside an execution: exactly one HTTP exchange."""

    id = serializers.UUIDField()
    execution = serializers.UUIDField()
    job = Text()
    job_version = Whole()
    environment = Text()
    step = Text(allow_null=True)
    attempt = Whole()
    trigger = Choice(choices=Trigger.choices)
    retry = RetryPositionSerializer(allow_null=True)
    status = Choice(choices=RunStatus.choices)
    failure_reason = Choice(choices=_REASONS, allow_null=True)
    error = Text(allow_null=True)
    started_at = Instant()
    finished_at = Instant(allow_null=True)
    duration_ms = Whole(allow_null=True)
    timings = TimingsSerializer()
    request = SentRequestSerializer()
    response = ReceivedResponseSerializer(allow_null=True)
    exit_code = Whole(allow_null=True)
    output = Text(allow_null=True)
    error_output = Text(allow_null=True)
    worker = Text(allow_null=True)

    def to_representation(self, instance: Run) -> dict[str, Any]:
        return shown_run(instance)


class ListedRunSerializer(RunSerializer):
    """A run in a list: its texts are cut to 2 KiB."""

    def to_representation(self, instance: Run) -> dict[str, Any]:
        return shown_run(instance, cut=True)


class FinalResponseSerializer(serializers.Serializer):
    status_code = Whole()
    body_preview = Text(allow_null=True, help_text="At most 2 KiB.")
    body_encoding = Choice(choices=("base64",), required=False, help_text="Only where the body is no UTF-8 text.")


class ListedExecutionSerializer(serializers.Serializer):
    """One firing of a job, as lists show it."""

    id = serializers.UUIDField()
    job = Text()
    job_id = serializers.UUIDField()
    job_name = Text()
    job_version = Whole()
    job_version_current = Whole(allow_null=True)
    environment = Text()
    trigger = Choice(choices=Trigger.choices)
    status = Choice(choices=ExecutionStatus.choices)
    skip_reason = Choice(choices=SkipReason.choices, allow_null=True)
    occurrences = Whole(help_text="More than 1 for a stretch of missed ones.")
    scheduled_for = Instant(allow_null=True)
    scheduled_until = Instant(allow_null=True, help_text="The last of several occurrences that a skipped one counts.")
    created_at = Instant()
    started_at = Instant(allow_null=True)
    finished_at = Instant(allow_null=True)
    next_attempt_at = Instant(allow_null=True)
    pending_duration_ms = Whole(allow_null=True)
    run_duration_ms = Whole(allow_null=True)
    total_duration_ms = Whole(allow_null=True)
    lateness_ms = Whole(allow_null=True)
    attempts = Whole()
    max_attempts = Whole()
    failure_reason = Choice(choices=_REASONS, allow_null=True)
    error = Text(allow_null=True)
    replay_of = serializers.UUIDField(allow_null=True)
    retry_of = serializers.UUIDField(allow_null=True)
    final_response = FinalResponseSerializer(allow_null=True)
    exit_code = Whole(allow_null=True)
    waiting = serializers.DictField(allow_null=True, help_text="Null so far.")
    callback = serializers.DictField(allow_null=True, help_text="Null so far.")

    def to_representation(self, instance: Execution) -> dict[str, Any]:
        last_runs = instance.last_runs  # type: ignore[attr-defined]
        return shown_execution(instance, last_run=last_runs[0] if last_runs else None)


@extend_schema_serializer(examples=examples.EXECUTION)
class ExecutionSerializer(ListedExecutionSerializer):
    """One firing of a job, with every run."""

    input = serializers.JSONField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    runs = RunSerializer(many=True)

    def to_representation(self, instance: Execution) -> dict[str, Any]:
        return shown_execution_whole(instance)


@extend_schema_serializer(examples=examples.RUN_NOW)
class RunNowSerializer(StrictSerializer):
    environment = Text(required=False, help_text="May be left out where the job is enabled in exactly one.")
    input = serializers.JSONField(required=False, allow_null=True, default=None, help_text="Any JSON.")
    delay_seconds = Whole(default=0, min_value=0, max_value=MAX_DELAY_SECONDS)


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
    before = effective(version.config, str(environment_id))["request"]
    request = RequestSerializer(data={**before, **edit}, context={"workspace": workspace})
    if not request.is_valid():
        raise ValidationError({"edit": request.errors})
    if told := timeout_beyond_plan(request.validated_data, workspace.plan, before=before):
        raise ValidationError({"edit": {"timeout_seconds": [ErrorDetail(told, code=PlanLimitError.code)]}})
    return request.validated_data


class EmptySerializer(StrictSerializer):
    """An empty body."""
