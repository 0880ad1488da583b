"""All jobs as one file, which imports back without a change."""

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
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.representation import represent_definition, represent_overrides

_FIELDS = DefinitionSerializer().fields
_SECTIONS = ("request", "success", "retry", "retention")


class ExportQuery(Query):
    format = Choice(
        choices=("json", "yaml"), default="json", help_text="What the file is written in; an import takes either."
    )


class JobExport(ApiView):
    """One file of all jobs: a generic list would page it."""

    read_scope: str = Scope.JOBS_READ
    query_class = ExportQuery

    @extend_schema(
        operation_id="jobs_export",
        summary="Export all jobs",
        description="In the order of their slugs. What is left out is the default. Importing it again changes nothing.",
        responses={
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, description='`{"jobs": [...]}`'),
            (200, "application/yaml"): OpenApiTypes.OBJECT,
        },
    )
    def get(self, _request: Request) -> Any:
        jobs = {"jobs": [exported(job) for job in reachable_jobs(self.access).order_by("slug")]}
        if self.query["format"] == "yaml":
            return HttpResponse(yaml_text(jobs), content_type="application/yaml; charset=utf-8")
        return Response(jobs)


def exported(job: Job) -> dict[str, Any]:
    """A job as an import takes it: what is not the default, and where it is enabled."""
    config = job.current_version.config if job.current_version else {}
    definition = represent_definition(config)
    if definition["retry"]["policy"] is not None:
        definition["retry"] = {"policy": definition["retry"]["policy"]}
    sparse = {
        name: _sparse(_FIELDS[name], value) if name in _SECTIONS else value
        for name, value in definition.items()
        if name in _SECTIONS or _says_something(_FIELDS[name], value)
    }
    places = sorted(job.job_environments.all(), key=lambda row: row.environment.slug)
    return {
        "slug": job.slug,
        **{name: value for name, value in sparse.items() if value != {}},
        "environments": {
            row.environment.slug: {
                "enabled": row.enabled,
                **({"overrides": found} if (found := represent_overrides(config, row.environment_id)) else {}),
            }
            for row in places
        },
    }


def _sparse(section: Any, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if _says_something(section.fields[name], value)}


def _says_something(field: Any, value: Any) -> bool:
    return bool(field.required) or value != field.get_default()
