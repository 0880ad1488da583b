"""What a workflow does next, decided from its steps so far. Pure: no clock, no database.

Every step moves forward only: it is reached once and ends once. So deciding again from the same rows, on another worker
or after a restart, gives the same.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.definition.conditions import failing
from jobs.definition.facts import Facts, StepFacts
from jobs.definition.templates import RenderingError, Template
from jobs.definition.workflow.contract import (
    FINALLY_SECONDS,
    MAX_RUNS,
    AnyStep,
    ApprovalStep,
    DelayStep,
    HttpStep,
    OnFailure,
    WaitStep,
    WebhookStep,
    WorkflowDefinition,
)
from runs.failures import FailureReason
from runs.states import ExecutionStatus, StepStatus, WaitKind
from runs.workflows.output import OutputError, output_of

OVER = (StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELED)
MAX_MESSAGE_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step as its row has it. `attempts` are the runs that the row counts."""

    status: StepStatus
    facts: StepFacts
    attempts: int = 0
    wait_expires_at: datetime.datetime | None = None
    failure_reason: FailureReason | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowOutcome:
    """How a workflow ends."""

    status: ExecutionStatus
    failure_reason: FailureReason | None = None
    error: str = ""
    output: Any = None


@dataclass(frozen=True, slots=True)
class FinallyPhase:
    """The phase after the steps, while `finally` runs: the outcome is decided, and due by `until`."""

    outcome: WorkflowOutcome
    until: datetime.datetime


@dataclass(frozen=True, slots=True)
class StepChange:
    """A change of one step's row, or its first one."""

    step: AnyStep
    status: StepStatus
    wait_kind: WaitKind | None = None
    wait_expires_at: datetime.datetime | None = None
    message: str = ""
    failure_reason: FailureReason | None = None
    error: str = ""
    resolved_how: str = ""
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class CallStep:
    """Call this step. `earlier_runs` of it are counted in its row, and do not count as attempts of this call."""

    step: HttpStep
    deadline: datetime.datetime
    earlier_runs: int = 0


@dataclass(frozen=True, slots=True)
class WaitAt:
    """Wait at this step until a request, a person, or the instant."""

    step: AnyStep
    kind: WaitKind
    until: datetime.datetime


@dataclass(frozen=True, slots=True)
class Finish:
    """The workflow is over."""

    outcome: WorkflowOutcome


Move = CallStep | WaitAt | Finish


@dataclass(slots=True)
class Advance:
    """What to write, and what to do next. `ending` is set once the steps are over and `finally` has begun.

    `facts` have what came early for steps that this reaches.
    """

    move: Move
    changes: list[StepChange] = field(default_factory=list)
    ending: FinallyPhase | None = None
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class WorkflowPosition:
    """Where an execution is, as its rows say. `step_attempts` are the runs of its step that no row counts yet."""

    states: Mapping[str, StepRecord]
    started_at: datetime.datetime
    now: datetime.datetime
    step: str = ""
    step_attempts: int = 0
    ending: FinallyPhase | None = None
    hide: Callable[[Any], Any] = lambda value: value


def advance(workflow: WorkflowDefinition, position: WorkflowPosition, facts: Facts) -> Advance:
    """Decide what follows. `facts` have the steps' values; they are those of `position.states`."""
    walk = _Walk(workflow, position, facts)
    ending = position.ending
    if ending is None:
        ahead = walk.through(workflow.steps, deadline=position.started_at + seconds(workflow.timeout_seconds))
        if not isinstance(ahead, WorkflowOutcome):
            return Advance(ahead, walk.changes, facts=walk.facts)
        if not workflow.finally_steps:
            return Advance(Finish(ahead), walk.changes, facts=walk.facts)
        ending = FinallyPhase(ahead, position.now + seconds(FINALLY_SECONDS))
    move = walk.through_finally(ending)
    return Advance(move, walk.changes, ending, walk.facts)


def seconds(count: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=count)


