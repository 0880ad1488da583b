"""Versions of a job: show, compare and restore."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor
from accounts.models import Scope
from api.base.pagination import Keyset
from api.base.problems import field_errors
from api.base.views import MAX_DEFINITION_BYTES, ApiViewSet, EmptySerializer
from api.jobs import examples
from api.jobs.lookups import live_job, live_or_deleted_job, reachable_jobs, refuse_foreign_change
from api.jobs.serializers import JobSerializer, save_validated
from core.differences import differing
from core.errors import ConflictError
from core.validation.fields import Instant, Text, Whole
from jobs.definition.calls import policies_of, with_bare_policies
from jobs.definition.overrides import OVERRIDES
from jobs.definition.workflow.comparison import by_step
from jobs.models import Job, JobVersion, RetryPolicy
from jobs.validation.representation import represent_definition, represent_overrides

#: Slugs of the environments within reach, by id.
Slugs = Mapping[uuid.UUID, str]


class NotRestorableError(ConflictError):
    code = "not_restorable"


def definition_of(version: JobVersion, slugs: Slugs) -> dict[str, Any]:
    """A version's definition in the shape of the job object, with the overrides of the environments in `slugs`."""
    overridden = {
        slug: {"overrides": overrides}
        for key, slug in sorted(slugs.items(), key=lambda item: item[1])
        if (overrides := represent_overrides(version.config, key))
    }
    definition = represent_definition(version.config)
    return {**definition, **({"environments": overridden} if overridden else {})}


class VersionSerializer(serializers.Serializer):
    """One version of a job's definition.

    The context holds `slugs`.
    """

    number = Whole(help_text="1 for the first version, incremented by each change.")
    definition = serializers.SerializerMethodField(help_text="The definition, in the shape of the job object.")
    created_at = Instant(help_text="When this version took effect.")
    created_by = Text(
        source="created_by.username",
        allow_null=True,
        default=None,
        help_text="A username; null: created with an API key.",
    )

    def get_definition(self, version: JobVersion) -> dict[str, Any]:
        return definition_of(version, self.context["slugs"])


@extend_schema_field({"description": "The value; null if absent.", "nullable": True})
class AnyValue(serializers.Field):
    def to_representation(self, value: Any) -> Any:
        return value


class ChangedFieldSerializer(serializers.Serializer):
    field = Text(help_text="Dotted path of the field; steps of a workflow are named by their ids.")
    old = AnyValue()
    new = AnyValue()


@extend_schema_serializer(examples=examples.VERSION_DIFF)
class VersionDiffSerializer(serializers.Serializer):
    """The differences between two versions of a job."""

    changes = ChangedFieldSerializer(many=True, help_text="The changed fields; empty if the versions are equal.")

    def get_fields(self) -> dict[str, serializers.Field]:
        numbers = {
            "from": Whole(help_text="Number of the version with the `old` values."),
            "to": Whole(help_text="Number of the version with the `new` values."),
        }
        return {**numbers, **super().get_fields()}


def restore_version(version: JobVersion, *, job: Job, context: dict[str, Any], actor: Actor) -> Job:
    """Save this version's definition as the job's next version, validated like any save.

    Environments stay enabled or disabled, and nothing fires immediately. The caller's transaction has locked the job.
    `context` is that of a JobSerializer. Raises NotRestorableError.
    """
    slugs = {environment.pk: environment.slug for environment in context["workspace"].environments.all()}
    _refuse_deleted(version, slugs)
    definition = definition_of(version, slugs)
    definition = with_bare_policies(definition)
    overridden = definition.get("environments", {})
    definition["environments"] = {
        slugs[row.environment_id]: {"enabled": row.enabled, **overridden.get(slugs[row.environment_id], {})}
        for row in job.job_environments.all()
    }
    serializer = JobSerializer(job, data=definition, context={**context, "fires": False})
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        wrong = list(field_errors(error.detail))
        detail = f"Version {version.number} is no longer valid: {wrong[0]['field']}: {wrong[0]['detail']}"
        raise NotRestorableError(detail, members={"errors": wrong}) from error
    return save_validated(serializer, actor=actor, restored=version.number)


def _refuse_deleted(version: JobVersion, slugs: Slugs) -> None:
    if version.config.get(OVERRIDES, {}).keys() - {str(key) for key in slugs}:
        raise NotRestorableError(f"Version {version.number} has overrides for a deleted environment.")
    if used := policies_of(version.config):
        policies = RetryPolicy.objects.filter(workspace=version.job.workspace_id, slug__in=used)
        for slug in sorted(used - set(policies.values_list("slug", flat=True))):
            raise NotRestorableError(f"Version {version.number} uses the deleted retry policy {slug}.")


@extend_schema_view(
    list=extend_schema(
        operation_id="jobs_versions_list", summary="List a job's versions", responses=VersionSerializer(many=True)
    ),
    retrieve=extend_schema(operation_id="jobs_versions_get", summary="Get one version of a job"),
)
class VersionViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """The versions of a job, deleted or not."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    serializer_class = VersionSerializer
    max_body_bytes = MAX_DEFINITION_BYTES
    needs_quota = frozenset({"restore"})
    keyset = Keyset(("number",), descending=True)

    def get_queryset(self) -> Any:
        job = live_or_deleted_job(self.access, self.kwargs["job"])
        return JobVersion.objects.numbered().filter(job=job).select_related("created_by", "job")

    def get_object(self) -> JobVersion:
        return self._version(self.kwargs["number"])

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "slugs": self._slugs()}

    @extend_schema(
        operation_id="jobs_versions_diff", summary="Compare two versions of a job", responses=VersionDiffSerializer
    )
    def diff(self, _request: Request, number: int, other: int, **_path: Any) -> Response:
        slugs = self._slugs()
        old, new = (by_step(definition_of(self._version(version), slugs)) for version in (number, other))
        changes = [{"field": path, "old": before, "new": after} for path, before, after in differing(old, new)]
        return Response(VersionDiffSerializer({"from": number, "to": other, "changes": changes}).data)

    @extend_schema(
        operation_id="jobs_versions_restore",
        summary="Restore a version",
        description="Creates a new version with this definition. The job stays enabled, disabled or paused in each "
        "environment, and nothing fires immediately. 409 if the version is no longer valid, for example because its "
        "retry policy is deleted.",
        request=EmptySerializer,
        responses=JobSerializer,
    )
    def restore(self, request: Request, job: str, number: int) -> Response:
        self.read_body(request, EmptySerializer)
        context = super().get_serializer_context()
        with transaction.atomic():
            current = live_job(self.access, job, locked=True)
            refuse_foreign_change(self.access, current)
            saved = restore_version(self._version(number), job=current, context=context, actor=self.access.actor)
        return Response(JobSerializer(reachable_jobs(self.access).get(pk=saved.pk), context=context).data)

    def _version(self, number: int) -> JobVersion:
        version: JobVersion | None = self.get_queryset().filter(number=number).first()
        if version is None:
            raise NotFound(f"The job has no version {number}.")
        return version

    def _slugs(self) -> dict[uuid.UUID, str]:
        return {environment.pk: environment.slug for environment in self.access.environments()}
