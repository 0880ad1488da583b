"""How a version of a job is shown, compared with another, and made the current one again."""

import uuid
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from accounts.actors import Actor
from api.base.problems import field_errors
from api.jobs import examples
from api.jobs.serializers import JobSerializer, save_validated
from core.errors import ConflictError
from core.validation.fields import Instant, Text, Whole
from jobs.definition.overrides import OVERRIDES
from jobs.models import Job, JobVersion, RetryPolicy
from jobs.validation.representation import shown_definition, shown_overrides

#: The slugs of the environments that a caller sees, by their ids.
Slugs = Mapping[uuid.UUID, str]


class NotRestorableError(ConflictError):
    code = "not_restorable"


def spelled(version: JobVersion, slugs: Slugs) -> dict[str, Any]:
    """The definition of a version as the job object spells it, with what is overridden in the environments in sight."""
    overridden = {
        slug: {"overrides": found}
        for key, slug in sorted(slugs.items(), key=lambda item: item[1])
        if (found := shown_overrides(version.config, key))
    }
    definition = shown_definition(version.config)
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
        return spelled(version, self.context["slugs"])


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
    definition = spelled(version, slugs)
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
