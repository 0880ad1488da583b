"""The rows of workflows: reads where executions are, and writes what was decided. The caller holds the executions.

Works on any psycopg2 cursor inside a transaction: the workers' own connections, or Django's.
"""

import datetime
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from django.conf import settings

from accounts.encryption import Cipher, EncryptionKeyError
from core import exact_json
from core.ids import uuid7_text_at
from jobs.definition.facts import Facts, StepFacts
from jobs.definition.workflow.contract import (
    ApprovalStep,
    DelayStep,
    HttpStep,
    StepType,
    WaitStep,
    WebhookStep,
    WorkflowDefinition,
)
from runs.failures import FailureReason
from runs.postgres_text import array, clean, text_array
from runs.states import ExecutionStatus, StepStatus
from runs.workflows.advance import FinallyPhase, StepChange, StepRecord, WorkflowOutcome
from runs.workflows.resume_urls import resume_url

log = structlog.get_logger(__name__)

_FACTS = """
    SELECT execution.id::text, execution.created_at, execution.scheduled_for, coalesce(job.slug, ''),
           coalesce(environment.slug, ''), execution.input::text, execution.state::text, execution.output::text
      FROM runs_execution AS execution
      LEFT JOIN jobs_job AS job ON job.id = execution.job_id
      LEFT JOIN accounts_environment AS environment ON environment.id = execution.environment_id
     WHERE execution.id = ANY(%s::uuid[])
"""
_STATES = """
    SELECT execution_id::text, step, status, attempts, wait_expires_at, output::text, extracted::text, private,
           failure_reason, error
      FROM runs_stepstate WHERE execution_id = ANY(%s::uuid[])
"""
_WRITE = """
    INSERT INTO runs_stepstate AS step
           (id, workspace_id, execution_id, step, number, type, status, attempts, started_at, finished_at, wait_kind,
            wait_expires_at, message, approvers, decisions, failure_reason, error, resolved_by, resolved_how)
    SELECT new.id, new.workspace_id, new.execution_id, new.step, 1, new.type, new.status, new.attempts, new.at,
           CASE WHEN new.status NOT IN ('waiting', 'pending') THEN new.at END, new.wait_kind, new.wait_expires_at,
           new.message, new.approvers::jsonb, '[]', new.failure_reason, new.error, '', new.resolved_how
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                  %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::text[],
                  %s::text[])
           AS new (id, workspace_id, execution_id, step, type, status, at, wait_kind, wait_expires_at, failure_reason,
                   resolved_how, attempts, message, approvers, error)
        ON CONFLICT (execution_id, step, number) DO UPDATE
       SET status = excluded.status, finished_at = excluded.finished_at, failure_reason = excluded.failure_reason,
           error = excluded.error, resolved_how = excluded.resolved_how,
           started_at = coalesce(step.started_at, excluded.started_at)
     WHERE step.status IN ('pending', 'waiting')
"""
#: What came early for a step counts only once that is reached, and never if it is skipped.
_UNUSED = (StepStatus.PENDING, StepStatus.SKIPPED)
TYPES: dict[type, StepType] = {
    HttpStep: StepType.HTTP,
    DelayStep: StepType.DELAY,
    WebhookStep: StepType.WEBHOOK,
    ApprovalStep: StepType.APPROVAL,
}


class ExecutionFacts(NamedTuple):
    """What templates and conditions of a workflow's execution see, and where `finally` stands.

    `hidden`: secret values that steps extracted, which nothing may show. `result_bytes`: what the steps' results take.
    """

    facts: Facts
    states: Mapping[str, StepRecord]
    ending: FinallyPhase | None
    hidden: tuple[str, ...]
    result_bytes: int


def read_facts(cursor: Any, definitions: Mapping[str, WorkflowDefinition]) -> dict[str, ExecutionFacts]:
    """Read the facts of executions, given their workflows by id. Those that can't be read are left out."""
    ids = array(list(definitions))
    cursor.execute(_FACTS, [ids])
    rows = cursor.fetchall()
    cursor.execute(_STATES, [ids])
    steps: dict[str, list[tuple[Any, ...]]] = {}
    for execution_id, *row in cursor.fetchall():
        steps.setdefault(execution_id, []).append(tuple(row))
    facts = {}
    for row in rows:
        try:
            facts[row[0]] = _facts(row, steps.get(row[0], ()), definitions[row[0]])
        except Exception:  # One execution whose rows say nonsense must not hold up the others of its claim.
            log.exception("workflow_not_read", execution_id=row[0])
    return facts


