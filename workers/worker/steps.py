"""Workflows in a worker: what their claimed executions do next, and what the calls of their steps mean."""

import base64
import datetime
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings

from accounts.encryption import Cipher
from core import exact_json
from jobs.definition.assertions.contract import CheckedResponse
from jobs.definition.overrides import PerEnvironment
from jobs.definition.workflow.contract import MAX_RESULT_BYTES, MAX_RESULTS_BYTES, Poll
from runs.attempts.charsets import Reading
from runs.attempts.contract import Ending, Received, StepResult
from runs.attempts.redaction import redact_text
from runs.attempts.retry import SUCCEEDED, Canceled, GiveUp, PollIn, RetryIn, StepCanceled, StepDone, Verdict
from runs.failures import FailureReason
from runs.postgres_text import storable_json
from runs.workflows.extraction import Extracted, extracted_from
from runs.workflows.hiding import without
from runs.workflows.progress import ClaimedWorkflow, StepCall, progress
from runs.workflows.rows import secret_text
from workers.delivery.contract import KEPT_BODY_BYTES, READ_BODY_BYTES, DeliveryResult
from workers.worker.claimed import Claimed, ClaimedRow
from workers.worker.versions import Version, WorkflowVersion

#: The shortest time that a call gets which starts just before its workflow's time is over.
_LEAST_SECONDS = 1.0
#: The largest answer that is taken for the result without another look.
_SMALL_OUTPUT_BYTES = 16 * 1024


class NextCalls(NamedTuple):
    """The calls of workflows' steps, by execution; the claimed `rows` that are called, those that `moved` on without a
    call, and those `postponed`, which are pending again for a claim that may end them.
    """

    calls: Mapping[str, StepCall]
    rows: Sequence[ClaimedRow]
    moved: Sequence[ClaimedRow] = ()
    postponed: Sequence[ClaimedRow] = ()


def next_calls(
    cursor: Any, rows: Sequence[ClaimedRow], versions: Mapping[str, PerEnvironment[Any]], *, may_end: bool
) -> NextCalls:
    """Move the claimed workflows on, in the claim's transaction. `may_end` is that of `progress`."""
    if not any(isinstance(version, WorkflowVersion) for each in versions.values() for version in each.all):
        return NextCalls({}, rows)
    workflows = {
        row.execution_id: ClaimedWorkflow(
            row.execution_id, row.workspace_id, row.job_environment_id, row.step, row.step_attempts,
            row.started_at or row.claimed_at, row.claimed_at, version.workflow,
        )
        for row in rows
        if isinstance(version := versions[row.job_version_id].of(row.environment_id), WorkflowVersion)
    }  # fmt: skip
    if not workflows:
        return NextCalls({}, rows)
    calls, postponed = progress(cursor, list(workflows.values()), may_end=may_end)
    gone = workflows.keys() - calls.keys()
    return NextCalls(
        calls,
        [row for row in rows if row.execution_id not in gone],
        [row for row in rows if row.execution_id in gone - postponed],
        [row for row in rows if row.execution_id in postponed],
    )


def step_version(version: Any, call: StepCall | None) -> Version:
    """What is called: a job's own request, or that of a workflow's step within the workflow's time."""
    chosen: Version = version if call is None else version.calls[call.step.id]
    return chosen


def limited_timeout(seconds: float, call: StepCall | None, now: datetime.datetime) -> float:
    """The timeout of a call: a workflow's ends with the workflow."""
    if call is None:
        return seconds
    return max(_LEAST_SECONDS, min(seconds, (call.deadline - now).total_seconds()))


def kept_body_bytes(call: StepCall | None) -> int:
    """How much of a response to read into memory: extraction and polling see all that is read."""
    return READ_BODY_BYTES if call is not None and (call.step.extract or call.step.poll) else KEPT_BODY_BYTES


def message_key(execution_id: str, call: StepCall | None) -> str:
    """What identifies a call to its receiver: the same for all attempts, another for each step and poll."""
    if call is None:
        return execution_id
    poll = f"-{call.number - call.attempt + 1}" if call.step.poll else ""
    return f"{execution_id}-{call.step.id}{poll}"


@dataclass(frozen=True)
class Answer:
    """What a call brought, as assertions and extraction see it: as much of the body as was read."""

    result: DeliveryResult
    received: Received | None
    reading: Reading | None

    @functools.cached_property
    def checked(self) -> CheckedResponse:
        """The response, of which there is one. It parses its JSON once."""
        received, reading = self.received, self.reading
        assert received is not None
        return CheckedResponse(
            received.status_code,
            received.headers,
            received.body,
            received.body_truncated,
            self.result.timings.total_ms,
            unreadable=reading and reading.unreadable,
            opaque=reading is not None and reading.opaque,
        )


class StepVerdict(NamedTuple):
    """What the call of a step means. `secrets`, which history must not show, include those that it extracted."""

    ending: Ending
    result: StepResult
    secrets: tuple[str, ...]


