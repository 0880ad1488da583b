"""Bulk operations: their list, their page with the button that ends one, and how selected executions become one."""

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

from accounts.actors import Actor
from accounts.models import Workspace
from api.base.pagination import Keyset
from core.errors import HourhandError
from core.validation.fields import Choice
from core.validation.strict import ListQuery
from core.words import NOTHING, Appearance
from dashboard.accounts.access import access_of
from dashboard.accounts.listing import (
    Doing,
    FilterField,
    WorkspaceParameter,
    asked_query,
    back_to_list,
    workspace_field,
)
from dashboard.base import chips
from dashboard.runs.buttons import require_writer
from dashboard.runs.history import HistoryAdmin
from runs.executions.bulk import MAX_EXECUTIONS, cancel_bulk, selected, start_selected
from runs.models import BulkOperation, Execution
from runs.querysets import ExecutionQuerySet
from runs.states import BulkKind, BulkState

_STATES = {
    BulkState.RUNNING: Appearance("Running", "busy", "progress_activity"),
    BulkState.COMPLETED: Appearance("Completed", "ok", "check_circle"),
    BulkState.CANCELED: Appearance("Canceled", "idle", "block"),
}
DOINGS = {
    BulkKind.REPLAY.value: Doing("Replay", "replay"),
    BulkKind.CANCEL.value: Doing("Cancel", "block", danger=True),
}
_EXECUTIONS = "admin:runs_execution_changelist"
_IDS = 100


class OperationsShown(WorkspaceParameter, ListQuery):
    """The API's parameters, and those of the dashboard."""

    kind = Choice(choices=BulkKind.choices, required=False)
    state = Choice(choices=BulkState.choices, required=False)


@admin.register(BulkOperation)
class BulkOperationAdmin(HistoryAdmin):
    list_display = ["asked", "what", "meant_by_it", "progress", "shown_state", "workspace_name"]
    list_display_links = ["asked"]
    list_before_template = ""
    query_class = OperationsShown

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        kinds = [(kind.value, kind.label) for kind in BulkKind]
        states = [(state.value, look.label) for state, look in _STATES.items()]
        first = [FilterField("kind", "What", "select", kinds), FilterField("state", "State", "select", states)]
        return [*first, *workspace_field(request)], ()

    def meant(self, request: HttpRequest, query: dict[str, Any], among: Sequence[Workspace]) -> tuple[Any, Keyset]:  # noqa: ARG002
        """Without the ids of the executions, which may be ten thousand; with how many they are, as `matched`."""
        chosen = {name: query[name] for name in ("kind", "state") if name in query}
        rows = BulkOperation.objects.filter(workspace__in=among, **chosen)
        rows = rows.annotate(matched=F("execution_ids__len")).defer("execution_ids")
        return rows, Keyset(("id",), descending=True)

    def whole_rows(self, request: HttpRequest) -> QuerySet[Any]:
        rows = BulkOperation.objects.select_related("workspace").annotate(matched=F("execution_ids__len"))
        return access_of(request).narrow(rows)

    def buttons(self) -> list[tuple[str, Any, str]]:
        return [("<uuid:operation_id>/cancel/", cancel_button, "runs_bulkoperation_cancel")]

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        operation = self.in_sight(request, row_id)
        runs = operation.state == BulkState.RUNNING
        context = {
            **self.base_context(request, original=operation),
            "operation": operation,
            "state": chips.chip(_STATES[BulkState(operation.state)]),
            "filter": json.dumps(operation.filter, indent=2, ensure_ascii=False),
            "skipped": operation.position - operation.done,
            "remaining": operation.matched - operation.position,
            "ids": operation.execution_ids[:_IDS],
            "more_ids": max(0, operation.matched - _IDS),
            "may_cancel": runs and access_of(request).writes(operation.workspace_id),
        }
        return TemplateResponse(request, "admin/runs/bulkoperation/page.html", context)

    @admin.display(description="Asked for, UTC")
    def asked(self, operation: BulkOperation) -> SafeString:
        return chips.instant(operation.created_at)

    @admin.display(description="What")
    def what(self, operation: BulkOperation) -> SafeString:
        return chips.two_lines(operation.kind.capitalize(), operation.asked_by or NOTHING)

    @admin.display(description="Which")
    def meant_by_it(self, operation: BulkOperation) -> SafeString:
        told = ", ".join(f"{name}: {_word(value)}" for name, value in operation.filter.items())
        pace = f"{operation.rate_per_second} a second" if operation.rate_per_second else "as fast as it goes"
        return chips.two_lines(told or "all", pace)

    @admin.display(description="Done")
    def progress(self, operation: Any) -> SafeString:
        return chips.quantity(f"{operation.position:,} of {operation.matched:,}")

    @admin.display(description="State")
    def shown_state(self, operation: BulkOperation) -> SafeString:
        return chips.chip(_STATES[BulkState(operation.state)])

    @admin.display(description="Workspace")
    def workspace_name(self, operation: BulkOperation) -> str:
        return operation.workspace.name


def cancel_button(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseRedirect:
    """Do no more of an operation."""
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
        messages.success(request, "No more of it is done. What it has done stays.")
    return redirect("admin:runs_bulkoperation_change", operation.pk)


# -- executions that were selected in their list -----------------------------------------------------------------------


def ask_button(request: HttpRequest) -> HttpResponse:
    """How many of the selected executions can be replayed or canceled, and whether they should be."""
    kind = request.POST.get("doing", "")
    if kind not in DOINGS or not access_of(request).writes_somewhere:
        raise PermissionDenied
    chosen = list(_ticked(request).values_list("pk", flat=True))
    if not chosen:
        messages.warning(request, "No execution is selected.")
        return back_to_list(request, _EXECUTIONS)
    context = {
        **admin.site.each_context(request),
        "title": f"{DOINGS[kind].label} executions",
        "kind": kind,
        "chosen": chosen,
        "able": len(selected(Execution.objects.filter(pk__in=chosen), kind)),
        "query": asked_query(request).urlencode(),
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "admin/runs/execution/selected.html", context)


def selected_button(request: HttpRequest, kind: str) -> HttpResponseRedirect:
    """Take up an operation on the executions that were selected, one for each workspace."""
    if kind not in DOINGS:
        raise Http404
    chosen = _ticked(request)
    places = {one.workspace_id: one.workspace for one in chosen.select_related("workspace").light()}
    if not all(access_of(request).writes(workspace_id) for workspace_id in places):
        raise PermissionDenied
    original, actor, now = request.POST.get("config") == "original", Actor.of_user(request.user), timezone.now()
    made = [
        start_selected(workspace=place, executions=chosen, kind=kind, original_config=original, now=now, actor=actor)
        for place in places.values()
        if selected(chosen.of(place), kind)
    ]
    if not made:
        able = "has not ended" if kind == BulkKind.CANCEL else "has ended"
        messages.error(request, f"None of these {able}, so there is nothing to {kind}.")
        return back_to_list(request, _EXECUTIONS)
    messages.success(request, "Bulk operation started.")
    return redirect("admin:runs_bulkoperation_change", made[0].pk)


def _ticked(request: HttpRequest) -> ExecutionQuerySet:
    """The executions that the form names, as far as this person sees them."""
    found: ExecutionQuerySet = Execution.objects.filter(pk__in=_ids(request)).in_sight()
    return access_of(request).narrow(found)


def _ids(request: HttpRequest) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text) for text in request.POST.getlist("execution")[:MAX_EXECUTIONS]]
    except ValueError as error:
        raise Http404 from error


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
