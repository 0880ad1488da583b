"""The filters of the list of jobs, and suggestions of jobs for other lists' filters."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import Environment, Workspace
from api.jobs.filters import JobListQuery, filtered
from core.validation.fields import Choice
from dashboard.base.access import access_of
from dashboard.base.listing import FilterField, WorkspaceParameter, workspace_field
from jobs.models import Job, JobEnvironment, ScheduleType
from jobs.querysets import JobQuerySet

_STATES = (("enabled", "Enabled"), ("paused", "Paused"), ("disabled", "Disabled"), ("failing", "Failing"))
_KINDS = (("http", "One call"), ("workflow", "Workflow"))
_SORTS = (
    ("name", "By name"), ("next_fire_at", "Next to fire"), ("last_status", "Failed last"), ("created_at", "Oldest"),
)  # fmt: skip
_SUGGESTED = 20
_MOST_TAGS = 50
_TAGS_READ_FROM = 2_000  # the newest jobs; a list of tags need not be complete to be of use


class DashboardJobQuery(WorkspaceParameter, JobListQuery):
    """The API's parameters and the dashboard's own."""

    state = Choice(choices=_STATES, required=False)


def job_fields(request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
    slugs = access_of(request).narrow(Environment.objects.order_by("slug")).values_list("slug", flat=True).distinct()
    first = [
        FilterField("search", "Search", placeholder="Name, slug or URL"),
        FilterField("state", "State", "select", _STATES),
        FilterField("environment", "Environment", "select", [(slug, slug) for slug in slugs]),
        FilterField("tag", "Tag", options=[(tag, tag) for tag in _tags(request)]),
        *workspace_field(request),
    ]
    schedules = [(value, str(label)) for value, label in ScheduleType.choices]
    return first, [
        FilterField("kind", "Kind", "select", _KINDS),
        FilterField("schedule_type", "Schedule", "select", schedules),
        FilterField("sort", "Order", "select", _SORTS, blank="Newest"),
    ]


def in_state(jobs: JobQuerySet, state: str, environment: str | None) -> JobQuerySet:
    """Filter jobs by one of _STATES, in the environment given or in any."""
    rows = JobEnvironment.objects.filter(job=OuterRef("pk"))
    if environment is not None:
        rows = rows.filter(environment__slug=environment)
    match state:
        case "enabled":
            return jobs.filter(Exists(rows.filter(enabled=True, paused_at__isnull=True)))
        case "paused":
            return jobs.filter(Exists(rows.filter(enabled=True, paused_at__isnull=False)))
        case "disabled":
            return jobs.filter(~Exists(rows.filter(enabled=True)))
    return jobs.filter(Exists(rows.filter(consecutive_failures__gt=0)))


def suggest(job_admin: Any, request: HttpRequest) -> HttpResponse:
    """Render options: jobs whose name or slug contains the parameter `job`."""
    typed = request.GET.get("job", "").strip()
    jobs = access_of(request).narrow(Job.objects.live())
    if typed:
        jobs = jobs.filter(Q(name__icontains=typed) | Q(slug__icontains=typed))
    suggestions = jobs.order_by("name", "pk").values_list("slug", "name")[:_SUGGESTED]
    return TemplateResponse(request, "hourhand/suggestions.html", {"suggestions": suggestions})


def _tags(request: HttpRequest) -> list[str]:
    jobs = access_of(request).narrow(Job.objects.live()).exclude(tags=[])
    newest = jobs.order_by("-pk").values_list("tags", flat=True)[:_TAGS_READ_FROM]
    return sorted({tag for tags in newest for tag in tags})[:_MOST_TAGS]


def matching_jobs(query: dict[str, Any], workspaces: Sequence[Workspace]) -> JobQuerySet:
    """The jobs of these workspaces that match a validated DashboardJobQuery."""
    jobs = filtered(Job.objects.live().filter(workspace__in=workspaces), query)
    return in_state(jobs, query["state"], query.get("environment")) if "state" in query else jobs
