"""Approvals that wait: what is asked, who may decide, and the form with which people do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from core.errors import HourhandError
from dashboard.forms.fields import area, choice, flag, text
from dashboard.workflows.waiting import approver_of
from jobs.definition.workflow.contract import ApprovalStep, FormField
from runs.models import Execution, StepState
from runs.states import StepStatus, WaitKind
from runs.workflows.approvals import MAX_NOTE_CHARACTERS, may_decide
from runs.workflows.awaiting import ApproverAccess
from runs.workflows.representation import StepView
from runs.workflows.resume import step_at

_PREFIX = "field_"


class ApprovalForm(forms.Form):
    """A note, and the fields of the step. Required fields matter to those who approve only."""

    note = area(rows=2, mono=False, label="Note", help_text="Shown with the decision.", maxlength=MAX_NOTE_CHARACTERS)

    def __init__(self, fields: Sequence[FormField], submitted: Any = None) -> None:
        super().__init__(submitted, label_suffix="")
        self._described = fields
        own = {f"{_PREFIX}{field.name}": _form_field(field) for field in fields}
        self.fields = {**own, **self.fields}

    def values(self) -> dict[str, Any]:
        """The values of the step's fields, by name. Empty ones are None."""
        given = {field.name: self.cleaned_data[f"{_PREFIX}{field.name}"] for field in self._described}
        return {name: None if value == "" else value for name, value in given.items()}

    def show(self, error: HourhandError) -> None:
        """Put an error of the decision beside its field."""
        name = f"{_PREFIX}{(error.field or '').removeprefix('form.')}"
        self.add_error(name if name in self.fields else None, error.detail)


class ApprovalNumberField(forms.FloatField):
    """A number. Whole ones stay whole."""

    def to_python(self, value: Any) -> Any:
        number = super().to_python(value)
        return int(number) if isinstance(number, float) and number.is_integer() else number


def _form_field(field: FormField) -> forms.Field:
    match field.type:
        case "boolean":
            return flag(field.label)
        case "choice":
            options = [("", "Choose…"), *((option, option) for option in field.options)]
            return choice(options, label=field.label, required=field.required)
        case "number":
            widget = forms.NumberInput(attrs={"class": "hh-input", "step": "any", "inputmode": "decimal"})
            return ApprovalNumberField(label=field.label, required=field.required, widget=widget)
    return text(label=field.label, required=field.required)


@dataclass(frozen=True, slots=True)
class ShownApproval:
    """An approval that waits. Without a `form` this person can't decide, and `refusal` says why."""

    view: StepView
    message: str
    approvers: str
    required: int
    approvals: int
    form: ApprovalForm | None
    refusal: str | None


def waiting_approval(
    request: HttpRequest, execution: Execution, view: StepView, *, form: ApprovalForm | None = None
) -> ShownApproval | None:
    """What an execution asks people at this step; None if it doesn't now. `form` is one with errors."""
    progress = view.approval
    state = StepState.objects.filter(
        execution=execution, step=view.id, status=StepStatus.WAITING, wait_kind=WaitKind.APPROVAL
    ).first()
    if view.wait is None or progress is None or state is None:
        return None
    step = step_at(execution.job_version.config, str(execution.environment_id), view.position)
    refusal = _refusal(request, execution, step, state)
    return ShownApproval(
        view=view,
        message=progress.message,
        approvers=", ".join(progress.approvers),
        required=progress.required,
        approvals=sum(decision["how"] == "approved" for decision in progress.decisions),
        form=None if refusal else form or ApprovalForm(progress.form),
        refusal=refusal,
    )


def _refusal(request: HttpRequest, execution: Execution, step: Any, state: StepState) -> str | None:
    if not isinstance(step, ApprovalStep):
        return "This release of Hourhand can't read the step."
    if state.wait_expires_at is not None and state.wait_expires_at <= timezone.now():
        return "The time to decide is over."
    return refusal_of(approver_of(request), step, execution, state)


def refusal_of(approver: ApproverAccess, step: ApprovalStep, execution: Execution, state: StepState) -> str | None:
    """Why this person can't decide on a step that waits; None if they can."""
    role = approver.roles.get(execution.workspace_id)
    if execution.workspace_id not in approver.writable:
        return "Only people who may run the job may decide."
    if not may_decide(list(step.approvers), actor=approver.actor, role=role):
        return f"Only {', '.join(step.approvers)} may decide."
    if not step.self_approval and (execution.state or {}).get("started_by") == approver.actor.id:
        return "You started this execution, so another person has to decide."
    if any(decision["by_id"] == approver.actor.id for decision in state.decisions):
        return "You have approved it. It waits for more approvals."
    return None
