"""Executions: their list, their page, and the buttons run now, replay, retry and cancel."""

import uuid
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin.access import access_of
from accounts.admin.filters import WorkspaceFilter
from jobs.overrides import effective
from runs.admin import asking, bulk, buttons, trying
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
from runs.admin.timing import Timeline, Timings
from runs.models import Execution
from runs.states import BulkKind, ExecutionStatus
from scheduler_project.dashboard import chips
from scheduler_project.dashboard.words import NOTHING, SKIP_REASONS, STATUSES, appearance, duration_words

_REPLAYS = 20


@admin.register(Execution)
class ExecutionAdmin(HistoryAdmin):
    list_display = [
        "due", "job_and_place", "shown_status", "shown_trigger", "shown_attempts", "lateness", "duration", "reason",
        "workspace_name",
    ]  # fmt: skip
    list_display_links = ["due"]
    list_filter = [
        StatusFilter, TriggerFilter, EnvironmentFilter, ReasonFilter, SinceFilter, JobFilter, WorkspaceFilter,
    ]  # fmt: skip
    search_fields = ["job__name"]
    search_help_text = "Job, or an id"
    list_before_template = "hourhand/statuses.html"
    list_disable_select_all = True  # a filter of the API does that, with a pace and a dry run
    actions = ["replay_selected", "cancel_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        rows: QuerySet[Execution] = super().get_queryset(request).defer("input", "state", "output")
        return rows.select_related("job", "environment", "workspace").with_max_attempts()  # type: ignore[attr-defined]

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """By when it was due, which one workspace's index serves; across workspaces by when it was made."""
        return ["-pk"] if access_of(request).several else ["-due_at", "-pk"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:  # noqa: ARG002
        text = search_term.strip()
        return (of_text(queryset, text) if text else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        looks = [(status, look.label) for status, look in STATUSES.items()]
        extra = {**(extra_context or {}), "statuses": looks, "chosen_status": request.GET.get("status", "")}
        found: HttpResponse = super().changelist_view(request, extra)
        return found

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        return found if access_of(request).writes_somewhere else {}

    @admin.action(description="Replay…")
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return bulk.ask(request, queryset, BulkKind.REPLAY)

    @admin.action(description="Cancel…")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return bulk.ask(request, queryset, BulkKind.CANCEL)

    def buttons(self) -> list[tuple[str, Any, str]]:
        return [
            ("run-now/<uuid:job_environment_id>/", buttons.run_now_button, "runs_execution_run_now"),
            ("test-call/<uuid:job_environment_id>/", trying.try_out_button, "runs_execution_test_call"),
            ("delete-job/<uuid:job_id>/", buttons.delete_job_button, "runs_execution_delete_job"),
            ("selected/<str:kind>/", bulk.selected_button, "runs_execution_selected"),
            ("<uuid:execution_id>/replay/", buttons.replay_button, "runs_execution_replay"),
            ("<uuid:execution_id>/retry/", buttons.retry_button, "runs_execution_retry"),
            ("<uuid:execution_id>/cancel/", buttons.cancel_button, "runs_execution_cancel"),
        ]

    def forms(self) -> list[tuple[str, Any, str]]:
        return [
            ("run/<uuid:job_id>/", partial(asking.run_with, self), "runs_execution_run_with"),
            ("wipe/<uuid:workspace_id>/", buttons.wipe_page, "runs_execution_wipe"),
        ]

    def whole_rows(self, request: HttpRequest) -> QuerySet[Any]:
        return super().whole_rows(request).select_related("job_version", "job__current_version", "replay_of")

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        execution: Execution = self.in_sight(request, row_id)
        definition = effective(execution.job_version.config, str(execution.environment_id))
        runs, now = list(execution.runs.order_by("step", "number")), timezone.now()
        writes = access_of(request).writes(execution.workspace_id)
        context = {
            **self.base_context(request, original=execution),
            "execution": execution,
            "look": appearance(execution.status, STATUSES),
            "timings": Timings.of(execution, now),
            "timeline": Timeline.of(execution, runs, now),
            "max_attempts": definition["retry"]["max_attempts"],
            # By the job's index: there is none by `replay_of`.
            "replays": execution.replays.light().filter(job=execution.job_id).order_by("-due_at", "-pk")[:_REPLAYS],
            "is_current": execution.job_version_id == execution.job.current_version_id,
            "may_replay": writes,
            "may_retry": writes and execution.status == ExecutionStatus.FAILED,
            "may_cancel": writes and not execution.is_terminal,
        }
        return TemplateResponse(request, "admin/runs/execution/page.html", context)

    @admin.display(description="Due, UTC", ordering="due_at")
    def due(self, execution: Execution) -> SafeString:
        return chips.instant(execution.due_at)

    @admin.display(description="Job")
    def job_and_place(self, execution: Execution) -> SafeString:
        return chips.two_lines(execution.job.name, execution.environment.slug)

    @admin.display(description="Status")
    def shown_status(self, execution: Execution) -> SafeString:
        return chips.status_chip(execution.status)

    @admin.display(description="Trigger")
    def shown_trigger(self, execution: Execution) -> SafeString:
        return chips.trigger_chip(execution.trigger)

    @admin.display(description="Attempts")
    def shown_attempts(self, execution: Any) -> SafeString:
        return chips.quantity(f"{execution.attempts} of {execution.max_attempts}")

    @admin.display(description="Late by")
    def lateness(self, execution: Execution) -> SafeString:
        return chips.quantity(duration_words(Timings.of(execution, timezone.now()).lateness_ms))

    @admin.display(description="Took")
    def duration(self, execution: Execution) -> SafeString:
        return chips.quantity(duration_words(Timings.of(execution, timezone.now()).run_ms))

    @admin.display(description="Reason")
    def reason(self, execution: Execution) -> str:
        if execution.skip_reason:
            times = f" ({execution.occurrences} times)" if execution.occurrences > 1 else ""
            return SKIP_REASONS.get(execution.skip_reason, execution.skip_reason) + times
        return execution.error or execution.failure_reason.replace("_", " ") or NOTHING

    @admin.display(description="Workspace")
    def workspace_name(self, execution: Execution) -> str:
        return execution.workspace.name
