"""Takes a request to the URL of a workflow's webhook step: it ends the wait, or is kept until its step is reached.

The sender learns nothing of it. Every decision is made under the lock of the execution's row, as claims and records
are: so a step ends once, whatever else happens to it at the same time.
"""

import datetime
import json
import uuid
from typing import Any, NamedTuple

import structlog
from django.db import connection, transaction

from core.failpoints import failpoint
from core.ids import uuid7
from jobs.definition.conditions import failing
from jobs.definition.facts import Facts
from jobs.definition.reading import UnreadableError, effective_in, workflow_definition_of
from jobs.definition.workflow.contract import MAX_RESULTS_BYTES, AnyStep, ApprovalStep, WebhookStep
from runs.inbound import InboundRequest, unproven
from runs.live_tail.publish import publish_on_commit
from runs.models import Execution
from runs.postgres_text import storable_json
from runs.queue import enqueue_on_commit
from runs.restore_guard import IS_COPY
from runs.workflows.resume_urls import step_of

log = structlog.get_logger(__name__)

_EXECUTION = f"""
    SELECT execution.workspace_id::text, execution.environment_id::text, version.config::text
      FROM runs_execution AS execution JOIN jobs_jobversion AS version ON version.id = execution.job_version_id
     WHERE execution.id = %s AND execution.finished_at IS NULL AND NOT {IS_COPY}
       FOR NO KEY UPDATE OF execution
"""  # noqa: S608 - our own text
_ENCRYPTED = """
    SELECT encode(encrypted, 'base64') FROM accounts_secret
     WHERE workspace_id = %s AND name = %s AND (environment_id = %s OR environment_id IS NULL)
     ORDER BY environment_id NULLS LAST LIMIT 1
"""
_STATE = "SELECT status, wait_expires_at FROM runs_stepstate WHERE execution_id = %s AND step = %s"
# In bytes, as the results are stored, and with this request's.
_RESULTS_BYTES = """
    SELECT octet_length(%s::jsonb::text)
           + coalesce(sum(coalesce(octet_length(output::text), 0) + coalesce(octet_length(extracted::text), 0)), 0)
      FROM runs_stepstate WHERE execution_id = %s
"""
_KEEP_EARLY = """
    INSERT INTO runs_stepstate
           (id, workspace_id, execution_id, step, number, type, status, attempts, wait_kind, message, approvers,
            decisions, output, failure_reason, error, resolved_by, resolved_how)
    VALUES (%s, %s, %s, %s, 1, 'webhook', 'pending', 0, '', '', '[]', '[]', %s::jsonb, '', '', '', 'request')
        ON CONFLICT DO NOTHING
"""
_END_WAIT = """
    UPDATE runs_stepstate SET status = 'succeeded', finished_at = %(now)s, output = %(output)s::jsonb, error = '',
           resolved_how = 'request'
     WHERE execution_id = %(execution)s AND step = %(step)s AND status = 'waiting' AND wait_expires_at > %(now)s
"""
_NOTE = """
    UPDATE runs_stepstate SET error = %s WHERE execution_id = %s AND step = %s AND status = 'waiting'
"""
_GO_ON = """
    UPDATE runs_execution
       SET status = 'pending', next_attempt_at = %(now)s, enqueued_at = %(now)s, wait_kind = '', wait_expires_at = NULL
     WHERE id = %(execution)s AND status = 'waiting' AND step = %(step)s
"""


class _WaitingStep(NamedTuple):
    """The step of a URL, in an execution that the transaction holds, at the database's instant `now`."""

    execution_id: uuid.UUID
    workspace_id: str
    environment_id: str
    step: WebhookStep
    now: datetime.datetime


def resume(token: str, request: InboundRequest) -> None:
    """Take a request to the URL of this token. What does not apply has no effect, and the sender is told the same.

    Raises the database's errors, and EncryptionKeyError: what is not kept must not be confirmed.
    """
    subject = step_of(token)
    if subject is None:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        target = _target(cursor, *subject)
        if target is None:
            return
        output = _output(target.step, request)
        problem = _refusal(cursor, target, request) or _overflow(cursor, target, output)
        if problem is not None:
            log.info("resume_refused", execution_id=str(target.execution_id), step=target.step.id, reason=problem)
            cursor.execute(_NOTE, [f"A request was refused: {problem}.", target.execution_id, target.step.id])
            return
        _take(cursor, target, output)
        failpoint("resume.written")


