"""One attempt as values: what was claimed, what went over the wire, and what it meant. Pure.

Ids are text here, as Postgres gives and takes them: the firing path never computes with them.
"""

import datetime
from dataclasses import dataclass

from runs.failures import FailureReason
from runs.retry import Verdict

#: What a run says that was canceled in flight.
IN_FLIGHT_CANCELED = "Canceled in flight; the request may have arrived."
#: What it says once its worker has told that there was nothing in flight yet.
UNSENT_CANCELED = "Canceled before the request was sent."


@dataclass(frozen=True, slots=True)
class Attempt:
    """An execution that a worker holds. `lease_owner` and `number` are the fencing token."""

    run_id: str
    lease_owner: str
    execution_id: str
    workspace_id: str
    job_id: str
    environment_id: str
    job_environment_id: str
    job_version_id: str
    trigger: str
    number: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The request as history keeps it: header values redacted."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None

    def with_headers(self, more: dict[str, str]) -> "Sent":
        """The same request with `more` headers, redacted already."""
        return Sent(self.method, self.url, {**self.headers, **more}, self.body)


@dataclass(frozen=True, slots=True)
class Received:
    """The response: `body` is what was kept of it, `body_bytes` how much there was."""

    status_code: int
    headers: dict[str, str]
    body: bytes
    body_bytes: int
    body_truncated: bool
    http_version: str


@dataclass(frozen=True, slots=True)
class Phases:
    """Milliseconds; None for a phase that did not happen."""

    queue_ms: int | None = None
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, and what follows. `started_at` and `finished_at` are on the database's clock."""

    verdict: Verdict
    failure_reason: FailureReason | None
    error: str
    started_at: datetime.datetime
    finished_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """All that is recorded of one attempt."""

    attempt: Attempt
    sent: Sent
    received: Received | None
    remote_ip: str | None
    phases: Phases
    ending: Ending
    worker: str
