"""The page of one approval, behind the link that is sent to people: what it is about, and the buttons that decide."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.actors import Actor
from core.errors import HourhandError
from core.words import STATUSES, Appearance, appearance
from dashboard.base.access import access_of
from dashboard.workflows.approvals import ApprovalForm, ShownApproval, waiting_approval
from dashboard.workflows.steps import decisions_of, extracted_of, look_of
from jobs.definition.workflow.contract import StepType
from runs.models import Execution
from runs.workflows.approvals import ApprovalChoice, decide
from runs.workflows.representation import StepView, steps_of

#: The value of `decision` that approves; any other rejects.
_APPROVE = "approve"
#: The value of `back` that leads to the execution's page after a decision, instead of this page.
_TO_EXECUTION = "execution"
_MOST_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """What a step before the approval brought, in short."""

    step: str
    look: Appearance
    extracted: Sequence[tuple[str, str | None]]
    answer: str

    @classmethod
    def of(cls, execution: Execution, view: StepView) -> "EarlierResult":
        body = str((view.output or {}).get("body") or "")
        answer = body if len(body) <= _MOST_CHARACTERS else f"{body[:_MOST_CHARACTERS]}…"
        return cls(view.id, look_of(execution, view), extracted_of(view), answer)


@require_http_methods(["GET", "POST"])
def approval_page(request: HttpRequest, execution_id: uuid.UUID, step: str) -> HttpResponse:
    """Show what waits for a decision, or who decided. Only a posted form decides."""
    execution, form = _execution(request, execution_id), None
    views = steps_of(execution, may_resume=False)
    view = _approval_in(views, step)
    approval = waiting_approval(request, execution, view)
    if request.method == "POST":
        form = ApprovalForm(view.approval.form if view.approval else (), request.POST)
        if _is_settled(request, execution, approval, form, step):
            if request.POST.get("back") == _TO_EXECUTION:
                return redirect("admin:runs_execution_change", execution.pk)
            return redirect("admin:approval", execution.pk, step)
        approval = waiting_approval(request, execution, view, form=form)
    earlier = [each for each in views if each.position < view.position and each.finished_at is not None]
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Approval {step}",
        "execution": execution,
        "view": view,
        "look": look_of(execution, view),
        "execution_look": appearance(execution.status, STATUSES),
        "approval": approval,
        "decisions": decisions_of(view),
        "earlier": [EarlierResult.of(execution, each) for each in earlier],
    }
    return TemplateResponse(request, "admin/runs/workflow/approval.html", context)


def _is_settled(
    request: HttpRequest, execution: Execution, approval: ShownApproval | None, form: ApprovalForm, step: str
) -> bool:
    """Decide as the form says, and report what came of it. False: the form has errors to show."""
    approves = request.POST.get("decision") == _APPROVE
    if not form.is_valid() and (approves or "note" in form.errors):
        return False
    if approval is not None and approval.refusal is not None:
        messages.error(request, approval.refusal)
        return True
    try:
        decide(
            workspace=execution.workspace,
            execution_id=execution.pk,
            step=step,
            choice=ApprovalChoice(approves, form.cleaned_data["note"], form.values() if approves else {}),
            actor=Actor.of_user(request.user),
            now=timezone.now(),
        )
    except HourhandError as error:
        if (error.field or "").startswith("form."):
            form.show(error)
            return False
        messages.error(request, error.detail)
        return True
    messages.success(request, _outcome(approval, approves=approves))
    return True


def _outcome(approval: ShownApproval | None, *, approves: bool) -> str:
    if not approves:
        return "Rejected."
    missing = approval.required - approval.approvals - 1 if approval else 0
    return f"Approved. It needs {missing} more approval{'s' if missing > 1 else ''}." if missing > 0 else "Approved."


def _approval_in(views: Sequence[StepView], step: str) -> StepView:
    """The approval step of this id. Raises Http404."""
    for view in views:
        if view.id == step and view.type == StepType.APPROVAL:
            return view
    raise Http404


def _execution(request: HttpRequest, execution_id: uuid.UUID) -> Execution:
    """The execution, for a person who sees it. Raises Http404."""
    rows = Execution.objects.select_related("workspace", "job", "environment", "job_version").in_sight()
    execution: Execution | None = access_of(request).narrow(rows).filter(pk=execution_id).first()
    if execution is None:
        raise Http404
    return execution