class ApprovalStepKey(NamedTuple):
    """An approval step of an execution."""

    execution_id: uuid.UUID
    step: str


def approval_of(token: str) -> ApprovalStepKey | None:
    """Return the approval step whose URL has this token; None for any other token. Raises EncryptionKeyError."""
    subject = step_of(token)
    if subject is None:
        return None
    execution_id, position = subject
    executions = Execution.objects.filter(pk=execution_id)
    row = executions.values_list("job_version__config", "environment_id").first()
    step = None if row is None else step_at(row[0], str(row[1]), position)
    return ApprovalStepKey(execution_id, step.id) if isinstance(step, ApprovalStep) else None


def _target(cursor: Any, execution_id: uuid.UUID, position: int) -> _WaitingStep | None:
    """The step of a token, under the lock of its execution; None once that has ended."""
    cursor.execute(_EXECUTION, [execution_id])
    row = cursor.fetchone()
    if row is None:
        return None
    workspace_id, environment_id, config = row
    cursor.execute("SELECT clock_timestamp()")  # after the lock, which may have taken its time
    (now,) = cursor.fetchone()
    step = step_at(json.loads(config), environment_id, position)
    return (
        _WaitingStep(execution_id, workspace_id, environment_id, step, now) if isinstance(step, WebhookStep) else None
    )


def step_at(config: dict[str, Any], environment_id: str, position: int) -> AnyStep | None:
    """The step at a position of a stored workflow; None where there is none, or this release can't read it."""
    try:
        steps = list(workflow_definition_of(effective_in(config, environment_id)).all_steps)
    except UnreadableError:
        return None
    return steps[position] if position < len(steps) else None


def _refusal(cursor: Any, target: _WaitingStep, request: InboundRequest) -> str | None:
    """Why the request does not count, in words."""
    step = target.step
    if request.body is None:
        return "the body is larger than 1 MiB"
    secret = None
    if step.secret_name is not None:
        cursor.execute(_ENCRYPTED, [target.workspace_id, step.secret_name, target.environment_id])
        secret = (cursor.fetchone() or (None,))[0]
    problem = unproven(request, step.preset, header=step.header, encrypted_secret=secret, now=target.now)
    if problem is not None:
        return problem.value.replace("_", " ")
    if request.problem is not None:
        return str(request.problem.label)
    facts = Facts("", target.now, None, "", "", None, {}, body=request.input)
    return failing(step.accept, step.written_accept, facts)


def _output(step: WebhookStep, request: InboundRequest) -> str:
    """What the step brings if this request counts, as JSON."""
    headers = {name: request.headers[name] for name in sorted(step.kept_headers) if name in request.headers}
    body = (request.body or b"").decode(errors="replace")
    return storable_json({"status": "received", "headers": headers, "body": body})


def _overflow(cursor: Any, target: _WaitingStep, output: str) -> str | None:
    """Why the output can't be kept beside the results that the execution has, in words."""
    cursor.execute(_RESULTS_BYTES, [output, target.execution_id])
    (result_bytes,) = cursor.fetchone()
    return (
        f"the execution's results exceed {MAX_RESULTS_BYTES // 1024} KiB" if result_bytes > MAX_RESULTS_BYTES else None
    )


def _take(cursor: Any, target: _WaitingStep, output: str) -> None:
    """End the wait, or keep the request for later. The second request finds the step over, and does nothing."""
    cursor.execute(_STATE, [target.execution_id, target.step.id])
    if cursor.fetchone() is None:
        values = [uuid7(), target.workspace_id, target.execution_id, target.step.id, output]
        cursor.execute(_KEEP_EARLY, values)
        return
    parameters = {
        "execution": target.execution_id, "step": target.step.id, "now": target.now, "output": output,
    }  # fmt: skip
    cursor.execute(_END_WAIT, parameters)
    if cursor.rowcount:
        go_on(cursor, target.execution_id, target.workspace_id, target.step.id, now=target.now)


def go_on(cursor: Any, execution_id: uuid.UUID, workspace_id: str, step: str, *, now: datetime.datetime) -> None:
    """Let a worker continue an execution whose wait at this step is over, after the commit."""
    cursor.execute(_GO_ON, {"execution": execution_id, "step": step, "now": now})
    if cursor.rowcount:
        enqueue_on_commit([execution_id])
    publish_on_commit([(workspace_id, str(execution_id))])