class _Walk:
    """One walk along the steps, with the changes that it makes on the way."""

    def __init__(self, workflow: WorkflowDefinition, position: WorkflowPosition, facts: Facts) -> None:
        self.changes: list[StepChange] = []
        self._workflow = workflow
        self._position = position
        self.facts = facts
        self._states = position.states
        self._runs = sum(state.attempts for state in self._states.values()) + position.step_attempts

    def through(self, steps: Sequence[AnyStep], *, deadline: datetime.datetime) -> CallStep | WaitAt | WorkflowOutcome:
        """Go on to the first step that has something to do; else the outcome."""
        for step in steps:
            state = self._states.get(step.id)
            if state is None or state.status not in OVER:
                if self._position.now >= deadline:
                    return self._out_of_time(step, state)
                arrived = self._arrive(step, state, deadline)
                if isinstance(arrived, CallStep | WaitAt):
                    return arrived
                state = arrived
            if state.status == StepStatus.CANCELED:
                return WorkflowOutcome(ExecutionStatus.CANCELED, error=state.error)
            if state.status == StepStatus.FAILED:
                if step.on_failure is OnFailure.STOP:
                    break
                if not goes_on(step, state.failure_reason):
                    return WorkflowOutcome(ExecutionStatus.FAILED, state.failure_reason, f"{step.id}: {state.error}")
        return self._success()

    def through_finally(self, ending: FinallyPhase) -> Move:
        """Run the steps of `finally`. Their failures are shown and change nothing."""
        for step in self._workflow.finally_steps:
            state = self._states.get(step.id)
            if state is not None and state.status in OVER:
                continue
            if self._position.now >= ending.until:
                self._cut_off(step, state, f"finally did not end within {FINALLY_SECONDS:,} s.")
                continue
            arrived = self._arrive(step, state, ending.until)
            if isinstance(arrived, CallStep | WaitAt):
                return arrived
        return Finish(ending.outcome)

    def _arrive(
        self, step: AnyStep, state: StepRecord | None, deadline: datetime.datetime
    ) -> CallStep | WaitAt | StepRecord:
        """Deal with a step that is not over: it calls, it waits, or it ends here."""
        if state is not None and state.status == StepStatus.WAITING:
            return self._wake(step, state, deadline)
        begun = self._position.step == step.id and self._position.step_attempts > 0
        if not begun and (problem := failing(step.conditions, step.written_conditions, self.facts)) is not None:
            return self._end(step, StepStatus.SKIPPED, error=problem)
        match step:
            case HttpStep():
                return self._call(step, deadline)
            case DelayStep():
                return self._delay(step, deadline)
            case WebhookStep() if state is not None:  # its request came before
                self.facts = replace(self.facts, steps={**self.facts.steps, step.id: state.facts})
                return self._end(step, StepStatus.SUCCEEDED, how="early", facts=state.facts)
            case WebhookStep():
                return self._wait(step, WaitKind.WEBHOOK, self._limit(step, deadline))
            case ApprovalStep():
                return self._ask(step, deadline)

    def _wake(self, step: AnyStep, state: StepRecord, deadline: datetime.datetime) -> CallStep | WaitAt | StepRecord:
        """A step that waited: its time may be over."""
        assert state.wait_expires_at is not None
        over = self._position.now >= state.wait_expires_at
        match step:
            case HttpStep() if not over:
                return self._call(step, min(deadline, state.wait_expires_at), earlier_runs=state.attempts)
            case HttpStep():
                error = f"What it polls for did not happen within {step.poll.timeout_seconds if step.poll else 0:,} s."
                return self._fail(step, FailureReason.WAIT_EXPIRED, error)
            case DelayStep() if over:
                return self._end(step, StepStatus.SUCCEEDED)
            case WaitStep() if over:
                error = f"Nobody {_EXPECTED[type(step)]} within {step.timeout_seconds:,} s."
                return self._fail(step, FailureReason.WAIT_EXPIRED, error, how="expired")
        return WaitAt(step, _KINDS[type(step)], state.wait_expires_at)

    def _call(self, step: HttpStep, deadline: datetime.datetime, *, earlier_runs: int = 0) -> CallStep | StepRecord:
        if self._runs >= MAX_RUNS:
            error = f"The execution reached {MAX_RUNS:,} runs, the most that one may make."
            return self._fail(step, FailureReason.TIMEOUT, error)
        return CallStep(step, deadline, earlier_runs)

    def _delay(self, step: DelayStep, deadline: datetime.datetime) -> WaitAt | StepRecord:
        try:
            until = self._position.now + seconds(step.seconds) if step.seconds is not None else self._instant(step)
        except RenderingError as error:
            return self._fail(step, FailureReason.TEMPLATE_ERROR, f"until can't be rendered: {error}.")
        if until <= self._position.now:
            return self._end(step, StepStatus.SUCCEEDED)
        return self._wait(step, WaitKind.DELAY, min(until, deadline))

    def _instant(self, step: DelayStep) -> datetime.datetime:
        assert step.until is not None
        try:
            instant = datetime.datetime.fromisoformat(step.until.render(self.facts).strip())
        except ValueError as error:
            if isinstance(error, RenderingError):
                raise
            raise RenderingError("it is no ISO 8601 datetime") from error
        if instant.tzinfo is None:
            raise RenderingError("it is a datetime without an offset from UTC")
        return instant

    def _ask(self, step: ApprovalStep, deadline: datetime.datetime) -> WaitAt | StepRecord:
        try:
            message = self._position.hide(self._rendered(step.message))
        except RenderingError as error:
            return self._fail(step, FailureReason.TEMPLATE_ERROR, f"message can't be rendered: {error}.")
        return self._wait(step, WaitKind.APPROVAL, self._limit(step, deadline), message=message)

    def _rendered(self, template: Template | None) -> str:
        return "" if template is None else template.render(self.facts)[:MAX_MESSAGE_CHARACTERS]

    def _limit(self, step: WaitStep, deadline: datetime.datetime) -> datetime.datetime:
        return min(deadline, self._position.now + seconds(step.timeout_seconds))

    def _wait(self, step: AnyStep, kind: WaitKind, until: datetime.datetime, *, message: str = "") -> WaitAt:
        self.changes.append(StepChange(step, StepStatus.WAITING, kind, until, message))
        return WaitAt(step, kind, until)

    def _fail(self, step: AnyStep, reason: FailureReason, error: str, *, how: str = "") -> StepRecord:
        return self._end(step, StepStatus.FAILED, reason=reason, error=error, how=how)

    def _end(
        self,
        step: AnyStep,
        status: StepStatus,
        *,
        reason: FailureReason | None = None,
        error: str = "",
        how: str = "",
        facts: StepFacts | None = None,
        attempts: int = 0,
    ) -> StepRecord:
        change = StepChange(step, status, failure_reason=reason, error=error, resolved_how=how, attempts=attempts)
        self.changes.append(change)
        return StepRecord(status, facts or StepFacts(), failure_reason=reason, error=error)

    def _out_of_time(self, step: AnyStep, state: StepRecord | None) -> WorkflowOutcome:
        self._cut_off(step, state, "The time of the whole workflow was over.")
        error = f"The workflow did not end within {self._workflow.timeout_seconds:,} s."
        return WorkflowOutcome(ExecutionStatus.FAILED, FailureReason.TIMEOUT, error)

    def _cut_off(self, step: AnyStep, state: StepRecord | None, error: str) -> None:
        """End a step that has begun. One that has not gets no row."""
        runs = self._position.step_attempts if self._position.step == step.id else 0
        if state is not None or runs:
            self._end(step, StepStatus.CANCELED, error=error, attempts=runs)

    def _success(self) -> WorkflowOutcome:
        try:
            output = output_of(self._workflow, self.facts)
        except OutputError as error:
            return WorkflowOutcome(ExecutionStatus.FAILED, FailureReason.TEMPLATE_ERROR, str(error))
        return WorkflowOutcome(ExecutionStatus.SUCCEEDED, output=self._position.hide(output))


def goes_on(step: AnyStep, reason: str | None) -> bool:
    """Whether the workflow goes on after a step that failed for this reason."""
    if step.on_failure is OnFailure.CONTINUE:
        return True
    expired = reason == FailureReason.WAIT_EXPIRED
    return expired and isinstance(step, WaitStep) and step.continues_on_timeout


_KINDS: dict[type, WaitKind] = {
    HttpStep: WaitKind.POLL,
    DelayStep: WaitKind.DELAY,
    WebhookStep: WaitKind.WEBHOOK,
    ApprovalStep: WaitKind.APPROVAL,
}
_EXPECTED: dict[type, str] = {WebhookStep: "called its URL", ApprovalStep: "decided"}
