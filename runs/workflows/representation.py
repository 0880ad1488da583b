"""What people see of a workflow's execution: its steps in the order of the definition, and what it waits for.

The API and the dashboard show these. Secret values that steps extracted are redacted, and URLs that resume steps are
for callers who may write.
"""

import datetime
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Func, JSONField, Min, Value

from accounts.encryption import EncryptionKeyError
from jobs.definition.reading import UnreadableError, effective_in, workflow_definition_of
from jobs.definition.workflow.contract import AnyStep, ApprovalStep, FormField, HttpStep, WorkflowDefinition
from runs.attempts.redaction import REDACTED
from runs.models import Execution, Run, StepState
from runs.states import ExecutionStatus, StepStatus, WaitKind
from runs.workflows.hiding import without
from runs.workflows.resume_urls import resume_url
from runs.workflows.rows import TYPES, secret_values

_WITH_URL = (WaitKind.WEBHOOK, WaitKind.APPROVAL)
_IDS = "jsonb_path_query_array(%(expressions)s::jsonpath)"


@dataclass(frozen=True, slots=True)
class StepWait:
    """What a step waits for, since when, and until when at most. `has_url`: a URL resumes it, which may be hidden."""

    kind: str
    step: str
    since: datetime.datetime | None
    expires_at: datetime.datetime | None
    has_url: bool
    resume_url: str | None


