"""Runs, flat: every attempt of every execution, newest first."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from accounts.models import Workspace
from api.base.pagination import Keyset
from api.runs.ordering import RunKeyset
from core.words import NOTHING, STATUSES, duration_words
from dashboard.base import chips
from dashboard.base.listing import FilterField
from dashboard.runs.attempt import ShownRun
from dashboard.runs.filters import DashboardRunQuery, run_fields, run_filters
from dashboard.runs.history import HistoryAdmin
from runs.models import Run
from runs.querysets import RunQuerySet
from runs.states import OCCURRING_RUN_STATUSES

_HEAVY = (
    "request_headers", "request_body", "response_headers", "response_body", "output", "error_output",
)  # fmt: skip


class ListedByAttempt(RunKeyset):
    """Reads the columns that the list shows."""

    def listed(self, runs: RunQuerySet) -> RunQuerySet:
        return runs.defer(*_HEAVY).select_related("job", "environment")


@admin.register(Run)
class RunAdmin(HistoryAdmin):
    list_display = [
        "started", "job_in_environment", "http_request", "status_chip", "http_response", "attempt", "reason",
    ]  # fmt: skip
    list_display_links = ["started"]
    query_class = DashboardRunQuery
    statuses = tuple((status, STATUSES[status].label) for status, _ in OCCURRING_RUN_STATUSES)

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        return run_fields(request)

    def compile_query(
        self, request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]
    ) -> tuple[Any, Keyset]:
        return run_filters(request, query, workspaces), ListedByAttempt(("id",), descending=True)

    def full_rows(self, request: HttpRequest) -> QuerySet[Any]:
        return super().full_rows(request).select_related("execution", "job_version")

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        run: Run = self.get_row(request, row_id)
        context = {**self.base_context(request, original=run), "run": run, "attempt": ShownRun.of(run)}
        return TemplateResponse(request, "admin/runs/run/page.html", context)

    @admin.display(description="Started, UTC")
    def started(self, run: Run) -> SafeString:
        return chips.instant(run.started_at)

    @admin.display(description="Request")
    def http_request(self, run: Run) -> SafeString:
        return chips.two_lines(run.request_method, run.request_url)

    @admin.display(description="Status")
    def status_chip(self, run: Run) -> SafeString:
        return chips.status_chip(run.status)

    @admin.display(description="Response")
    def http_response(self, run: Run) -> SafeString:
        duration = "" if run.duration_ms is None else duration_words(run.duration_ms)
        return chips.two_lines(NOTHING if run.response_status is None else str(run.response_status), duration)

    @admin.display(description="Attempt")
    def attempt(self, run: Run) -> int:
        return run.number

    @admin.display(description="Reason")
    def reason(self, run: Run) -> str:
        return run.error or run.failure_reason.replace("_", " ") or NOTHING
