"""Test calls: a worker calls a job's endpoint once while the caller waits, and nothing is stored."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.openapi import ProblemSerializer
from api.base.problems import CONTENT_TYPE, problem
from api.base.views import MAX_DEFINITION_BYTES, ApiView
from api.jobs.lookups import live_job
from api.jobs.serializers import JobSerializer
from api.runs import examples
from api.runs.serializers import RunSerializer
from api.runs.views import job_environment_to_run
from core.validation.fields import Text, Whole
from core.validation.strict import StrictSerializer
from jobs.definition.overrides import OVERRIDES
from jobs.validation.representation import CONFIG_FIELDS
from runs.testcalls.calls import call_once

_UNAVAILABLE = problem(
    503, "no_worker", "No worker took the call within 5 seconds, and nothing was sent. Is one running?"
)


class TestCallOptionsSerializer(StrictSerializer):
    """Environment and input of a test call."""

    environment = Text(
        required=False, help_text="The environment's slug. May be omitted if the job is enabled in exactly one."
    )
    input = serializers.JSONField(
        required=False, allow_null=True, default=None, help_text="Any JSON, available to templates as `{{input...}}`."
    )


_OPTIONS = frozenset(TestCallOptionsSerializer().fields)


@extend_schema_serializer(examples=examples.TEST_CALL)
class CallSerializer(JobSerializer):
    """Unsaved changes of a job, as in a PATCH, with the environment and input of a test call."""

    def __init__(self, instance: Any = None, **options: Any) -> None:
        super().__init__(instance, partial=True, **options)

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), **TestCallOptionsSerializer().get_fields()}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        self._edits = not isinstance(data, Mapping) or bool(data.keys() - _OPTIONS)
        if self._edits:
            return super().to_internal_value(data)
        # Without changes the saved definition is not validated again.
        options: dict[str, Any] = TestCallOptionsSerializer().to_internal_value(data)
        return options

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return super().validate(attrs) if self._edits else attrs

    @property
    def unsaved(self) -> list[str]:
        """The names of the changed fields, once valid."""
        if not self._edits:
            return []
        before, config = self.before or {}, self.config
        return [field for field in (*CONFIG_FIELDS, OVERRIDES) if config.get(field) != before.get(field)]


#: For the OpenAPI document: every field is optional.
CALL_BODY = CallSerializer()
CALL_BODY.partial = True


@extend_schema_serializer(examples=examples.TESTED)
class TriedRunSerializer(RunSerializer):
    """The run of a test call. It has no execution and is not stored in the history."""

    execution = serializers.UUIDField(allow_null=True, help_text="Always null.")
    job_version = Whole(allow_null=True, help_text="Number of the tested version; null with unsaved changes.")


class JobTest(ApiView):
    """A call that stores nothing: generic views would create an object."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    max_body_bytes = MAX_DEFINITION_BYTES
    waits_for_others = True
    needs_quota = frozenset({"post"})

    @extend_schema(
        operation_id="jobs_test",
        summary="Make a test call",
        description="Sends the job's request once and waits for the response, with the templates, secrets, signature, "
        "limits and assertions of a run. The body may contain any fields of the job, validated as in a PATCH; they are "
        "not saved. The call is not retried, not stored in the history, and not counted in statistics or consecutive "
        "failures; the audit log records it.",
        request=CALL_BODY,
        responses={
            200: TriedRunSerializer,
            (503, CONTENT_TYPE): OpenApiResponse(
                ProblemSerializer,
                "No worker took the call, Redis is unavailable, or the worker did not respond.",
                [OpenApiExample("no_worker", value=_UNAVAILABLE)],
            ),
        },
    )
    def post(self, request: Request, job: str) -> Response:
        saved = live_job(self.access, job)
        call = CallSerializer(saved, data=request.data, context=self.get_serializer_context())
        call.is_valid(raise_exception=True)
        unsaved = call.unsaved
        run = call_once(
            job_environment=job_environment_to_run(self.access, saved, call.validated_data.get("environment")),
            config=call.config if unsaved else None,
            unsaved=unsaved,
            input=call.validated_data["input"],
            actor=self.access.actor,
            now=self.now,
        )
        return Response(TriedRunSerializer(run).data)
