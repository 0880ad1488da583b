"""What a delivered attempt is recorded as: the engine's result, on the database's clock, with its verdict. Pure."""

import datetime
import random
import re

from runs.attempts import Ending, FinishedAttempt, Phases, Received
from runs.redaction import redact_attempt
from runs.retry import verdict
from workers.claim import Claimed
from workers.delivery.contract import DeliveryResult, Response


def judge(claimed: Claimed, result: DeliveryResult, *, worker: str, chance: random.Random) -> FinishedAttempt:
    """All that is recorded of an attempt that `worker` claimed and the engine ended."""

    def on_database_clock(monotonic: float) -> datetime.datetime:
        return claimed.claimed_at + datetime.timedelta(seconds=monotonic - claimed.claimed_monotonic)

    response, timings = result.response, result.timings
    started_at = on_database_clock(result.started_monotonic)
    handed_over_ms = round((result.started_monotonic - claimed.claimed_monotonic) * 1000)
    queue_ms = max(0, claimed.queue_ms + handed_over_ms)
    finished = FinishedAttempt(
        attempt=claimed.attempt,
        sent=claimed.sent,
        received=_received(response) if response else None,
        remote_ip=result.remote_ip,
        phases=Phases(
            queue_ms, timings.dns_ms, timings.connect_ms, timings.tls_ms, timings.first_byte_ms, timings.total_ms
        ),
        ending=Ending(
            verdict=verdict(
                claimed.definition.retry,
                attempt=claimed.attempt.number,
                reason=result.failure_reason,
                status_code=response.status_code if response else None,
                retry_after_ms=_retry_after_ms(response.headers) if response else None,
                chance=chance,
            ),
            failure_reason=result.failure_reason,
            error=result.error or "",
            started_at=started_at,
            finished_at=max(started_at, on_database_clock(result.finished_monotonic)),
        ),
        worker=worker,
    )
    return redact_attempt(finished, claimed.secrets) if claimed.secrets else finished


def _received(response: Response) -> Received:
    return Received(
        response.status_code,
        response.headers,
        response.body,
        response.body_bytes,
        response.body_truncated,
        response.http_version,
    )


def _retry_after_ms(headers: dict[str, str]) -> int | None:
    """`Retry-After` in seconds (RFC 9110, section 10.2.3). A date needs the target's clock and is not read here."""
    value = headers.get("retry-after", "").strip()
    return int(value) * 1000 if re.fullmatch(r"[0-9]{1,9}", value) else None
