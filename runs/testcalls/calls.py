"""Test calls: a job's request, sent once by a worker and answered to the caller. Nothing of it is kept.

This process makes no calls. It leaves the call in the mailbox, sends the workers a message with its id, and waits: for
a worker to take it, then for as long as the call may take, while that worker lives.
"""

import datetime
import json
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from accounts import audit
from accounts.actors import Actor
from accounts.encryption import EncryptionKeyError
from accounts.secrets import SecretsLockedError
from accounts.usage import refuse_when_stopped
from core import exact_json
from core.differences import difference
from core.ids import uuid7_text
from core.redis import REDIS_ERRORS
from jobs.definition.calls import is_workflow
from jobs.definition.overrides import effective, shared
from jobs.models import JobEnvironment
from jobs.services.unreadable import refuse_unreadable
from runs.attempts.contract import FinishedAttempt
from runs.attempts.recording import run_status
from runs.errors import (
    BrokerAwayError,
    CallCrowdedError,
    CallLostError,
    JobGoneError,
    JobNotEnabledError,
    NotForWorkflowsError,
    NoWorkerError,
    TooManyTestCallsError,
)
from runs.models import Run
from runs.postgres_text import as_text, clean
from runs.queue import announce_call
from runs.testcalls.transport import Mailbox, mailbox

