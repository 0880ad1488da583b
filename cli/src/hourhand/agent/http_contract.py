"""An HTTP exchange as values: the request to make, what came back, and how it ended.

No repr shows what may be secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: The failure reasons of runs that the agent can tell. The server judges statuses and assertions.
FailureReason = Literal[
    "timeout", "connection_error", "dns_error", "ssl_error", "invalid_url", "ssrf_blocked", "template_error", "unknown"
]


@dataclass(frozen=True)
class TlsSettings:
    """How to verify an https endpoint, and the client's own identity.

    `ca_cert` (PEM) replaces the machine's authorities. `client_cert` and `client_key` (PEM) are presented if the
    endpoint asks for them.
    """

    verify: bool = True
    ca_cert: str | None = field(default=None, repr=False)
    client_cert: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HttpRequest:
    """One request, rendered and signed.

    The agent adds Host, Content-Length, Accept-Encoding and, unless given, User-Agent. The URL's path and query are
    sent byte for byte. `timeout_seconds` is one deadline from resolving the name to the last byte of the answer.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    tls: TlsSettings = field(default_factory=TlsSettings)


@dataclass(frozen=True)
class HttpResponse:
    """The response, as far as it came.

    `headers`: names in lower case; repeated ones are joined with ", ", set-cookie with a line feed. `body`: its first
    64 KiB without content coding. `body_bytes`: how many bytes were read, at most about 1 MiB. `body_truncated`: the
    whole body is longer, was cut, or broke off. `note`: a sentence on how the body was read, if needed.
    """

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    body_bytes: int
    body_truncated: bool
    http_version: str
    note: str | None = None


@dataclass(frozen=True)
class HttpTimings:
    """Whole milliseconds; None: that phase did not happen or did not end.

    `dns_ms`, `connect_ms` and `tls_ms` say how long that phase took; `first_byte_ms`, which is when the headers were
    read, and `total_ms` count from the start.
    """

    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True)
class HttpExchange:
    """How a request ended.

    `failure_reason` is None if a complete answer came, of any status; `error` is then None, too, else a short text.
    `started_at` and `finished_at` are in seconds since 1970. `sent`: the endpoint may have seen the request.
    `aborted`: `HttpCall.abort` ended it, with the reason `unknown`.
    """

    failure_reason: FailureReason | None
    error: str | None
    response: HttpResponse | None
    remote_ip: str | None
    timings: HttpTimings
    started_at: float
    finished_at: float
    sent: bool = False
    aborted: bool = False


class CallFailedError(Exception):
    """The exchange can't go on: a failure reason, and a short text."""

    def __init__(self, reason: FailureReason, text: str) -> None:
        super().__init__(text)
        self.reason: FailureReason = reason
        self.text = text
