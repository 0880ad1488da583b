"""What goes into the delivery engine and what comes out: frozen, free of Django, Celery and libcurl."""

from dataclasses import dataclass, field, replace
from uuid import UUID

from runs.failures import FailureReason
from workers.delivery.signing import Signature


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How far an https endpoint must prove who it is. `ca_cert` (PEM) replaces the public authorities; it isn't
    added.
    """

    verify: bool = True
    ca_cert: str | None = None


DEFAULT_TLS = TlsOptions()


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """One attempt to make one HTTP exchange, rendered and signed.

    `headers` is all that is sent besides Host, Content-Length, Accept-Encoding and (unless given) User-Agent, which are
    the engine's. `attempt` counts from 1. `timeout_seconds` is one deadline from the first step, resolving the name, to
    the last byte of the answer. `success_statuses` holds codes ("204") and classes ("2xx"). The headers of `signature`
    stand among `headers`.
    What may hold a secret is in no repr.
    """

    run_id: UUID
    execution_id: UUID
    attempt: int
    workspace_id: UUID | None
    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    tls: TlsOptions = DEFAULT_TLS
    success_statuses: tuple[str, ...] = ("2xx",)
    signature: Signature | None = None

    def signed_for(self, monotonic: float) -> "DeliveryRequest":
        """The request as it goes out at `monotonic`: signed again if it had to wait."""
        if self.signature is None:
            return self
        renewed = self.signature.renewed(self.body, monotonic=monotonic)
        if renewed is self.signature:
            return self
        others = tuple(header for header in self.headers if header not in self.signature.headers)
        return replace(self, headers=others + renewed.headers, signature=renewed)


@dataclass(frozen=True, slots=True)
class Timings:
    """Whole milliseconds. None: that phase did not happen (a kept connection has no first three) or did not end.

    `dns_ms`, `connect_ms` and `tls_ms` say how long that phase took. `first_byte_ms` and `total_ms` count from the
    start, when the request was handed to libcurl.
    """

    dns_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    first_byte_ms: int | None
    total_ms: int | None


@dataclass(frozen=True, slots=True)
class Response:
    """What the endpoint answered, as far as it came and within the engine's limits.

    `headers`: names in lower case; a repeated one is joined with ", ", set-cookie with a line feed; past 200 lines or
    64 KiB the rest is left out. `body`: the first 64 KiB after content decoding. `body_bytes`: how many decoded bytes
    came, read to at most 1 MiB (and the rest of one chunk). `body_truncated`: `body` is not the whole of what the
    endpoint had to say, because it is longer, was cut, or broke off.
    """

    status_code: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    body_bytes: int
    body_truncated: bool
    http_version: str


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """How one attempt ended; every submitted request yields exactly one, or comes back from `DeliveryEngine.stop`.

    `error` is short text for people. `response` is None when no status line came. `started_monotonic` is when the
    request was handed to libcurl, by `time.monotonic()`. An aborted one (`aborted`) was canceled by
    `DeliveryEngine.abort`, whether it was on the wire or not (`sent`); it carries the reason `unknown`, so that it
    never passes for a success.
    """

    request: DeliveryRequest
    failure_reason: FailureReason | None
    error: str | None = field(repr=False)
    response: Response | None
    remote_ip: str | None
    timings: Timings
    started_monotonic: float
    finished_monotonic: float
    aborted: bool = False
    sent: bool = True

    @property
    def succeeded(self) -> bool:
        """If the endpoint answered in time with a status that counts as success."""
        return self.failure_reason is None


@dataclass(frozen=True, slots=True)
class InFlight:
    """A transfer that is under way, for `celery inspect deliveries`."""

    execution_id: UUID
    attempt: int
    host: str
    started_monotonic: float


@dataclass(frozen=True, slots=True)
class Crowded:
    """A request that was not sent, because its host or workspace is full here; try again in `wait_seconds`."""

    request: DeliveryRequest
    wait_seconds: float
