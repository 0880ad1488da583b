"""Representations of workflows' steps and of what executions wait for. Pure."""

import dataclasses
import datetime
from collections.abc import Iterable
from typing import Any

from core.validation.fields import instant_text
from jobs.definition.workflow.contract import FormField
from runs.workflows.representation import ApprovalProgress, StepView, StepWait


def represent_step(step: StepView) -> dict[str, Any]:
    """A step of a workflow's execution."""
    return {
        "id": step.id,
        "type": step.type,
        "number": step.number,
        "section": "finally" if step.in_finally else "steps",
        "status": step.status,
        "attempts": step.attempts,
        "started_at": _instant(step.started_at),
        "finished_at": _instant(step.finished_at),
        "waiting": represent_wait(step.wait),
        "approval": _approval(step.approval),
        "output": step.output,
        "extracted": step.extracted,
        "failure_reason": step.failure_reason or None,
        "error": step.error or None,
        "resolved_by": step.resolved_by or None,
        "resolved_how": step.resolved_how or None,
        "carried_from": step.carried_from and str(step.carried_from),
    }


def represent_wait(wait: StepWait | None) -> dict[str, Any] | None:
    """What an execution waits for."""
    if wait is None:
        return None
    return {
        "kind": wait.kind,
        "step": wait.step,
        "since": _instant(wait.since),
        "expires_at": _instant(wait.expires_at),
        "resume_url": wait.resume_url,
        "url_set": wait.has_url,
    }


def _approval(approval: ApprovalProgress | None) -> dict[str, Any] | None:
    if approval is None:
        return None
    return {
        "message": approval.message or None,
        "approvers": list(approval.approvers),
        "required": approval.required,
        "decisions": [
            {**decision, "at": instant_text(datetime.datetime.fromisoformat(decision["at"]))}
            for decision in approval.decisions
        ],
        "form": represent_form(approval.form),
    }


def represent_form(fields: Iterable[FormField]) -> list[dict[str, Any]]:
    """The fields of an approval's form."""
    return [{**dataclasses.asdict(field), "options": list(field.options)} for field in fields]


def _instant(value: datetime.datetime | None) -> str | None:
    return None if value is None else instant_text(value)
