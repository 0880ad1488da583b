"""What the history can be narrowed by in the dashboard: what the API narrows it by, in the dashboard's words."""

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
from api.runs.filters import ExecutionListQuery, RunListQuery, meant, meant_runs
from core.slugs import is_uuid
from core.validation.fields import Choice
from core.words import TRIGGERS
from dashboard.accounts.access import access_of
from dashboard.accounts.listing import FilterField, WorkspaceParameter, workspace_field
from runs.failures import OCCURRING
from runs.history.filters import HistoryFilter
from runs.history.runs import RunFilter
from runs.models import Execution, Run
from runs.states import OCCURRING_TRIGGERS

SPANS = {
    "1h": ("The last hour", datetime.timedelta(hours=1)),
    "24h": ("The last 24 hours", datetime.timedelta(days=1)),
    "7d": ("The last 7 days", datetime.timedelta(days=7)),
    "30d": ("The last 30 days", datetime.timedelta(days=30)),
}
_ORDERS = (("duration", "The longest of the latest 10,000"),)


class SinceParameter(serializers.Serializer):
    """The dashboard's word for "from so long ago"."""

    since = Choice(choices=tuple(SPANS), required=False)


class ExecutionsShown(SinceParameter, WorkspaceParameter, ExecutionListQuery):
    """The API's parameters, and those of the dashboard."""


class RunsShown(SinceParameter, WorkspaceParameter, RunListQuery):
    """The same for runs."""


def execution_fields(request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
    first = [
        FilterField("search", "Search", placeholder="Error, URL or an id"),
        _job_field(),
        FilterField("since", "Time", "select", [(name, words) for name, (words, _) in SPANS.items()]),
        *workspace_field(request),
    ]
    return first, [
        *_shared_fields(request),
        FilterField("job_name", "Job's name has"),
        FilterField("tag", "Tag"),
        FilterField("sort", "Order", "select", _ORDERS, blank="Newest first"),
    ]


def run_fields(request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
    first = [
        FilterField("execution", "Execution", placeholder="Its id"),
        _job_field(),
        FilterField("since", "Time", "select", [(name, words) for name, (words, _) in SPANS.items()]),
        *workspace_field(request),
    ]
    return first, _shared_fields(request)


def wanted_executions(request: HttpRequest, query: dict[str, Any], among: Sequence[Workspace]) -> list[HistoryFilter]:
    """What a query means in each of these workspaces, by the rules of the API."""
    query = _since(query)
    reference = query.get("search", "").strip()
    if is_uuid(reference):
        query = {name: value for name, value in query.items() if name != "search"} | {"job": reference}
    return [meant(query, _reach(request, one)) for one in among]


def named_execution(request: HttpRequest, query: dict[str, Any]) -> Execution | None:
    """The execution that a search names by its id, or by the id of one of its runs."""
    reference = query.get("search", "").strip()
    if not is_uuid(reference):
        return None
    rows = access_of(request).narrow(Execution.objects.light().in_sight())
    found: Execution | None = rows.filter(pk=reference).first()
    if found is not None:
        return found
    runs = access_of(request).narrow(Run.objects.only("execution_id"))
    run = runs.filter(pk=reference).first()
    return None if run is None else rows.filter(pk=run.execution_id).first()


def wanted_runs(request: HttpRequest, query: dict[str, Any], among: Sequence[Workspace]) -> list[RunFilter]:
    """The same for runs."""
    query = _since(query)
    return [meant_runs(query, _reach(request, one)) for one in among]


def _reach(request: HttpRequest, workspace: Workspace) -> Access:
    """How the API sees somebody who may read all of a workspace, as everybody in it may."""
    return Access(workspace, frozenset(), None, Actor.of_user(request.user), role=None)


def _since(query: dict[str, Any]) -> dict[str, Any]:
    """The same query with `since` as an instant; a `from` that is given goes before it."""
    span = SPANS.get(query.get("since", ""))
    return query if span is None or "from" in query else {**query, "from": timezone.now() - span[1]}


def _job_field() -> FilterField:
    return FilterField("job", "Job", "suggest", suggestions=reverse("admin:jobs_job_suggest"), placeholder="Slug")


def _shared_fields(request: HttpRequest) -> list[FilterField]:
    places = access_of(request).narrow(Environment.objects.order_by("slug")).values_list("slug", flat=True).distinct()
    return [
        FilterField("environment", "Environment", "select", [(slug, slug) for slug in places]),
        FilterField("trigger", "Trigger", "select", [(name, TRIGGERS[name].label) for name, _ in OCCURRING_TRIGGERS]),
        FilterField(
            "failure_reason", "Failure reason", "select",
            [(reason.value, reason.value.replace("_", " ").capitalize()) for reason in OCCURRING],
        ),
        FilterField("from", "From, UTC", "instant"),
        FilterField("to", "Before, UTC", "instant"),
    ]  # fmt: skip
