"""The page of one execution: its outcome, its timeline, every attempt, and its replays."""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import Environment
from core.words import STATUSES, appearance
from dashboard.base.access import access_of
from dashboard.runs.attempt import ShownRun
from dashboard.runs.callbacks import shown_callbacks
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.timing import ExecutionTimings
from dashboard.runs.waterfall import PHASES, Waterfall
from dashboard.workflows.page import workflow_context
from jobs.definition.calls import is_workflow
from jobs.definition.overrides import effective
from runs.ledger.explain import explain, why_late
from runs.models import Execution
from runs.states import ExecutionStatus, Trigger

_REPLAYS = 20


def show(execution_admin: HistoryAdmin, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
    execution: Execution = execution_admin.get_row(request, row_id)
    definition = effective(execution.job_version.config, str(execution.environment_id))
    now, writes = timezone.now(), access_of(request).writes(execution.workspace_id)
    of_steps = is_workflow(definition)
    context = {
        **execution_admin.base_context(request, original=execution),
        "execution": execution,
        "look": appearance(execution.status, STATUSES),
        "timings": ExecutionTimings.of(execution, now),
        "explanations": explanations_of(execution, now),
        "callbacks": shown_callbacks(execution, may_write=writes),
        "is_workflow": of_steps,
        "now_at": now,
        "replays": Execution.objects.made_from(execution).light().select_related("environment")[:_REPLAYS],
        "is_current": execution.job_version_id == execution.job.current_version_id,
        "replay_environments": replay_environments(execution) if writes else (),
        "may_replay": writes,
        "may_replay_current": writes and execution.job.deleted_at is None,
        "may_retry": writes and execution.status == ExecutionStatus.FAILED,
        "may_cancel": writes and not execution.is_terminal,
        **(
            workflow_context(request, execution, definition, writes=writes, now=now)
            if of_steps
            else _attempts(execution, definition, now)
        ),
    }
    return TemplateResponse(request, "admin/runs/execution/page.html", context)


def _attempts(execution: Execution, definition: Mapping[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """The attempts of a job of one call."""
    runs = list(execution.runs.order_by("step", "number"))
    return {
        "waterfall": Waterfall.of(execution, runs, now),
        "phase_names": PHASES,
        "attempts": [ShownRun.of(run) for run in runs],
        "max_attempts": definition["retry"]["max_attempts"],
    }


def replay_environments(execution: Execution) -> Sequence[Environment]:
    """The environments to replay in: its own, then the others that its job is enabled in."""
    rows = execution.job.job_environments.filter(enabled=True).exclude(environment=execution.environment_id)
    others = [row.environment for row in rows.select_related("environment").order_by("environment__slug")]
    return [execution.environment, *others]


def explanations_of(execution: Execution, now: datetime.datetime) -> list[str]:
    """Sentences on why it was skipped or late."""
    if execution.status != ExecutionStatus.SKIPPED:
        return why_late(execution, now=now)
    if execution.trigger != Trigger.SCHEDULE or execution.scheduled_for is None:
        return []
    explanation = explain(execution.job_environment, at=execution.scheduled_for, now=now)
    explained = explanation.execution
    return [explanation.detail] if explained is not None and explained.pk == execution.pk else []
