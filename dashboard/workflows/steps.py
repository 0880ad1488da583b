"""The steps of an execution as its page shows them: state, calls, results, and from where a retry may go on."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import exact_json
from core.words import STATUSES, Appearance, appearance
from dashboard.base.pretty import PrettyBody, indented_json, pretty_body
from dashboard.runs.attempt import ShownRun
from dashboard.workflows.timeline import StepBars, StepTimeline
from jobs.definition.workflow.contract import MAX_RUNS, OnFailure
from runs.attempts.redaction import REDACTED
from runs.failures import FailureReason
from runs.models import Execution, Run
from runs.states import ExecutionStatus, StepStatus
from runs.workflows.advance import OVER
from runs.workflows.representation import StepView

TYPES = {
    "http": Appearance("HTTP call", "idle", "http"),
    "delay": Appearance("Delay", "idle", "timer"),
    "webhook": Appearance("Webhook", "idle", "webhook"),
    "approval": Appearance("Approval", "idle", "how_to_reg"),
}
_NOT_REACHED = Appearance("Not reached", "idle", "remove")
_AHEAD = Appearance("Not reached yet", "idle", "more_horiz")
_EARLY = Appearance("Request received early", "wait", "mark_email_read")
#: Attempts that a page shows in full: the latest of each of so many steps. The others are links.
_MOST_IN_FULL = 20
#: Calls of a step that its table lists, the latest.
_MOST_LISTED = 10
_LARGE = ("request_headers", "request_body", "response_headers", "response_body", "output", "error_output")


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step's row and card. `calls` are the latest, the newest last; `last_call` is the newest in full.

    `extracted` has None for a hidden value. `may_retry_from`: all steps before it have results.
    """

    view: StepView
    look: Appearance
    kind: Appearance
    bars: StepBars
    calls: Sequence[Run]
    calls_in_total: int
    last_call: ShownRun | None
    extracted: Sequence[tuple[str, str | None]]
    decisions: Sequence[Mapping[str, Any]]
    may_retry_from: bool

    @property
    def is_open(self) -> bool:
        """Shown unfolded: what failed, and where the execution is."""
        return self.view.status in (StepStatus.FAILED, StepStatus.RUNNING, StepStatus.WAITING)

    @property
    def answer(self) -> PrettyBody | None:
        """What the step brought, unless its last call shows the same."""
        if self.last_call is not None or self.view.output is None:
            return None
        return pretty_body(self.view.output.get("body"), "utf-8")

    @property
    def is_resolved_early(self) -> bool:
        return self.view.resolved_how == "early"


@dataclass(frozen=True, slots=True)
class ShownSteps:
    """All steps of an execution; those of `finally` apart."""

    steps: Sequence[ShownStep]
    cleanup: Sequence[ShownStep]
    is_cut: bool

    @property
    def done(self) -> int:
        return sum(step.view.status in OVER for step in self.steps)


def shown_steps(
    execution: Execution, views: Sequence[StepView], written: Mapping[str, Any], now: datetime.datetime
) -> ShownSteps:
    """Read the runs of an execution and lay out its steps. `written` is its effective definition.

    Two queries, however many steps there are.
    """
    runs = _runs_by_step(execution)
    latest = sorted((own[-1] for own in runs.values()), key=lambda run: run.started_at)[-_MOST_IN_FULL:]
    in_full = Run.objects.in_bulk([run.pk for run in latest])
    polling = frozenset(step["id"] for step in _steps_in(written) if step.get("poll"))
    timeline = StepTimeline.of([(view, runs.get(view.id, ())) for view in views], polling=polling, now=now)
    by_id = {step["id"]: step for step in _steps_in(written)}
    steps, has_results = [], True
    for view, bars in zip(views, timeline.rows, strict=True):
        own = runs.get(view.id, [])
        last = in_full.get(own[-1].pk) if own else None
        retried = execution.status == ExecutionStatus.FAILED and has_results and not view.in_finally
        steps.append(_shown(execution, view, bars, own, last, may_retry_from=retried))
        has_results = has_results and _is_passed(view, by_id.get(view.id, {}))
    return ShownSteps(
        [step for step in steps if not step.view.in_finally],
        [step for step in steps if step.view.in_finally],
        timeline.is_cut,
    )


def _shown(
    execution: Execution, view: StepView, bars: StepBars, own: Sequence[Run], last: Run | None, *, may_retry_from: bool
) -> ShownStep:
    return ShownStep(
        view=view,
        look=look_of(execution, view),
        kind=appearance(view.type, TYPES),
        bars=bars,
        calls=own[-_MOST_LISTED:],
        calls_in_total=len(own),
        last_call=ShownRun.of(last) if last else None,
        extracted=extracted_of(view),
        decisions=decisions_of(view),
        may_retry_from=may_retry_from,
    )


def look_of(execution: Execution, view: StepView) -> Appearance:
    """The state of a step in words. One without a row may be ahead, or out of reach."""
    if view.status != StepStatus.PENDING:
        return appearance(view.status, STATUSES)
    if view.output is not None:
        return _EARLY
    if execution.is_terminal:
        return _NOT_REACHED
    return appearance(view.status, STATUSES) if execution.step == view.id else _AHEAD


def extracted_of(view: StepView) -> list[tuple[str, str | None]]:
    """The values that a step extracted, by name; None for a secret one."""
    return [(name, _value_text(value)) for name, value in (view.extracted or {}).items()]


def decisions_of(view: StepView) -> list[Mapping[str, Any]]:
    """What people decided on a step, with the instants of it."""
    decisions = view.approval.decisions if view.approval else ()
    return [{**decision, "at": datetime.datetime.fromisoformat(decision["at"])} for decision in decisions]


def _runs_by_step(execution: Execution) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for run in execution.runs.defer(*_LARGE).order_by("started_at", "number")[:MAX_RUNS]:
        runs.setdefault(run.step, []).append(run)
    return runs


def _is_passed(view: StepView, step: Mapping[str, Any]) -> bool:
    """Whether the workflow went on after this step."""
    if view.status != StepStatus.FAILED:
        return view.status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
    expired = view.failure_reason == FailureReason.WAIT_EXPIRED and step.get("on_timeout") == OnFailure.CONTINUE
    return expired or step.get("on_failure") == OnFailure.CONTINUE


def _steps_in(written: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps of a definition, without those of `finally`."""
    return list((written.get("workflow") or {}).get("steps", ()))


def _value_text(value: Any) -> str | None:
    """A value in words of JSON; None for one that is hidden."""
    if value == REDACTED:
        return None
    if isinstance(value, str):
        return value
    return indented_json(exact_json.compact(value))
