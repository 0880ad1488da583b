"""What goes into the delivery engine and what comes out: immutable, free of Django, Celery and libcurl.

Named tuples, because several are made for each run, and a frozen dataclass of ten fields costs five times as much. Ids
are text, as Postgres gives and takes them: nothing here computes with them.
"""

from typing import NamedTuple

from runs.attempts.contract import AttemptKey, Received, Timings
from runs.failures import FailureReason
from workers.delivery.signing import Signature


class TlsOptions(NamedTuple):
    """How far an https endpoint must prove who it is, and how this side does. `ca_cert` (PEM) replaces the public
    authorities; it isn't added. `client_cert` and `client_key` (PEM) are shown where the endpoint asks for them.
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

    `headers` is all that is sent besides Host, Content-Length, Accept-Encoding and (unless given) User-Agent, which are
    the engine's. `attempt` counts from 1. `timeout_seconds` is one deadline from the first step, resolving the name, to
    the last byte of the answer. `success_statuses` holds codes ("204") and classes ("2xx"). The headers of `signature`
    stand among `headers`.
    What may hold a secret is in no repr.
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

    @property
    def key(self) -> AttemptKey:
        """Which attempt this is."""
        return self.execution_id, self.attempt

    def signed_for(self, monotonic: float) -> "DeliveryRequest":
        """The request as it goes out at `monotonic`: signed again if it had to wait."""
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
    """How one attempt ended; every submitted request yields exactly one, or comes back from `DeliveryEngine.stop`.

    `error` is short text for people. `response` is None when no status line came. `started_monotonic` is when the
    request took its place among those under way, by `time.monotonic()`. `sent`: it was handed to libcurl, so that the
    endpoint may have seen it; one whose name did not resolve was not. An aborted one (`aborted`) was canceled by
    `DeliveryEngine.abort`, sent or not; it carries the reason `unknown`, so that it never passes for a success.
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
        """If the endpoint answered in time with a status that counts as success."""
        return self.failure_reason is None


class InFlight(NamedTuple):
    """A transfer that is under way, for `celery inspect deliveries`."""

    execution_id: str
    attempt: int
    host: str
    started_monotonic: float


class Crowded(NamedTuple):
    """A request that was not sent: its host or workspace is full here, so try again in `wait_seconds`.

    With 0 seconds it was late: when it was about to be sent, it might have been another worker's already.
    """

    request: DeliveryRequest
    wait_seconds: float
