"""Retries a workflow from a step: the results of those before it are carried over, and say where they came from."""

import contextlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import connection

from core.errors import ConflictError
from core.ids import uuid7
from jobs.definition.reading import UnreadableError, effective_in, workflow_definition_of
from jobs.definition.workflow.contract import AnyStep, WorkflowDefinition
from jobs.models import JobVersion
from runs.models import Execution, StepState
from runs.states import StepStatus
from runs.workflows.advance import OVER, goes_on

START, FAILED = "start", "failed"
_COPY = """
    INSERT INTO runs_stepstate
           (id, workspace_id, execution_id, step, number, type, status, attempts, started_at, finished_at, wait_kind,
            wait_expires_at, message, approvers, output, extracted, private, decisions, failure_reason, error,
            resolved_by, resolved_how, carried_from)
    SELECT copy.id, workspace_id, copy.execution_id, step, number, type, status, 0, started_at, finished_at, wait_kind,
           wait_expires_at, message, approvers, output, extracted, private, decisions, failure_reason, error,
           resolved_by, resolved_how, coalesce(carried_from, source.execution_id)
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS copy (source_id, id, execution_id)
      JOIN runs_stepstate AS source ON source.id = copy.source_id
"""


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
    workflow = _workflow_of(config, execution.environment_id)
    return _carried(workflow, _states_of([execution.pk])[execution.pk], from_step)


def carried_in_bulk(executions: Collection[Execution]) -> dict[uuid.UUID, Sequence[StepState]]:
    """Return what retries of these executions from the step that failed take over, by execution.

    Those whose workflow this release can't read are left out. Definitions are read one after another: a batch may have
    hundreds, of 256 KiB each.
    """
    states = _states_of([execution.pk for execution in executions])
    by_version: dict[uuid.UUID, list[Execution]] = {}
    for execution in executions:
        by_version.setdefault(execution.job_version_id, []).append(execution)
    carried: dict[uuid.UUID, Sequence[StepState]] = {}
    for version_id, of_version in by_version.items():
        config = JobVersion.objects.values_list("config", flat=True).get(pk=version_id)
        for execution in of_version:
            with contextlib.suppress(CannotRetryFromError):
                workflow = _workflow_of(config, execution.environment_id)
                carried[execution.pk] = _carried(workflow, states[execution.pk], FAILED)
    return carried


def _workflow_of(config: dict[str, Any], environment_id: uuid.UUID) -> WorkflowDefinition:
    """Raises CannotRetryFromError where this release can't read it."""
    try:
        return workflow_definition_of(effective_in(config, str(environment_id)))
    except UnreadableError as error:
        raise CannotRetryFromError(f"This release can't read the workflow: {error}") from error


def _states_of(execution_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, StepState]]:
    """The steps of executions, without their results."""
    states: dict[uuid.UUID, dict[str, StepState]] = {key: {} for key in execution_ids}
    rows = StepState.objects.filter(execution__in=list(execution_ids))
    for state in rows.only("execution_id", "step", "status", "failure_reason"):
        states[state.execution_id][state.step] = state
    return states


def _carried(workflow: WorkflowDefinition, states: dict[str, StepState], from_step: str | None) -> Sequence[StepState]:
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


def carry_over(carried: Mapping[uuid.UUID, Sequence[StepState]]) -> None:
    """Copy results into new executions, by their ids, in the caller's transaction.

    The database copies them: a batch may have hundreds of megabytes. Their runs stay those of the old executions.
    """
    rows = [(state.pk, uuid7(), into) for into, states in carried.items() for state in states]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_COPY, [list(column) for column in zip(*rows, strict=True)])