@dataclass(frozen=True, slots=True)
class ApprovalProgress:
    """What an approval step asks, of whom, and what they decided so far: `{by, how, note, form, at}` each."""

    message: str
    approvers: tuple[str, ...]
    required: int
    decisions: tuple[Mapping[str, Any], ...]
    form: tuple[FormField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step of an execution. One that was not reached is pending, also after the execution's end."""

    id: str
    type: str
    position: int
    in_finally: bool
    status: str
    number: int = 1
    attempts: int = 0
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    wait: StepWait | None = None
    approval: ApprovalProgress | None = None
    output: Mapping[str, Any] | None = None
    extracted: Mapping[str, Any] | None = None
    failure_reason: str = ""
    error: str = ""
    resolved_by: str = ""
    resolved_how: str = ""
    carried_from: uuid.UUID | None = None


def steps_of(execution: Execution, *, may_resume: bool) -> list[StepView]:
    """Return the steps of a workflow's execution, those of `finally` last; none of another kind of job."""
    config = execution.job_version.config
    if not isinstance(config, dict) or config.get("kind") != "workflow":
        return []
    states = {state.step: state for state in StepState.objects.filter(execution=execution).order_by("id")}
    hidden = [value for state in states.values() for value in secret_values(state.private, where=str(execution.pk))]
    try:
        workflow = workflow_definition_of(effective_in(config, str(execution.environment_id)))
    except UnreadableError:
        return [_row_alone(position, state, hidden) for position, state in enumerate(states.values())]
    reader = _Reader(execution, workflow, hidden, may_resume=may_resume)
    return [reader.view(step, states.get(step.id)) for step in workflow.all_steps]


def waits_of(executions: Collection[Execution], *, may_resume: bool) -> dict[uuid.UUID, StepWait]:
    """Return what the waiting ones of these executions wait for, with one query if there are any."""
    waiting = [execution.pk for execution in executions if execution.status == ExecutionStatus.WAITING]
    if not waiting:
        return {}
    ids = Func(
        F("execution__job_version__config"), Value("$.workflow.steps[*].id"), template=_IDS, output_field=JSONField()
    )
    states = StepState.objects.filter(execution__in=waiting, status=StepStatus.WAITING).annotate(ids=ids)
    columns = ("execution_id", "step", "wait_kind", "started_at", "wait_expires_at", "ids")
    return {
        row.execution_id: StepWait(
            row.wait_kind,
            row.step,
            row.started_at,
            row.wait_expires_at,
            row.wait_kind in _WITH_URL,
            _url(row.execution_id, row.ids.index(row.step), row.wait_kind) if may_resume else None,
        )
        for row in states.values_list(*columns, named=True)
    }


def _url(execution_id: uuid.UUID, position: int, kind: str) -> str | None:
    """The URL that resumes a step. None without the encryption key, which doctor reports."""
    if kind not in _WITH_URL:
        return None
    try:
        return resume_url(execution_id, position)
    except EncryptionKeyError:
        return None


def _row_alone(position: int, state: StepState, hidden: list[str]) -> StepView:
    """A step as its row has it, where this release can't read the definition."""
    return StepView(
        id=state.step, type=state.type, position=position, in_finally=False, status=state.status,
        **_of_row(state, hidden),
    )  # fmt: skip


def _of_row(state: StepState, hidden: list[str]) -> dict[str, Any]:
    is_kept = state.status == StepStatus.PENDING  # a request that came early, which decides nothing yet
    return {
        "number": state.number,
        "attempts": state.attempts,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "output": without(state.output, hidden),
        "extracted": without(state.extracted, hidden),
        "failure_reason": state.failure_reason,
        "error": without(state.error, hidden),
        "resolved_by": state.resolved_by,
        "resolved_how": "" if is_kept else state.resolved_how,
        "carried_from": state.carried_from,
    }


class _Reader:
    """Reads the steps of one execution."""

    def __init__(
        self, execution: Execution, workflow: WorkflowDefinition, hidden: list[str], *, may_resume: bool
    ) -> None:
        self._execution = execution
        self._steps = len(workflow.steps)
        self._hidden = hidden
        self._may_resume = may_resume

    def view(self, step: AnyStep, state: StepState | None) -> StepView:
        is_current = step.id == self._execution.step and not self._execution.is_terminal
        columns = {} if state is None else _of_row(state, self._hidden)
        status = StepStatus.PENDING.value if state is None else state.status
        if is_current and (state is None or state.finished_at is None):
            columns |= self._current(step, state)
            status = StepStatus.RUNNING.value if self._is_running else status
        if isinstance(step, HttpStep) and state is not None:
            columns["extracted"] = _with_redacted(columns["extracted"], step, state)
        return StepView(
            id=step.id,
            type=TYPES[type(step)].value,
            position=step.position,
            in_finally=step.position >= self._steps,
            status=status,
            wait=self._wait(step, state) if state is not None and status == StepStatus.WAITING else None,
            approval=self._approval(step, state) if isinstance(step, ApprovalStep) else None,
            **columns,
        )

    @property
    def _is_running(self) -> bool:
        return self._execution.status == ExecutionStatus.RUNNING

    def _current(self, step: AnyStep, state: StepState | None) -> dict[str, Any]:
        """The calls of the current step that its row does not count yet, the one under way included."""
        recorded = self._execution.step_attempts
        counted = state.attempts if state is not None else 0
        started_at = state.started_at if state is not None else None
        if started_at is None and recorded:
            runs = Run.objects.filter(execution=self._execution, step=step.id)
            started_at = runs.aggregate(first=Min("started_at"))["first"]
        return {"attempts": counted + recorded + self._is_running, "started_at": started_at}

    def _wait(self, step: AnyStep, state: StepState) -> StepWait:
        has_url = state.wait_kind in _WITH_URL
        url = _url(state.execution_id, step.position, state.wait_kind) if self._may_resume else None
        return StepWait(state.wait_kind, step.id, state.started_at, state.wait_expires_at, has_url, url)

    def _approval(self, step: ApprovalStep, state: StepState | None) -> ApprovalProgress:
        given = [] if state is None else state.decisions
        decisions = ({name: decision[name] for name in ("by", "how", "note", "form", "at")} for decision in given)
        message = "" if state is None else state.message
        return ApprovalProgress(message, step.approvers, step.required, tuple(decisions), step.form)


def _with_redacted(extracted: Any, step: HttpStep, state: StepState) -> Any:
    """The extracted values, with the names of the secret ones."""
    if state.private is None:
        return extracted
    return {**(extracted or {}), **{taken.name: REDACTED for taken in step.extract if taken.secret}}
