"""Executions: their list, and the addresses of their pages and buttons."""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.models import Workspace
from api.base.pagination import Keyset
from api.runs.ordering import ByDueTime, ByDuration, ExecutionKeyset
from core.words import NOTHING, SKIP_REASONS, STATUSES, TRIGGERS, duration_words
from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.listing import FilterField
from dashboard.base.lookups import parse_id
from dashboard.runs import bulk, buttons, callbacks, edit_and_replay, page, run_with_input, test_call
from dashboard.runs.filters import DashboardExecutionQuery, execution_by_id, execution_fields, execution_filters
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.timing import ExecutionTimings
from dashboard.workflows.waiting import wait_words
from runs.models import Execution
from runs.querysets import ExecutionQuerySet
from runs.states import OCCURRING_STATUSES, ExecutionStatus


class ListedExecutions(ExecutionKeyset):
    """Reads the columns that the list shows."""

    def listed(self, executions: ExecutionQuerySet) -> ExecutionQuerySet:
        return executions.light().select_related("job", "environment").with_max_attempts()


class ListedByDue(ListedExecutions, ByDueTime):
    pass


class ListedByDuration(ListedExecutions, ByDuration):
    pass


class ListedQueryset(ListedExecutions):
    """Takes a queryset, where the others take filters."""

    def rows(self, wanted: Any, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        return super().rows(self.listed(wanted), position, backward=backward, first=first, count=count)


@admin.register(Execution)
class ExecutionAdmin(HistoryAdmin):
    list_display = [
        "due", "job_in_environment", "status_chip", "trigger_and_attempts", "duration_and_lateness", "reason",
    ]  # fmt: skip
    list_display_links = ["due"]
    query_class = DashboardExecutionQuery
    statuses = tuple((status, STATUSES[status].label) for status, _ in OCCURRING_STATUSES)
    actions: Any = bulk.ACTIONS

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        return execution_fields(request)

    def compile_query(
        self, request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]
    ) -> tuple[Any, Keyset]:
        """The API's filters and order, or a single execution if the search is its id or that of one of its runs."""
        execution = execution_by_id(request, query)
        if execution is not None:
            rows = Execution.objects.filter(workspace__in=workspaces, pk=execution.pk)
            return rows, ListedQueryset(("id",), descending=True)
        filters = execution_filters(request, query, workspaces)
        if query["sort"] == "duration":
            return filters, ListedByDuration(("took", "id"), descending=query["order"] == "desc")
        return filters, ListedByDue(("due_at", "id"), descending=query["order"] == "desc")

    def actionable(self, request: HttpRequest) -> ExecutionQuerySet:
        """The selected rows, whatever `select_across` says: the API's bulk operations take filters."""
        ids = [parse_id(reference) for reference in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)]
        rows: ExecutionQuerySet = Execution.objects.filter(pk__in=ids).in_sight()
        return access_of(request).narrow(rows)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """True for a person who may replay and cancel: the permission of the admin actions."""
        return access_of(request).writes_somewhere

    def buttons(self) -> list[tuple[str, Any, str]]:
        return [
            ("run-now/<uuid:job_environment_id>/", buttons.run_now_button, "runs_execution_run_now"),
            ("test-call/<uuid:job_environment_id>/", test_call.test_call_button, "runs_execution_test_call"),
            ("delete-job/<uuid:job_id>/", buttons.delete_job_button, "runs_execution_delete_job"),
            ("callbacks/<uuid:callback_id>/redeliver/", callbacks.redeliver_button, "runs_execution_redeliver"),
            ("<uuid:execution_id>/replay/", buttons.replay_button, "runs_execution_replay"),
            ("<uuid:execution_id>/retry/", buttons.retry_button, "runs_execution_retry"),
            ("<uuid:execution_id>/cancel/", buttons.cancel_button, "runs_execution_cancel"),
        ]

    def forms(self) -> list[tuple[str, Any, str]]:
        return [
            ("run/<uuid:job_id>/", partial(run_with_input.run_with_input, self), "runs_execution_run_with"),
            ("wipe/<uuid:workspace_id>/", buttons.wipe_page, "runs_execution_wipe"),
            ("<uuid:execution_id>/edit/", partial(edit_and_replay.edit_and_replay, self), "runs_execution_edit"),
        ]

    def full_rows(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().full_rows(request).defer("replay_of__input", "replay_of__state", "replay_of__output")
        return rows.select_related("job_version", "job__current_version", "replay_of", "job_environment")

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        return page.show(self, request, row_id)

    @admin.display(description="Due, UTC")
    def due(self, execution: Execution) -> SafeString:
        return chips.instant(execution.due_at)

    @admin.display(description="Status")
    def status_chip(self, execution: Execution) -> SafeString:
        return chips.status_chip(execution.status)

    @admin.display(description="Trigger")
    def trigger_and_attempts(self, execution: Any) -> SafeString:
        attempts = f"{execution.attempts} of {execution.max_attempts} attempts"
        if execution.max_attempts is None:  # a workflow
            attempts = f"{execution.attempts} call{'' if execution.attempts == 1 else 's'}"
        return chips.two_lines(TRIGGERS[execution.trigger].label, attempts)

    @admin.display(description="Duration")
    def duration_and_lateness(self, execution: Execution) -> SafeString:
        timings = ExecutionTimings.of(execution, timezone.now())
        late = "" if timings.lateness_ms is None else f"{duration_words(timings.lateness_ms)} late"
        return chips.two_lines(duration_words(timings.run_ms), late)

    @admin.display(description="Reason")
    def reason(self, execution: Execution) -> str:
        if execution.skip_reason:
            times = f" ({execution.occurrences} times)" if execution.occurrences > 1 else ""
            return SKIP_REASONS.get(execution.skip_reason, execution.skip_reason) + times
        if execution.status == ExecutionStatus.WAITING:
            return wait_words(execution)
        return execution.error or execution.failure_reason.replace("_", " ") or NOTHING
