"""Retries a workflow from a step: the results of those before it are carried over, and say where they came from."""

from collections.abc import Sequence

from core.errors import ConflictError
from core.ids import uuid7
from jobs.definition.reading import UnreadableError, effective_in, workflow_definition_of
from jobs.definition.workflow.contract import AnyStep, WorkflowDefinition
from runs.models import Execution, StepState
from runs.states import StepStatus
from runs.workflows.advance import OVER, goes_on

START, FAILED = "start", "failed"


class CannotRetryFromError(ConflictError):
    code = "cannot_retry_from"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="from")


def carried_steps(execution: Execution, from_step: str | None) -> Sequence[StepState]:
    """Return the results that a retry from this step takes over; none of a job without a workflow.

    `from_step` is START, FAILED or the id of a step; None is FAILED. Raises CannotRetryFromError.
    """
    config = execution.job_version.config
    if config.get("kind") != "workflow":
        if from_step not in (None, START, FAILED):
            raise CannotRetryFromError("The job has no steps: leave from out.")
        return ()
    if from_step == START:
        return ()
    try:
        workflow = workflow_definition_of(effective_in(config, str(execution.environment_id)))
    except UnreadableError as error:
        raise CannotRetryFromError(f"This release can't read the workflow: {error}") from error
    states = {state.step: state for state in StepState.objects.filter(execution=execution)}
    position = _failed(workflow, states) if from_step in (None, FAILED) else _named(workflow, states, from_step)
    return [states[step.id] for step in workflow.steps[:position]]


def _failed(workflow: WorkflowDefinition, states: dict[str, StepState]) -> int:
    """The position of the step that failed, else of the first that is not over; at least the last is repeated."""
    for position, step in enumerate(workflow.steps):
        if not _leads_on(step, states.get(step.id)):
            return position
    return len(workflow.steps) - 1


def _named(workflow: WorkflowDefinition, states: dict[str, StepState], name: str | None) -> int:
    positions = {step.id: position for position, step in enumerate(workflow.steps)}
    if name not in positions:
        raise CannotRetryFromError(f"Should be start, failed or one of the steps {', '.join(positions)}.")
    missing = [step.id for step in workflow.steps[: positions[name]] if not _leads_on(step, states.get(step.id))]
    if missing:
        raise CannotRetryFromError(f"The execution did not get to {name}: {missing[0]} has no result to carry over.")
    return positions[name]


def _leads_on(step: AnyStep, state: StepState | None) -> bool:
    """Whether a step has a result with which the workflow goes on."""
    if state is None or state.status not in OVER or state.status == StepStatus.CANCELED:
        return False
    return state.status != StepStatus.FAILED or goes_on(step, state.failure_reason)


def carry_over(states: Sequence[StepState], *, into: Execution) -> None:
    """Copy results into a new execution, in the caller's transaction. Their runs stay those of the old one."""
    for state in states:
        state.carried_from = state.carried_from or state.execution_id
        state.pk, state.execution_id, state.attempts = uuid7(), into.pk, 0
        state._state.adding = True
    StepState.objects.bulk_create(states)
