"""Export of all jobs as one file, which can be imported unchanged."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.views import ApiView
from api.jobs.lookups import reachable_jobs
from core.validation.fields import Choice
from core.validation.strict import Query
from jobs.definition.calls import STEP_LISTS, WORKFLOW, with_bare_policies
from jobs.definition.overrides import SECTIONS
from jobs.errors import NoCallToExportError
from jobs.imports import arazzo_document, yaml_text
from jobs.models import Job, Kind
from jobs.validation.callback import without_short_form
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.representation import represent_definition, represent_overrides
from jobs.validation.steps import STEP_SERIALIZERS

_FIELDS = DefinitionSerializer().fields
_SECTIONS = (*SECTIONS, "webhook", "retention")
_STEPS = {kind: serializer() for kind, serializer in STEP_SERIALIZERS.items()}


class ExportQuery(Query):
    format = Choice(
        choices=("json", "yaml", "arazzo"),
        default="json",
        help_text="Format of the file; the import accepts each. `arazzo` has only the jobs of the kind `workflow`.",
    )


class JobExport(ApiView):
    """One file of all jobs: a generic list would be paginated."""

    read_scope: str = Scope.JOBS_READ
    query_class = ExportQuery

    @extend_schema(
        operation_id="jobs_export",
        summary="Export all jobs",
        description="Sorted by slug. Fields with default values are omitted. Importing the file again changes nothing. "
        "`arazzo` is an Arazzo 1.0.1 document of the workflows, with the OpenAPI documents of their calls; 409 if none "
        "has a call.",
        responses={
            (200, "application/json"): OpenApiResponse(
                OpenApiTypes.OBJECT, description='`{"jobs": [...]}`, or an Arazzo document'
            ),
            (200, "application/yaml"): OpenApiTypes.OBJECT,
        },
    )
    def get(self, _request: Request) -> Any:
        rows = reachable_jobs(self.access).order_by("slug")
        if self.query["format"] == "arazzo":
            return Response(_arazzo(rows.filter(kind=Kind.WORKFLOW)))
        jobs = {"jobs": [export_job(job) for job in rows]}
        if self.query["format"] == "yaml":
            return HttpResponse(yaml_text(jobs), content_type="application/yaml; charset=utf-8")
        return Response(jobs)


def _arazzo(jobs: Iterable[Job]) -> dict[str, Any]:
    """Write workflows as an Arazzo document. Raises NoCallToExportError."""
    versions = ((job, job.current_version) for job in jobs)
    document = arazzo_document(
        (represent_definition(version.config), export_job(job)) for job, version in versions if version is not None
    )
    if document is None:
        raise NoCallToExportError
    return document


def export_job(job: Job) -> dict[str, Any]:
    """A job in the format of the import: fields without default values, and its environments."""
    config = job.current_version.config if job.current_version else {}
    definition = with_bare_policies(without_short_form(represent_definition(config)))
    job_environments = sorted(job.job_environments.all(), key=lambda row: row.environment.slug)
    return {
        "slug": job.slug,
        **sparse_definition(definition),
        **({} if job.managed_by is None else {"managed_by": job.managed_by}),
        "environments": {
            row.environment.slug: {
                "enabled": row.enabled,
                **({"overrides": overrides} if (overrides := represent_overrides(config, row.environment_id)) else {}),
            }
            for row in job_environments
        },
    }


def sparse_definition(definition: dict[str, Any]) -> dict[str, Any]:
    parts = {name: _sparse(_FIELDS[name], definition[name] or {}) for name in _SECTIONS}
    workflow = definition[WORKFLOW]
    parts[WORKFLOW] = {} if workflow is None else _sparse(_FIELDS[WORKFLOW], {**workflow, **_sparse_steps(workflow)})
    return _without_defaults(_FIELDS, definition, parts)


def _sparse_steps(workflow: dict[str, Any]) -> dict[str, Any]:
    return {part: [_sparse_step(_STEPS[step["type"]].fields, step) for step in workflow[part]] for part in STEP_LISTS}


def _sparse_step(fields: Any, step: dict[str, Any]) -> dict[str, Any]:
    return _without_defaults(
        fields, step, {name: _sparse(fields[name], step[name]) for name in SECTIONS if name in step}
    )


def _without_defaults(fields: Any, values: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields that have their default, and of `parts`, which are sparse already, the empty ones."""
    return {
        name: parts.get(name, value)
        for name, value in values.items()
        if (parts[name] if name in parts else _is_set(fields[name], value))
    }


def _sparse(section: Any, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if _is_set(section.fields[name], value)}


def _is_set(field: Any, value: Any) -> bool:
    return bool(field.required) or value != field.get_default()
