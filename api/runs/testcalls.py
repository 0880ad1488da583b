"""The route that tries a job out: one call, made by a worker while the caller waits, of which nothing is kept."""

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


class CircumstancesSerializer(StrictSerializer):
    """Where a job is tried out, and with what."""

    environment = Text(required=False, help_text="May be left out where the job is enabled in exactly one.")
    input = serializers.JSONField(required=False, allow_null=True, default=None, help_text="Any JSON.")


OWN = frozenset(CircumstancesSerializer().fields)


@extend_schema_serializer(examples=examples.TEST_CALL)
class CallSerializer(JobSerializer):
    """Unsaved changes of a job, any of its fields as in a PATCH, and the circumstances of its test call."""

    def __init__(self, instance: Any = None, **options: Any) -> None:
        super().__init__(instance, partial=True, **options)

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), **CircumstancesSerializer().get_fields()}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        self._edits = not isinstance(data, Mapping) or bool(data.keys() - OWN)
        if self._edits:
            return super().to_internal_value(data)
        # As it was saved: the saved definition is not judged again.
        circumstances: dict[str, Any] = CircumstancesSerializer().to_internal_value(data)
        return circumstances

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return super().validate(attrs) if self._edits else attrs

    @property
    def unsaved(self) -> list[str]:
        """The fields that differ from what is saved, once valid."""
        if not self._edits:
            return []
        before, config = self.before or {}, self.config
        return [field for field in (*CONFIG_FIELDS, OVERRIDES) if config.get(field) != before.get(field)]


#: As the document shows it: every field may be left out.
CALL_BODY = CallSerializer()
CALL_BODY.partial = True


@extend_schema_serializer(examples=examples.TESTED)
class TriedRunSerializer(RunSerializer):
    """The run of a test call. It is in no history, and has no execution."""

    execution = serializers.UUIDField(allow_null=True, help_text="Always null.")
    job_version = Whole(allow_null=True, help_text="Null where unsaved changes were tried out.")


class JobTest(ApiView):
    """A call of which nothing is kept: generic views would create an object."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    max_body_bytes = MAX_DEFINITION_BYTES
    waits_for_others = True
    needs_quota = frozenset({"post"})

    @extend_schema(
        operation_id="jobs_test",
        summary="Try a job out: one call now, which is not kept",
        description="Sends the request once, as a run would: same templates, secrets, signature, limits and "
        "assertions.\n\n"
        "The body may hold any of the job's fields, judged as in a PATCH; nothing is saved. The answer comes when the\n"
        "call has ended. It is not repeated, appears in no history and counts in no streak; the audit log tells of it.",
        request=CALL_BODY,
        responses={
            200: TriedRunSerializer,
            (503, CONTENT_TYPE): OpenApiResponse(
                ProblemSerializer,
                "No worker could be asked, or the one that was did not answer.",
                [OpenApiExample("no_worker", value=_UNAVAILABLE)],
            ),
        },
    )
    def post(self, request: Request, job: str) -> Response:
        found = live_job(self.access, job)
        call = CallSerializer(found, data=request.data, context=self.get_serializer_context())
        call.is_valid(raise_exception=True)
        unsaved = call.unsaved
        made = call_once(
            job_environment=job_environment_to_run(self.access, found, call.validated_data.get("environment")),
            config=call.config if unsaved else None,
            unsaved=unsaved,
            input=call.validated_data["input"],
            actor=self.access.actor,
            now=self.now,
        )
        return Response(TriedRunSerializer(made).data)
