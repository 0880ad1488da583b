"""Runs, flat: every attempt of every execution, newest first."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from accounts.admin.filters import WorkspaceFilter
from runs.admin.filters import (
    EnvironmentFilter,
    JobFilter,
    ReasonFilter,
    SinceFilter,
    StatusFilter,
    TriggerFilter,
    of_text,
)
from runs.admin.history import HistoryAdmin
from runs.admin.timing import Attempt, Bar, phases
from runs.models import Run
from runs.states import RunStatus
from scheduler_project.dashboard import chips
from scheduler_project.dashboard.words import NOTHING, duration_words

_HEAVY = (
    "request_headers", "request_body", "response_headers", "response_body", "output", "error_output",
)  # fmt: skip


class RunStatusFilter(StatusFilter):
    statuses = RunStatus


class RunTriggerFilter(TriggerFilter):
    """By what the API calls a run's trigger."""

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.of_trigger([self.value()]) if self.value() else queryset


class StartedFilter(SinceFilter):
    column = "started_at"


@admin.register(Run)
class RunAdmin(HistoryAdmin):
    list_display = [
        "started", "job_and_place", "call", "shown_status", "answer", "number", "took", "reason", "workspace_name",
    ]  # fmt: skip
    list_display_links = ["started"]
    list_filter = [
        RunStatusFilter, RunTriggerFilter, EnvironmentFilter, ReasonFilter, StartedFilter, JobFilter, WorkspaceFilter,
    ]  # fmt: skip
    search_fields = ["job__name"]
    search_help_text = "Job, or an id"
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        rows: QuerySet[Run] = super().get_queryset(request).defer(*_HEAVY)
        return rows.select_related("job", "environment", "workspace")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:  # noqa: ARG002
        text = search_term.strip()
        return (of_text(queryset, text) if text else queryset), False

    def whole_rows(self, request: HttpRequest) -> QuerySet[Any]:
        return super().whole_rows(request).select_related("execution", "job_version")

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        run: Run = self.in_sight(request, row_id)
        whole = Bar(f"attempt {run.number}", 0, 100, run.duration_ms or 0)
        context = {
            **self.base_context(request, original=run),
            "run": run,
            "attempt": Attempt(run, whole, phases(run)),
        }
        return TemplateResponse(request, "admin/runs/run/page.html", context)

    @admin.display(description="Started, UTC")
    def started(self, run: Run) -> SafeString:
        return chips.instant(run.started_at)

    @admin.display(description="Job")
    def job_and_place(self, run: Run) -> SafeString:
        return chips.two_lines(run.job.name, run.environment.slug)

    @admin.display(description="Call")
    def call(self, run: Run) -> SafeString:
        return chips.two_lines(run.request_method, run.request_url)

    @admin.display(description="Status")
    def shown_status(self, run: Run) -> SafeString:
        return chips.status_chip(run.status)

    @admin.display(description="Answer")
    def answer(self, run: Run) -> str:
        return NOTHING if run.response_status is None else str(run.response_status)

    @admin.display(description="Took")
    def took(self, run: Run) -> SafeString:
        return chips.quantity(duration_words(run.duration_ms))

    @admin.display(description="Reason")
    def reason(self, run: Run) -> str:
        return run.error or run.failure_reason.replace("_", " ") or NOTHING

    @admin.display(description="Workspace")
    def workspace_name(self, run: Run) -> str:
        return run.workspace.name
