"""Bulk operations: their list, their page, canceling one, and the admin actions that start one on executions."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant

from accounts.actors import Actor
from accounts.models import Workspace
from api.base.pagination import Keyset
from core.errors import HourhandError
from core.validation.fields import Choice
from core.validation.strict import ListQuery
from core.words import NOTHING, Appearance
from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.listing import FilterField, WorkspaceParameter, workspace_field
from dashboard.runs.buttons import require_writer
from dashboard.runs.history import HistoryAdmin
from runs.executions.bulk import cancel_bulk, selected, start_selected
from runs.models import BulkOperation
from runs.querysets import ExecutionQuerySet
from runs.states import BulkKind, BulkState
from runs.workflows.carrying import FAILED, START

_STATES = {
    BulkState.RUNNING: Appearance("Running", "busy", "progress_activity"),
    BulkState.COMPLETED: Appearance("Completed", "ok", "check_circle"),
    BulkState.CANCELED: Appearance("Canceled", "idle", "block"),
}
_SHOWN_IDS = 100


class BulkOperationQuery(WorkspaceParameter, ListQuery):
    """The API's parameters and the dashboard's own."""

    kind = Choice(choices=BulkKind.choices, required=False)
    state = Choice(choices=BulkState.choices, required=False)


@admin.register(BulkOperation)
class BulkOperationAdmin(HistoryAdmin):
    list_display = ["started", "operation", "selection", "progress", "status_chip", "workspace_name"]
    list_display_links = ["started"]
    list_before_template = ""
    query_class = BulkOperationQuery

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        kinds = [(kind.value, kind.label) for kind in BulkKind]
        states = [(state.value, look.label) for state, look in _STATES.items()]
        first = [FilterField("kind", "Operation", "select", kinds), FilterField("state", "State", "select", states)]
        return [*first, *workspace_field(request)], ()

    def compile_query(
        self, request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]
    ) -> tuple[Any, Keyset]:
        """The rows with the number of their executions, `matched`, in place of their ids, up to ten thousand."""
        chosen = {name: query[name] for name in ("kind", "state") if name in query}
        rows = BulkOperation.objects.filter(workspace__in=workspaces, **chosen)
        rows = rows.annotate(matched=F("execution_ids__len")).defer("execution_ids")
        return rows, Keyset(("id",), descending=True)

    def full_rows(self, request: HttpRequest) -> QuerySet[Any]:
        rows = BulkOperation.objects.select_related("workspace").annotate(matched=F("execution_ids__len"))
        return access_of(request).narrow(rows)

    def buttons(self) -> list[tuple[str, Any, str]]:
        return [("<uuid:operation_id>/cancel/", cancel_button, "runs_bulkoperation_cancel")]

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        operation = self.get_row(request, row_id)
        is_running = operation.state == BulkState.RUNNING
        context = {
            **self.base_context(request, original=operation),
            "operation": operation,
            "state": chips.chip(_STATES[BulkState(operation.state)]),
            "filter": json.dumps(operation.filter, indent=2, ensure_ascii=False),
            "skipped": operation.position - operation.done,
            "remaining": operation.matched - operation.position,
            "ids": operation.execution_ids[:_SHOWN_IDS],
            "more_ids": max(0, operation.matched - _SHOWN_IDS),
            "may_cancel": is_running and access_of(request).writes(operation.workspace_id),
        }
        return TemplateResponse(request, "admin/runs/bulkoperation/page.html", context)

    @admin.display(description="Started, UTC")
    def started(self, operation: BulkOperation) -> SafeString:
        return chips.instant(operation.created_at)

    @admin.display(description="Operation")
    def operation(self, operation: BulkOperation) -> SafeString:
        return chips.two_lines(operation.kind.capitalize(), operation.asked_by or NOTHING)

    @admin.display(description="Executions")
    def selection(self, operation: BulkOperation) -> SafeString:
        words = ", ".join(f"{name}: {_value_words(value)}" for name, value in operation.filter.items())
        rate = f"{operation.rate_per_second} per second" if operation.rate_per_second else "no rate limit"
        return chips.two_lines(words or "all", rate)

    @admin.display(description="Progress")
    def progress(self, operation: Any) -> SafeString:
        return chips.quantity(f"{operation.position:,} of {operation.matched:,}")

    @admin.display(description="State")
    def status_chip(self, operation: BulkOperation) -> SafeString:
        return chips.chip(_STATES[BulkState(operation.state)])

    @admin.display(description="Workspace")
    def workspace_name(self, operation: BulkOperation) -> str:
        return operation.workspace.name


def cancel_button(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseRedirect:
    """Cancel the rest of an operation."""
    rows = BulkOperation.objects.select_related("workspace").defer("execution_ids")
    operation = access_of(request).narrow(rows).filter(pk=operation_id).first()
    if operation is None:
        raise Http404
    require_writer(request, operation.workspace_id)
    try:
        cancel_bulk(
            workspace=operation.workspace,
            operation_id=operation.pk,
            now=timezone.now(),
            actor=Actor.of_user(request.user),
        )
    except HourhandError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, "Bulk operation canceled. What it has done stays.")
    return redirect("admin:runs_bulkoperation_change", operation.pk)


# -- admin actions of the list of executions ---------------------------------------------------------------------------


def _admin_action(kind: BulkKind, icon: str, variant: ActionVariant) -> Any:
    def run(execution_admin: HistoryAdmin, request: HttpRequest, executions: ExecutionQuerySet) -> HttpResponse | None:
        return _confirm_or_start(execution_admin, request, executions, kind)

    run.__name__ = f"{kind}_selected"
    return action(run, description=kind.label, icon=icon, variant=variant, permissions=["operate"])


_REQUIRED = {BulkKind.REPLAY: "is finished", BulkKind.RETRY: "has failed", BulkKind.CANCEL: "is unfinished"}
ACTIONS = [
    _admin_action(BulkKind.REPLAY, "replay", ActionVariant.DEFAULT),
    _admin_action(BulkKind.RETRY, "redo", ActionVariant.DEFAULT),
    _admin_action(BulkKind.CANCEL, "block", ActionVariant.DANGER),
]


def _confirm_or_start(
    execution_admin: HistoryAdmin, request: HttpRequest, executions: ExecutionQuerySet, kind: BulkKind
) -> HttpResponse | None:
    """Render how many of the selected executions allow it, or start the operation once confirmed."""
    ids = list(executions.values_list("pk", flat=True))
    if not ids:
        messages.warning(request, "No execution is selected.")
        return None
    if request.POST.get("confirmed"):
        return _start(request, executions, kind)
    context = {
        **execution_admin.admin_site.each_context(request),
        "title": f"{kind.label} executions",
        "kind": kind.value,
        "ids": ids,
        "eligible": len(selected(executions, kind)),
    }
    request.current_app = execution_admin.admin_site.name
    return TemplateResponse(request, "admin/runs/execution/confirm.html", context)


def _start(request: HttpRequest, executions: ExecutionQuerySet, kind: BulkKind) -> HttpResponse | None:
    """Start an operation on the selected executions, one for each workspace, and go to the first."""
    rows = executions.select_related("workspace").light()
    workspaces = {execution.workspace_id: execution.workspace for execution in rows}
    if not all(access_of(request).writes(workspace_id) for workspace_id in workspaces):
        raise PermissionDenied
    concerned = [workspace for workspace in workspaces.values() if selected(executions.of(workspace), kind)]
    if not concerned:
        messages.error(request, f"None of these executions {_REQUIRED[kind]}: nothing to {kind}.")
        return None
    actor, now = Actor.of_user(request.user), timezone.now()
    choices = _choices(request, kind)
    operations = []
    for workspace in concerned:
        try:
            operations.append(
                start_selected(workspace=workspace, executions=executions, kind=kind, now=now, actor=actor, **choices)
            )
        except HourhandError as error:  # what has begun in other workspaces stays
            messages.error(request, f"{workspace.name}: {error.detail}")
    if not operations:
        return None
    messages.success(request, "Bulk operation started.")
    return redirect("admin:runs_bulkoperation_change", operations[0].pk)


def _choices(request: HttpRequest, kind: BulkKind) -> dict[str, Any]:
    """What the pressed button of the confirmation says about replays and retries, for `start_selected`."""
    match kind:
        case BulkKind.REPLAY:
            return {"original_config": request.POST.get("config") == "original"}
        case BulkKind.RETRY:
            return {"from_step": START if request.POST.get("from") == START else FAILED}
        case BulkKind.CANCEL:
            return {}


def _value_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
