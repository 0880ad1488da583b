"""Evaluates a delivered attempt: the engine's result, on the database's clock, with its verdict. Pure."""

import datetime
import json
import random

from jobs.definition.assertions import failed_assertion
from runs.attempts.charsets import Reading, reading_of
from runs.attempts.contract import IN_FLIGHT_CANCELED, UNSENT_CANCELED, Ending, FinishedAttempt, Received, Sent
from runs.attempts.recording import LONGEST_MS
from runs.attempts.redaction import redact_attempt, redact_headers
from runs.attempts.retry import SUCCEEDED, Canceled, Verdict, verdict
from runs.attempts.retry_after import retry_after_ms
from runs.failures import FailureReason
from runs.postgres_text import as_json
from workers.delivery.contract import KEPT_BODY_BYTES, DeliveryResult
from workers.worker.claimed import Claimed
from workers.worker.steps import Answer, evaluate_step


def evaluate(claimed: Claimed, result: DeliveryResult, *, worker: str, rng: random.Random) -> FinishedAttempt:
    """Make the record of an attempt that `worker` claimed and the engine ended."""
    started_seconds = result.started_monotonic - claimed.claimed_monotonic
    took_seconds = max(0.0, result.finished_monotonic - result.started_monotonic)
    started_at = claimed.claimed_at + datetime.timedelta(seconds=started_seconds)
    finished_at = started_at + datetime.timedelta(seconds=took_seconds)
    queue_ms = min(max(0, claimed.queue_ms + round(started_seconds * 1000)), LONGEST_MS)
    received, reading = _read(result.response)
    reason, error = _outcome(claimed, result, received, reading)
    # By position: keyword arguments take a named tuple twice the time, for every run.
    ending = Ending(_verdict(claimed, result, reason, finished_at, rng), reason, error, started_at, finished_at)
    secrets, step = claimed.secrets, None
    if claimed.step is not None:
        ending, step, secrets = evaluate_step(claimed, Answer(result, received, reading), ending)
        received = received and _recorded_part(received)
    sent = _sent(claimed, result)
    finished = FinishedAttempt(
        claimed.attempt, sent, received, result.remote_ip, queue_ms, result.timings, ending, worker, step
    )
    return redact_attempt(finished, secrets) if secrets else finished


def _recorded_part(received: Received) -> Received:
    """The response with as much of its body as history keeps."""
    if len(received.body) <= KEPT_BODY_BYTES:
        return received
    return received._replace(body=received.body[:KEPT_BODY_BYTES], body_truncated=True)


def _sent(claimed: Claimed, result: DeliveryResult) -> Sent:
    """The request as history stores it, with the signature that was sent."""
    signature = result.request.signature
    if signature is None or signature is claimed.request.signature:
        return claimed.sent
    headers = {**json.loads(claimed.sent.headers), **redact_headers(signature.headers)}
    return claimed.sent._replace(headers=as_json(headers))


def _verdict(
    claimed: Claimed,
    result: DeliveryResult,
    reason: FailureReason | None,
    finished_at: datetime.datetime,
    rng: random.Random,
) -> Verdict:
    if result.aborted:
        return Canceled(sent=result.sent)
    if reason is None:
        return SUCCEEDED
    response = result.response
    return verdict(
        claimed.definition.retry,
        attempt=claimed.retries,
        reason=reason,
        status_code=response.status_code if response else None,
        retry_after_ms=retry_after_ms(response.headers, received_at=finished_at) if response else None,
        rng=rng,
    )


def _read(received: Received | None) -> tuple[Received | None, Reading | None]:
    """Convert the body of a response to UTF-8 if it declares another charset. The reading is None if it is plain."""
    if received is None:
        return None, None
    reading = reading_of(received.headers, received.body, truncated=received.body_truncated)
    if reading is not None:
        received = received._replace(body=reading.body, note=received.note or reading.note)
    return received, reading


def _outcome(
    claimed: Claimed, result: DeliveryResult, response: Received | None, reading: Reading | None
) -> tuple[FailureReason | None, str]:
    """Why the attempt failed, if it did. Assertions apply only to responses with a success status."""
    if result.aborted:
        return None, IN_FLIGHT_CANCELED if result.sent else UNSENT_CANCELED
    assertions = claimed.definition.assertions
    if result.succeeded and response is not None and assertions:
        failed = failed_assertion(
            assertions,
            status=response.status_code,
            headers=response.headers,
            body=response.body,
            body_truncated=response.body_truncated,
            total_ms=result.timings.total_ms,
            unreadable=reading and reading.unreadable,
            opaque=reading is not None and reading.opaque,
        )
        if failed is not None:
            return FailureReason.ASSERTION_FAILED, failed
    return result.failure_reason, result.error or ""
