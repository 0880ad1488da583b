"""The filters of the lists of executions and runs: those of the API, and the dashboard's own."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers

from accounts.actors import Actor
from accounts.models import Environment, Workspace
from api.accounts.access import Access
from api.runs.filters import ExecutionListQuery, RunListQuery, history_filter, run_filter
from core.slugs import is_uuid
from core.validation.fields import Choice
from core.words import TRIGGERS
from dashboard.base.access import access_of
from dashboard.base.listing import FilterField, WorkspaceParameter, workspace_field
from runs.failures import OCCURRING
from runs.history.filters import HistoryFilter
from runs.history.runs import RunFilter
from runs.models import Execution, Run
from runs.states import OCCURRING_TRIGGERS

SPANS = {
    "1h": ("Last hour", datetime.timedelta(hours=1)),
    "24h": ("Last 24 hours", datetime.timedelta(days=1)),
    "7d": ("Last 7 days", datetime.timedelta(days=7)),
    "30d": ("Last 30 days", datetime.timedelta(days=30)),
}
_ORDERS = (("duration", "Longest of the latest 10,000"),)


class SinceParameter(serializers.Serializer):
    """A span up to now, as a shorthand for `from`."""

    since = Choice(choices=tuple(SPANS), required=False)


class DashboardExecutionQuery(SinceParameter, WorkspaceParameter, ExecutionListQuery):
    """The API's parameters and the dashboard's own."""


class DashboardRunQuery(SinceParameter, WorkspaceParameter, RunListQuery):
    """The API's parameters and the dashboard's own."""


def execution_fields(request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
    first = [
        FilterField("search", "Search", placeholder="Error, URL or id"),
        _job_field(),
        FilterField("since", "Time", "select", [(name, words) for name, (words, _) in SPANS.items()]),
        *workspace_field(request),
    ]
    return first, [
        *_shared_fields(request),
        FilterField("job_name", "Job name contains"),
        FilterField("tag", "Tag"),
        FilterField("sort", "Order", "select", _ORDERS, blank="Newest first"),
    ]


def run_fields(request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
    first = [
        FilterField("execution", "Execution", placeholder="Id"),
        _job_field(),
        FilterField("since", "Time", "select", [(name, words) for name, (words, _) in SPANS.items()]),
        *workspace_field(request),
    ]
    return first, _shared_fields(request)


def execution_filters(
    request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]
) -> list[HistoryFilter]:
    """Compile a query for each of these workspaces, as the API does for one."""
    query = _since(query)
    reference = query.get("search", "").strip()
    if is_uuid(reference):
        query = {name: value for name, value in query.items() if name != "search"} | {"job": reference}
    return [history_filter(query, _access(request, workspace)) for workspace in workspaces]


def execution_by_id(request: HttpRequest, query: dict[str, Any]) -> Execution | None:
    """The execution whose id, or the id of one of whose runs, is searched for."""
    reference = query.get("search", "").strip()
    if not is_uuid(reference):
        return None
    rows = access_of(request).narrow(Execution.objects.light().in_sight())
    execution: Execution | None = rows.filter(pk=reference).first()
    if execution is not None:
        return execution
    runs = access_of(request).narrow(Run.objects.only("execution_id"))
    run = runs.filter(pk=reference).first()
    return None if run is None else rows.filter(pk=run.execution_id).first()


def run_filters(request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]) -> list[RunFilter]:
    """The same for runs."""
    query = _since(query)
    return [run_filter(query, _access(request, workspace)) for workspace in workspaces]


def _access(request: HttpRequest, workspace: Workspace) -> Access:
    """The API's access of a person who reads all of a workspace, as every member may."""
    return Access(workspace, frozenset(), None, Actor.of_user(request.user), role=None)


def _since(query: dict[str, Any]) -> dict[str, Any]:
    """Replace `since` by `from`, unless `from` is given too."""
    span = SPANS.get(query.get("since", ""))
    return query if span is None or "from" in query else {**query, "from": timezone.now() - span[1]}


def _job_field() -> FilterField:
    return FilterField("job", "Job", "suggest", suggestions=reverse("admin:jobs_job_suggest"), placeholder="Slug")


def _shared_fields(request: HttpRequest) -> list[FilterField]:
    slugs = access_of(request).narrow(Environment.objects.order_by("slug")).values_list("slug", flat=True).distinct()
    return [
        FilterField("environment", "Environment", "select", [(slug, slug) for slug in slugs]),
        FilterField("trigger", "Trigger", "select", [(name, TRIGGERS[name].label) for name, _ in OCCURRING_TRIGGERS]),
        FilterField(
            "failure_reason", "Failure reason", "select",
            [(reason.value, reason.value.replace("_", " ").capitalize()) for reason in OCCURRING],
        ),
        FilterField("from", "From, UTC", "instant"),
        FilterField("to", "Before, UTC", "instant"),
    ]  # fmt: skip
