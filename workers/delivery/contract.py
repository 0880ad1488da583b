"""The delivery engine's input and output: immutable, without Django, Celery or libcurl.

Named tuples, since each run makes several, and a frozen dataclass of ten fields costs five times as much. Ids are text,
as PostgreSQL sends them: nothing here computes with them.
"""

from typing import NamedTuple

from runs.attempts.contract import AttemptKey, Received, Timings
from runs.failures import FailureReason
from workers.delivery.signing import Signature

#: How much of a body is kept, unless the request says otherwise, and how much is read at most.
KEPT_BODY_BYTES = 64 * 1024
READ_BODY_BYTES = 1024 * 1024


class TlsOptions(NamedTuple):
    """How to verify an https endpoint, and the client's own identity. `ca_cert` (PEM) replaces the public
    authorities. `client_cert` and `client_key` (PEM) are presented if the endpoint asks for them.
    """

    verify: bool = True
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def __repr__(self) -> str:
        return f"TlsOptions(verify={self.verify}, client_cert={self.client_cert is not None})"


DEFAULT_TLS = TlsOptions()


class DeliveryRequest(NamedTuple):
    """One attempt to make one HTTP exchange, rendered and signed.

    The engine adds Host, Content-Length, Accept-Encoding and, unless given, User-Agent to `headers`. `attempt` counts
    from 1. `timeout_seconds` is one deadline from resolving the name to the last byte of the answer. `success_statuses`
    holds codes ("204") and classes ("2xx"). `headers` include those of `signature`. `kept_body_bytes`: how much
    of the response to keep. No repr shows what may be secret.
    """

    run_id: str
    execution_id: str
    attempt: int
    workspace_id: str | None
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    timeout_seconds: float = 30.0
    tls: TlsOptions = DEFAULT_TLS
    success_statuses: tuple[str, ...] = ("2xx",)
    signature: Signature | None = None
    kept_body_bytes: int = KEPT_BODY_BYTES

    @property
    def key(self) -> AttemptKey:
        """The execution and attempt number."""
        return self.execution_id, self.attempt

    def signed_for(self, monotonic: float) -> "DeliveryRequest":
        """The request to send at `monotonic`: signed again if it had to wait."""
        if self.signature is None:
            return self
        renewed = self.signature.renewed(self.body, monotonic=monotonic)
        if renewed is self.signature:
            return self
        others = tuple(header for header in self.headers if header not in self.signature.headers)
        return self._replace(headers=others + renewed.headers, signature=renewed)

    def __repr__(self) -> str:
        return f"DeliveryRequest({self.execution_id!r}, attempt={self.attempt}, method={self.method!r})"


class DeliveryResult(NamedTuple):
    """The end of one attempt. Each submitted request yields exactly one, or is returned by `DeliveryEngine.stop`.

    `error` is short text for people. `response` is None without a status line. `started_monotonic` is when the request
    took its slot, by `time.monotonic()`. `sent`: libcurl got the request, so that the endpoint may have seen it; not if
    its name did not resolve. `aborted`: `DeliveryEngine.abort` canceled it, sent or not; its reason is `unknown`, so
    that it never passes for a success.
    """

    request: DeliveryRequest
    failure_reason: FailureReason | None
    error: str | None
    response: Received | None
    remote_ip: str | None
    timings: Timings
    started_monotonic: float
    finished_monotonic: float
    aborted: bool = False
    sent: bool = True

    def __repr__(self) -> str:
        return f"DeliveryResult({self.request!r}, {self.failure_reason!r}, {self.response!r}, {self.timings!r})"

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint answered in time with a success status."""
        return self.failure_reason is None


class InFlight(NamedTuple):
    """A transfer in flight, for `celery inspect deliveries`."""

    execution_id: str
    attempt: int
    host: str
    started_monotonic: float


class Crowded(NamedTuple):
    """A request that was not sent: its host or workspace is full in this worker, so try again in `wait_seconds`.

    With 0 seconds its lease may have expired right before it was sent.
    """

    request: DeliveryRequest
    wait_seconds: float
