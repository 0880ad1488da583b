"""Export of all jobs as one file, which can be imported unchanged."""

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
from jobs.imports import yaml_text
from jobs.models import Job
from jobs.validation.callback import without_short_form
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.representation import represent_definition, represent_overrides

_FIELDS = DefinitionSerializer().fields
_SECTIONS = ("request", "success", "retry", "webhook", "retention")


class ExportQuery(Query):
    format = Choice(choices=("json", "yaml"), default="json", help_text="Format of the file; the import accepts both.")


class JobExport(ApiView):
    """One file of all jobs: a generic list would be paginated."""

    read_scope: str = Scope.JOBS_READ
    query_class = ExportQuery

    @extend_schema(
        operation_id="jobs_export",
        summary="Export all jobs",
        description="Sorted by slug. Fields with default values are omitted. Importing the file again changes nothing.",
        responses={
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, description='`{"jobs": [...]}`'),
            (200, "application/yaml"): OpenApiTypes.OBJECT,
        },
    )
    def get(self, _request: Request) -> Any:
        jobs = {"jobs": [export_job(job) for job in reachable_jobs(self.access).order_by("slug")]}
        if self.query["format"] == "yaml":
            return HttpResponse(yaml_text(jobs), content_type="application/yaml; charset=utf-8")
        return Response(jobs)


def export_job(job: Job) -> dict[str, Any]:
    """A job in the format of the import: fields without default values, and its environments."""
    config = job.current_version.config if job.current_version else {}
    definition = without_short_form(represent_definition(config))
    if definition["retry"]["policy"] is not None:
        definition["retry"] = {"policy": definition["retry"]["policy"]}
    sparse = {
        name: _sparse(_FIELDS[name], value) if name in _SECTIONS else value
        for name, value in definition.items()
        if name in _SECTIONS or _is_set(_FIELDS[name], value)
    }
    job_environments = sorted(job.job_environments.all(), key=lambda row: row.environment.slug)
    return {
        "slug": job.slug,
        **{name: value for name, value in sparse.items() if value != {}},
        "environments": {
            row.environment.slug: {
                "enabled": row.enabled,
                **({"overrides": overrides} if (overrides := represent_overrides(config, row.environment_id)) else {}),
            }
            for row in job_environments
        },
    }


def _sparse(section: Any, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if _is_set(section.fields[name], value)}


def _is_set(field: Any, value: Any) -> bool:
    return bool(field.required) or value != field.get_default()