def evaluate_step(claimed: Claimed, answer: Answer, ending: Ending) -> StepVerdict:
    """Decide what the call of a step means, given its ending as that of a job's own request."""
    call = claimed.step
    assert call is not None
    result = StepResult(call.workflow.following(call.step), counted_runs=call.number - call.attempt)
    if isinstance(ending.verdict, Canceled):
        if call.workflow.finally_steps and call.step in call.workflow.steps:
            ending = ending._replace(verdict=StepCanceled(ending.verdict.sent))
        return StepVerdict(ending, result, claimed.secrets)
    if ending.failure_reason is None and call.step.poll is not None:
        missing = _missing(call.step.poll, answer)
        if missing is not None:
            return _poll_again(claimed, answer, ending, result)
    taken = Extracted()
    if ending.failure_reason is None and call.step.extract:
        taken, ending = _extract(answer, call, ending)
    secrets = (*claimed.secrets, *map(secret_text, taken.secret.values()))
    result = _with_values(result, taken, answer, call, secrets)
    if ending.failure_reason is None and (whole := _whole_output(answer, call, secrets)) is not None:
        return StepVerdict(ending._replace(verdict=SUCCEEDED), result._replace(workflow_output=whole), secrets)
    return StepVerdict(ending._replace(verdict=_verdict(ending, call)), result, secrets)


def _whole_output(answer: Answer, call: StepCall, secrets: tuple[str, ...]) -> str | None:
    """What the whole workflow results in, if this success ends it and the last answer is the result: then it needs no
    further claim. None where a claim is to decide.
    """
    workflow, received = call.workflow, answer.received
    if not workflow.ends_with(call.step) or workflow.output is not None or received is None:
        return None
    if received.body_truncated or not 0 < len(received.body) <= _SMALL_OUTPUT_BYTES:
        return None
    text = received.body.decode(errors="replace")
    try:
        return storable_json(without(exact_json.loads(text), secrets))
    except (ValueError, RecursionError):
        return storable_json(redact_text(text, secrets))


def _verdict(ending: Ending, call: StepCall) -> Verdict:
    """A retry within the workflow's time, or the end of the step."""
    match ending.verdict:
        case RetryIn(delay_ms):
            left_ms = round((call.deadline - ending.finished_at).total_seconds() * 1000)
            return RetryIn(max(0, min(delay_ms, left_ms)))
        case _:
            return StepDone(ending.failure_reason)


def _missing(poll: Poll, answer: Answer) -> str | None:
    """What of `until` does not hold yet."""
    return next((problem for check in poll.until if (problem := check.problem(answer.checked)) is not None), None)


def _poll_again(claimed: Claimed, answer: Answer, ending: Ending, result: StepResult) -> StepVerdict:
    call = claimed.step
    assert call is not None
    assert call.step.poll is not None
    poll = call.step.poll
    until = min(call.deadline, ending.started_at + datetime.timedelta(seconds=poll.timeout_seconds))
    left_seconds = max(0.0, (until - ending.finished_at).total_seconds())
    verdict = PollIn(round(min(poll.every_seconds, left_seconds) * 1000))
    result = _with_values(result._replace(poll_until=until), Extracted(), answer, call, claimed.secrets)
    return StepVerdict(ending._replace(verdict=verdict), result, claimed.secrets)


def _extract(answer: Answer, call: StepCall, ending: Ending) -> tuple[Extracted, Ending]:
    """Take the values; the step fails if one is missing, or can't be kept secret."""
    taken = extracted_from(answer.checked, call.step.extract)
    problem = taken.problem
    if not problem and taken.secret and not settings.ENCRYPTION_KEYS:
        problem = "secret values can't be kept without HOURHAND_ENCRYPTION_KEYS"
    if not problem:
        return taken, ending
    reason = FailureReason.EXTRACTION_FAILED
    return Extracted(), ending._replace(verdict=GiveUp(reason), failure_reason=reason, error=f"extract: {problem}")


def _with_values(
    result: StepResult, taken: Extracted, answer: Answer, call: StepCall, secrets: tuple[str, ...]
) -> StepResult:
    """Keep what later steps may name: the answer as far as it fits, and the extracted values."""
    public = without(taken.public, secrets)
    return result._replace(
        output=_output(answer, call, secrets),
        extracted=storable_json(public) if public else None,
        private=_encrypted({"extracted": taken.secret}) if taken.secret else None,
    )


def _output(answer: Answer, call: StepCall, secrets: tuple[str, ...]) -> str | None:
    received = answer.received
    if received is None:
        return None
    room = min(MAX_RESULT_BYTES, MAX_RESULTS_BYTES - call.result_bytes)
    headers = {name: received.headers[name] for name in sorted(call.step.kept_headers) if name in received.headers}
    output: dict[str, Any] = {"status": received.status_code, "headers": without(headers, secrets)}
    if len(received.body) <= room and not received.body_truncated:
        output["body"] = redact_text(received.body.decode(errors="replace"), secrets)
    text = storable_json(output)
    return text if len(text.encode()) <= room else storable_json({"status": received.status_code})


def _encrypted(values: Mapping[str, Any]) -> str:
    token = Cipher(settings.ENCRYPTION_KEYS).encrypt(exact_json.compact(values))
    return base64.b64encode(token).decode()
