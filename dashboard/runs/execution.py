"""Executions: their list, and the addresses of their pages and buttons."""

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.models import Workspace
from api.base.pagination import Keyset
from api.runs.orders import ByDue, ByDuration, OfExecutions
from core.words import NOTHING, SKIP_REASONS, STATUSES, TRIGGERS, duration_words, instant_words
from dashboard.accounts.listing import Doing, FilterField, tick
from dashboard.base import chips
from dashboard.runs import asking, bulk, buttons, editing, page, trying
from dashboard.runs.filters import ExecutionsShown, execution_fields, named_execution, wanted_executions
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.timing import ExecutionTimings
from runs.models import Execution
from runs.querysets import ExecutionQuerySet
from runs.states import OCCURRING_STATUSES


class Shown(OfExecutions):
    """With what the list shows."""

    def listed(self, executions: ExecutionQuerySet) -> ExecutionQuerySet:
        return executions.light().select_related("job", "environment").with_max_attempts()


class ByDueShown(Shown, ByDue):
    pass


class ByDurationShown(Shown, ByDuration):
    pass


class NamedShown(Shown):
    """Of rows that somebody named, where the others take a filter."""

    def rows(self, wanted: Any, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        return super().rows(self.listed(wanted), position, backward=backward, first=first, count=count)


@admin.register(Execution)
class ExecutionAdmin(HistoryAdmin):
    list_display = [
        "ticked", "due", "job_and_place", "shown_status", "trigger_and_attempts", "duration_and_lateness", "reason",
    ]  # fmt: skip
    list_display_links = ["due"]
    query_class = ExecutionsShown
    statuses = tuple((status, STATUSES[status].label) for status, _ in OCCURRING_STATUSES)
    doings_url = "admin:runs_execution_select"

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        return execution_fields(request)

    def meant(self, request: HttpRequest, query: dict[str, Any], among: Sequence[Workspace]) -> tuple[Any, Keyset]:
        """The API's pages of what a query means; of one execution where the search is its id, or that of its run."""
        named = named_execution(request, query)
        if named is not None:
            return Execution.objects.filter(workspace__in=among, pk=named.pk), NamedShown(("id",), descending=True)
        wanted = wanted_executions(request, query, among)
        if query["sort"] == "duration":
            return wanted, ByDurationShown(("took", "id"), descending=query["order"] == "desc")
        return wanted, ByDueShown(("due_at", "id"), descending=query["order"] == "desc")

    def doings(self, request: HttpRequest) -> Mapping[str, Doing]:  # noqa: ARG002
        return bulk.DOINGS

    def buttons(self) -> list[tuple[str, Any, str]]:
        return [
            ("run-now/<uuid:job_environment_id>/", buttons.run_now_button, "runs_execution_run_now"),
            ("test-call/<uuid:job_environment_id>/", trying.try_out_button, "runs_execution_test_call"),
            ("delete-job/<uuid:job_id>/", buttons.delete_job_button, "runs_execution_delete_job"),
            ("delete-jobs/", buttons.delete_jobs_button, "runs_execution_delete_jobs"),
            ("selected/", bulk.ask_button, "runs_execution_select"),
            ("selected/<str:kind>/", bulk.selected_button, "runs_execution_selected"),
            ("<uuid:execution_id>/replay/", buttons.replay_button, "runs_execution_replay"),
            ("<uuid:execution_id>/retry/", buttons.retry_button, "runs_execution_retry"),
            ("<uuid:execution_id>/cancel/", buttons.cancel_button, "runs_execution_cancel"),
        ]

    def forms(self) -> list[tuple[str, Any, str]]:
        return [
            ("run/<uuid:job_id>/", partial(asking.run_with, self), "runs_execution_run_with"),
            ("wipe/<uuid:workspace_id>/", buttons.wipe_page, "runs_execution_wipe"),
            ("<uuid:execution_id>/edit/", partial(editing.edit_and_replay, self), "runs_execution_edit"),
        ]

    def whole_rows(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().whole_rows(request).defer("replay_of__input", "replay_of__state", "replay_of__output")
        return rows.select_related("job_version", "job__current_version", "replay_of", "job_environment")

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        return page.show(self, request, row_id)

    @admin.display(description="Select")
    def ticked(self, execution: Execution) -> SafeString:
        return tick("execution", execution.pk, f"{execution.job.name}, {instant_words(execution.due_at)}")

    @admin.display(description="Due, UTC")
    def due(self, execution: Execution) -> SafeString:
        return chips.instant(execution.due_at)

    @admin.display(description="Status")
    def shown_status(self, execution: Execution) -> SafeString:
        return chips.status_chip(execution.status)

    @admin.display(description="Trigger")
    def trigger_and_attempts(self, execution: Any) -> SafeString:
        attempts = f"{execution.attempts} of {execution.max_attempts} attempts"
        return chips.two_lines(TRIGGERS[execution.trigger].label, attempts)

    @admin.display(description="Took")
    def duration_and_lateness(self, execution: Execution) -> SafeString:
        timings = ExecutionTimings.of(execution, timezone.now())
        late = "" if timings.lateness_ms is None else f"{duration_words(timings.lateness_ms)} late"
        return chips.two_lines(duration_words(timings.run_ms), late)

    @admin.display(description="Reason")
    def reason(self, execution: Execution) -> str:
        if execution.skip_reason:
            times = f" ({execution.occurrences} times)" if execution.occurrences > 1 else ""
            return SKIP_REASONS.get(execution.skip_reason, execution.skip_reason) + times
        return execution.error or execution.failure_reason.replace("_", " ") or NOTHING
