"""The page of one execution: its outcome, its timeline, every attempt, and its replays."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import Environment
from core.words import STATUSES, appearance
from dashboard.base.access import access_of
from dashboard.runs.callbacks import shown_callbacks
from dashboard.runs.curl import CurlCommand, curl_command
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.timing import ExecutionTimings
from dashboard.runs.waterfall import PHASES, Bar, Waterfall, phases
from jobs.definition.calls import is_workflow
from jobs.definition.overrides import effective
from runs.attempts.redaction import REDACTED
from runs.ledger.explain import explain, why_late
from runs.models import Execution, Run
from runs.states import ExecutionStatus, Trigger

_REPLAYS = 20


@dataclass(frozen=True, slots=True)
class ShownRun:
    """An attempt's card. `hidden_*` count the redacted values in the request and in the response."""

    run: Run
    phases: tuple[Bar, ...]
    curl: CurlCommand
    hidden_sent: int
    hidden_received: int

    @classmethod
    def of(cls, run: Run) -> "ShownRun":
        sent, received = run.request_headers or {}, run.response_headers or {}
        return cls(
            run,
            phases(run),
            curl_command(
                method=run.request_method,
                url=run.request_url,
                headers=sent,
                body=run.request_body,
                body_encoding=run.request_body_encoding,
            ),
            hidden_sent=_hidden(*sent.values(), run.request_url, run.request_body),
            hidden_received=_hidden(*received.values(), run.response_body),
        )


def show(execution_admin: HistoryAdmin, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
    execution: Execution = execution_admin.get_row(request, row_id)
    definition = effective(execution.job_version.config, str(execution.environment_id))
    runs, now = list(execution.runs.order_by("step", "number")), timezone.now()
    writes = access_of(request).writes(execution.workspace_id)
    context = {
        **execution_admin.base_context(request, original=execution),
        "execution": execution,
        "look": appearance(execution.status, STATUSES),
        "timings": ExecutionTimings.of(execution, now),
        "waterfall": Waterfall.of(execution, runs, now),
        "phase_names": PHASES,
        "attempts": [ShownRun.of(run) for run in runs],
        "callbacks": shown_callbacks(execution, may_write=writes),
        "explanations": explanations_of(execution, now),
        "is_workflow": is_workflow(definition),
        "max_attempts": None if is_workflow(definition) else definition["retry"]["max_attempts"],
        "replays": Execution.objects.made_from(execution).light().select_related("environment")[:_REPLAYS],
        "is_current": execution.job_version_id == execution.job.current_version_id,
        "replay_environments": replay_environments(execution) if writes else (),
        "may_replay": writes,
        "may_replay_current": writes and execution.job.deleted_at is None,
        "may_retry": writes and execution.status == ExecutionStatus.FAILED,
        "may_cancel": writes and not execution.is_terminal,
    }
    return TemplateResponse(request, "admin/runs/execution/page.html", context)


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


def _hidden(*texts: Any) -> int:
    return sum(str(text).count(REDACTED) for text in texts if text)