#: A worker with room takes a call within milliseconds.
TAKEN_SECONDS = 5.0
#: Beyond the call's timeout: to prepare, evaluate and answer it, or to wait for its host.
MARGIN_SECONDS = 10.0
#: The most concurrent calls of a workspace and of this process: each blocks one of its threads.
PER_WORKSPACE, PER_PROCESS = 3, 4
_LOOK_SECONDS = 1.0
_process = threading.BoundedSemaphore(PER_PROCESS)


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What a worker needs to make a call. `config` is the definition in force in the environment.

    Secrets are not in it: the worker reads those that its templates name.
    """

    call_id: str
    workspace_id: str
    job_id: str
    environment_id: str
    job_environment_id: str
    job_version_id: str
    slug: str
    environment: str
    config: dict[str, Any] = field(repr=False)
    input: Any = field(repr=False)

    def to_json(self) -> str:
        return exact_json.compact(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "CallRequest":
        return cls(**exact_json.loads(text))


def call_once(
    *,
    job_environment: JobEnvironment,
    now: datetime.datetime,
    config: dict[str, Any] | None = None,
    unsaved: Collection[str] = (),
    input: Any = None,  # noqa: A002 - the product's word
    actor: Actor,
) -> Run:
    """Make one call of a job in an environment, and return its run, which is not stored and has no execution.

    `config` is a complete, validated definition instead of the saved one; `unsaved` names what differs in it, for the
    audit log, and leaves the run without a version. Blocks for as long as the call takes. It does not count towards the
    quota, but is refused when that is used up. Raises QuotaExceededError, JobGoneError, JobNotEnabledError,
    NotForWorkflowsError, and what `_answered` raises.
    """
    refuse_when_stopped(job_environment.workspace_id, now=now)
    call = _request(job_environment, config, input)
    details: dict[str, Any] = {"environment": job_environment.environment.slug}
    details |= {"unsaved": sorted(unsaved)} if unsaved else {}
    changes = difference({}, details)
    try:
        columns = _answered(call, job_environment.workspace_id)
    except CallLostError:
        # The request may have carried a secret somewhere, and no execution would show it.
        audit.record("job.tested", job_environment.job, actor=actor, now=now, changes=changes)
        raise
    audit.record("job.tested", job_environment.job, actor=actor, now=now, changes=changes)
    return _run(columns, job_environment, saved=not unsaved)


def _request(job_environment: JobEnvironment, config: dict[str, Any] | None, input: Any) -> CallRequest:  # noqa: A002
    job, environment = job_environment.job, job_environment.environment
    version = job.current_version
    if job.deleted_at is not None or version is None:
        raise JobGoneError(job.slug)
    if not job_environment.enabled:
        raise JobNotEnabledError(job.slug, environment.slug)
    if config is None:
        refuse_unreadable(job, version, environment.pk)
    if is_workflow(version.config if config is None else config):
        raise NotForWorkflowsError(job.slug, "run it to test it")
    return CallRequest(
        call_id=uuid7_text(),
        workspace_id=str(job_environment.workspace_id),
        job_id=str(job.pk),
        environment_id=str(environment.pk),
        job_environment_id=str(job_environment.pk),
        job_version_id=str(version.pk),
        slug=job.slug,
        environment=environment.slug,
        config=shared(effective(version.config if config is None else config, str(environment.pk))),
        input=input,
    )


def _answered(call: CallRequest, workspace_id: uuid.UUID) -> dict[str, Any]:
    """The columns of the run that a worker answers with.

    Raises CallLostError if the request may have been sent. Nothing was sent if it raises TooManyTestCallsError,
    NoWorkerError, CallCrowdedError, BrokerAwayError, or, without an encryption key, SecretsLockedError.
    """
    seconds = call.config["request"]["timeout_seconds"]
    sent = False
    try:
        box = mailbox()
        with _slot(box, workspace_id, call.call_id, seconds=round(seconds + TAKEN_SECONDS + MARGIN_SECONDS) + 1):
            box.leave(call.call_id, call.to_json())
            if not announce_call(call.call_id):
                box.withdraw(call.call_id)
                raise BrokerAwayError
            sent = True
            return _read(_awaited(box, call.call_id, seconds=seconds))
    except REDIS_ERRORS as error:
        if sent:
            raise CallLostError("Redis went away while the call was made; the request may have arrived.") from error
        raise BrokerAwayError from error
    except EncryptionKeyError as error:
        if sent:
            raise CallLostError("The worker that made the call has other HOURHAND_ENCRYPTION_KEYS.") from error
        raise SecretsLockedError(str(error)) from error


def _read(answer: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer)
    if "crowded_seconds" in content:
        raise CallCrowdedError(content["crowded_seconds"])
    if "fault" in content:
        raise CallLostError(content["fault"])
    columns: dict[str, Any] = content["run"]
    return columns


def _awaited(box: Mailbox, call_id: str, *, seconds: float) -> str:
    """Wait for the answer to a call that was announced to the workers."""
    taken_by = time.monotonic() + TAKEN_SECONDS
    while (now := time.monotonic()) < taken_by:
        if (answer := box.answer(call_id, wait_seconds=min(_LOOK_SECONDS, taken_by - now))) is not None:
            return answer
    if box.withdraw(call_id):
        raise NoWorkerError(TAKEN_SECONDS)
    give_up_at = time.monotonic() + seconds + MARGIN_SECONDS
    while time.monotonic() < give_up_at and box.is_held(call_id):
        if (answer := box.answer(call_id, wait_seconds=_LOOK_SECONDS)) is not None:
            return answer
    if (answer := box.answer(call_id, wait_seconds=0)) is not None:
        return answer
    raise CallLostError("The worker that took the call died, or did not answer in time; the request may have arrived.")


@contextmanager
def _slot(box: Mailbox, workspace_id: uuid.UUID, call_id: str, *, seconds: int) -> Iterator[None]:
    """Hold one of this process's slots and one of the workspace's. Raises TooManyTestCallsError."""
    if not _process.acquire(blocking=False):
        raise TooManyTestCallsError("This server is at its limit of concurrent test calls; try again in a moment.")
    try:
        if not box.reserve(workspace_id, call_id, slots=PER_WORKSPACE, seconds=seconds):
            raise TooManyTestCallsError(f"A workspace can have at most {PER_WORKSPACE} concurrent test calls.")
        try:
            yield
        finally:
            box.release(workspace_id, call_id, slots=PER_WORKSPACE)
    finally:
        _process.release()


# -- its run, from the worker to a row that is never saved -------------------------------------------------------------


def run_columns(finished: FinishedAttempt) -> dict[str, Any]:
    """The columns of a finished attempt's run in JSON, redacted as the attempt is."""
    attempt, sent, received, remote_ip, queue_ms, timings, ending, worker, _ = finished
    request_body, request_encoding = as_text(sent.body)
    columns: dict[str, Any] = {
        "id": attempt.run_id,
        "number": attempt.number,
        "trigger": attempt.trigger,
        "status": run_status(ending),
        "failure_reason": ending.failure_reason or "",
        "error": clean(ending.error),
        "started_at": ending.started_at.isoformat(),
        "finished_at": ending.finished_at.isoformat(),
        "duration_ms": round((ending.finished_at - ending.started_at).total_seconds() * 1000),
        "queue_ms": queue_ms,
        **timings._asdict(),
        "request_method": sent.method,
        "request_url": sent.url,
        "request_headers": json.loads(sent.headers),
        "request_body": request_body,
        "request_body_encoding": request_encoding,
        "remote_ip": remote_ip,
        "worker": worker,
    }
    if received is not None:
        body, encoding = as_text(received.body)
        columns |= {
            "response_status": received.status_code,
            "response_headers": received.headers,
            "response_body": body,
            "response_body_encoding": encoding,
            "body_truncated": received.body_truncated,
            "body_bytes": received.body_bytes,
            "http_version": received.http_version,
            "body_note": received.note,
        }
    return columns


def _run(columns: dict[str, Any], job_environment: JobEnvironment, *, saved: bool) -> Run:
    instants = {name: datetime.datetime.fromisoformat(columns[name]) for name in ("started_at", "finished_at")}
    run = Run(
        **{**columns, **instants, "id": uuid.UUID(columns["id"])},
        workspace_id=job_environment.workspace_id,
        job=job_environment.job,
        environment=job_environment.environment,
        job_version=job_environment.job.current_version if saved else None,
    )
    run.first_run_id = None  # type: ignore[attr-defined] # as rows that were read have it: it is the first
    return run