def _facts(row: tuple[Any, ...], steps: Sequence[tuple[Any, ...]], workflow: WorkflowDefinition) -> ExecutionFacts:
    execution_id, created_at, scheduled_for, job, environment, given, state, output = row
    state = exact_json.loads(state) if state else {}
    states, hidden = {}, []
    for step, *columns in steps:
        if step in workflow.by_id:
            url = partial(resume_url, execution_id, workflow.by_id[step].position)
            states[step], secrets = _record(tuple(columns), url, where=execution_id)
            hidden += secrets
    urls = {
        step.id: StepFacts(resume_url=partial(resume_url, execution_id, step.position))
        for step in workflow.all_steps
        if isinstance(step, WaitStep)
    }
    used = {step: record.facts for step, record in states.items() if record.status not in _UNUSED}
    facts = Facts(
        execution_id, created_at, scheduled_for, job, environment, None if given is None else exact_json.loads(given),
        {}, state.get("trigger") or {}, urls | used,
    )  # fmt: skip
    results = (text for *_, output, extracted, _, _, _ in steps for text in (output, extracted) if text)
    result_bytes = sum(len(text.encode()) for text in results)
    return ExecutionFacts(facts, states, _ending(state, output), tuple(hidden), result_bytes)


def _record(columns: tuple[Any, ...], url: Callable[[], str], *, where: str) -> tuple[StepRecord, list[str]]:
    """A step's record, and the secret values in it."""
    status, attempts, wait_expires_at, output, extracted, private, reason, error = columns
    brought = exact_json.loads(output) if output else {}
    secret = _decrypted(private, where=where)
    facts = StepFacts(
        brought.get("status"),
        brought.get("headers", {}),
        brought.get("body"),
        {**(exact_json.loads(extracted) if extracted else {}), **secret.get("extracted", {})},
        url,
    )
    failure_reason = FailureReason(reason) if reason else None
    record = StepRecord(StepStatus(status), facts, attempts, wait_expires_at, failure_reason, error)
    return record, _texts(secret)


def secret_values(private: Any, *, where: str) -> list[str]:
    """The secret values in the private part of a step's result, as templates would send them."""
    return _texts(_decrypted(private, where=where))


def _texts(secret: Mapping[str, Any]) -> list[str]:
    return [*map(secret_text, secret.get("extracted", {}).values())]


def secret_text(value: Any) -> str:
    """The text of an extracted secret, as templates would send it."""
    return value if isinstance(value, str) else exact_json.compact(value)


def _decrypted(private: Any, *, where: str) -> dict[str, Any]:
    """The private part of a step's result. Without its key, templates that name its values fail."""
    if private is None:
        return {}
    try:
        values: dict[str, Any] = exact_json.loads(Cipher(settings.ENCRYPTION_KEYS).decrypt(bytes(private)))
    except EncryptionKeyError as error:
        log.error("step_result_not_decrypted", execution_id=where, error=str(error))
        return {}
    return values


def _ending(state: Mapping[str, Any], output: str | None) -> FinallyPhase | None:
    """The outcome that is decided while `finally` runs."""
    ending = state.get("finally")
    if ending is None:
        return None
    reason = ending["failure_reason"]
    outcome = WorkflowOutcome(
        ExecutionStatus(ending["status"]),
        FailureReason(reason) if reason else None,
        ending["error"],
        None if output is None else exact_json.loads(output),
    )
    return FinallyPhase(outcome, datetime.datetime.fromisoformat(ending["until"]))


def ending_json(ending: FinallyPhase) -> dict[str, Any]:
    """What `Execution.state` keeps of it, under `finally`."""
    outcome = ending.outcome
    reason = outcome.failure_reason
    return {
        "status": outcome.status.value,
        "failure_reason": reason.value if reason else "",
        "error": outcome.error,
        "until": ending.until.isoformat(),
    }


class RecordedChange(NamedTuple):
    """A change of a step of an execution, at an instant."""

    workspace_id: str
    execution_id: str
    at: datetime.datetime
    of_step: StepChange


def write_steps(cursor: Any, changes: Collection[RecordedChange]) -> None:
    """Insert the rows of steps that are reached, and end those that waited. One that has ended stays as it is."""
    if not changes:
        return
    *columns, messages, approvers, errors = zip(*map(_step_row, changes), strict=True)
    cursor.execute(_WRITE, [*map(list, columns), text_array(messages), list(approvers), text_array(errors)])


def _step_row(change: RecordedChange) -> tuple[Any, ...]:
    workspace_id, execution_id, at, of_step = change
    step, reason = of_step.step, of_step.failure_reason
    approvers = list(step.approvers) if isinstance(step, ApprovalStep) else []
    return (
        uuid7_text_at(at), workspace_id, execution_id, step.id, TYPES[type(step)].value, of_step.status.value, at,
        of_step.wait_kind.value if of_step.wait_kind else "", of_step.wait_expires_at, reason.value if reason else "",
        of_step.resolved_how, of_step.attempts, clean(of_step.message), json.dumps(approvers), clean(of_step.error),
    )  # fmt: skip
