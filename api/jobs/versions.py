"""How a version of a job is shown, compared with another, and made the current one again."""

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
from jobs.definition.overrides import OVERRIDES
from jobs.models import Job, JobVersion, RetryPolicy
from jobs.validation.representation import represent_definition, represent_overrides

#: The slugs of the environments that a caller sees, by their ids.
Slugs = Mapping[uuid.UUID, str]


class NotRestorableError(ConflictError):
    code = "not_restorable"


def definition_of(version: JobVersion, slugs: Slugs) -> dict[str, Any]:
    """The definition of a version as the job object spells it, with what is overridden in the environments in sight."""
    overridden = {
        slug: {"overrides": found}
        for key, slug in sorted(slugs.items(), key=lambda item: item[1])
        if (found := represent_overrides(version.config, key))
    }
    definition = represent_definition(version.config)
    return {**definition, **({"environments": overridden} if overridden else {})}


class VersionSerializer(serializers.Serializer):
    """A job's definition as it was from one change to the next.

    The context holds `slugs`.
    """

    number = Whole(help_text="1 for the job's first version, and one more for each change.")
    definition = serializers.SerializerMethodField(help_text="Spelled as in the job object.")
    created_at = Instant(help_text="When the change was made: it holds from then on.")
    created_by = Text(
        source="created_by.username",
        allow_null=True,
        default=None,
        help_text="A username; null where an API key made it.",
    )

    def get_definition(self, version: JobVersion) -> dict[str, Any]:
        return definition_of(version, self.context["slugs"])


@extend_schema_field({"description": "Null where it is not there.", "nullable": True})
class AnyValue(serializers.Field):
    def to_representation(self, value: Any) -> Any:
        return value


class ChangedFieldSerializer(serializers.Serializer):
    field = Text(help_text="A dotted path.")
    old = AnyValue()
    new = AnyValue()


@extend_schema_serializer(examples=examples.VERSION_DIFF)
class VersionDiffSerializer(serializers.Serializer):
    """What two versions of a job differ in."""

    changes = ChangedFieldSerializer(many=True, help_text="The fields that differ; none where they say the same.")

    def get_fields(self) -> dict[str, serializers.Field]:
        numbers = {
            "from": Whole(help_text="Number of the version that has `old`."),
            "to": Whole(help_text="Number of the version that has `new`."),
        }
        return {**numbers, **super().get_fields()}


def restore_version(version: JobVersion, *, job: Job, context: dict[str, Any], actor: Actor) -> Job:
    """Make this version's definition the job's next one, judged as any save is. What is on stays on, off stays off.

    Nothing fires because of it: the job is planned anew from now on. In the caller's transaction, which has locked the
    job. `context` is that of a JobSerializer. Raises NotRestorableError.
    """
    slugs = {one.pk: one.slug for one in context["workspace"].environments.all()}
    _refuse_gone(version, slugs)
    definition = definition_of(version, slugs)
    if definition["retry"]["policy"] is not None:
        definition["retry"] = {"policy": definition["retry"]["policy"]}
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
        told = f"Version {version.number} is not right any more: {wrong[0]['field']}: {wrong[0]['detail']}"
        raise NotRestorableError(told, members={"errors": wrong}) from error
    return save_validated(serializer, actor=actor, restored=version.number)


def _refuse_gone(version: JobVersion, slugs: Slugs) -> None:
    known = {str(key) for key in slugs}
    if version.config.get(OVERRIDES, {}).keys() - known:
        raise NotRestorableError(f"Version {version.number} overrides an environment that is deleted.")
    policy = version.config["retry"]["policy"]
    if policy is not None and not RetryPolicy.objects.filter(workspace=version.job.workspace_id, slug=policy).exists():
        raise NotRestorableError(f"Version {version.number} uses the retry policy {policy}, which is deleted.")


@extend_schema_view(
    list=extend_schema(
        operation_id="jobs_versions_list", summary="List a job's versions", responses=VersionSerializer(many=True)
    ),
    retrieve=extend_schema(operation_id="jobs_versions_get", summary="Get one version of a job"),
)
class VersionViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """The versions of a job, of a deleted one too."""

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
        old, new = (definition_of(self._version(one), slugs) for one in (number, other))
        changes = [{"field": path, "old": before, "new": after} for path, before, after in differing(old, new)]
        return Response(VersionDiffSerializer({"from": number, "to": other, "changes": changes}).data)

    @extend_schema(
        operation_id="jobs_versions_restore",
        summary="Restore a version",
        description="As a new version. Where the job is enabled or paused stays as it is, and nothing fires because of "
        "it. 409 where the version is not right any more, for instance because its retry policy is deleted.",
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
