"""What an execution's page has of a workflow, in place of attempts: its steps, and what it waits for."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from dashboard.runs.waterfall import PHASES
from dashboard.workflows.approvals import ShownApproval, waiting_approval
from dashboard.workflows.steps import shown_steps
from dashboard.workflows.timeline import KINDS
from runs.models import Execution
from runs.states import ExecutionStatus, WaitKind
from runs.workflows.representation import StepView, StepWait, steps_of


@dataclass(frozen=True, slots=True)
class ShownWait:
    """What an execution waits for. `next_at`: when a step that polls calls again."""

    step: StepView
    wait: StepWait
    next_at: datetime.datetime | None
    approval: ShownApproval | None


def workflow_context(
    request: HttpRequest, execution: Execution, definition: Mapping[str, Any], *, writes: bool, now: datetime.datetime
) -> dict[str, Any]:
    """Read the steps, their runs and what waits: a fixed number of queries."""
    views = steps_of(execution, may_resume=writes)
    steps = shown_steps(execution, views, definition, now)
    ending = (execution.state or {}).get("finally")
    return {
        "steps": steps,
        "waiting": _waiting(request, execution, views),
        "retries_from": next((step.view.id for step in reversed(steps.steps) if step.may_retry_from), ""),
        "has_cleanup": bool(steps.cleanup) and ending is None and bool(execution.step),
        "cleans_up": ending is not None and not execution.is_terminal,
        "refreshes": not execution.is_terminal,
        "phase_names": (*PHASES, *KINDS),
    }


def _waiting(request: HttpRequest, execution: Execution, views: list[StepView]) -> ShownWait | None:
    step = next((view for view in views if view.wait is not None), None)
    if step is None or step.wait is None or execution.status != ExecutionStatus.WAITING:
        return None
    is_poll = step.wait.kind == WaitKind.POLL
    approval = waiting_approval(request, execution, step) if step.wait.kind == WaitKind.APPROVAL else None
    return ShownWait(step, step.wait, execution.wait_expires_at if is_poll else None, approval)
