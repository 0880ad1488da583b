"""Carries out one HTTP request with `requests`, through a connection that the agent's allow-list guards.

Nothing comes from the environment: no proxy, no .netrc. Redirects are not followed, and nothing is sent twice.
"""

import http.client
import re
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection

from hourhand.agent import bodies
from hourhand.agent.dialing import Dialer, Resolve, resolve_by_system
from hourhand.agent.guard import HttpRules, HttpTarget, InvalidUrlError, parse_url
from hourhand.agent.http_contract import (
    CallFailedError,
    FailureReason,
    HttpExchange,
    HttpRequest,
    HttpResponse,
    HttpTimings,
)
from hourhand.agent.tls import tls_context

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
USER_AGENT = "Hourhand-Agent"
_BODILESS = frozenset({"GET", "DELETE", "OPTIONS"})
#: Headers that only the agent may set: connection and framing (RFC 9110 section 7.6.1, RFC 9112).
_AGENT_HEADERS = frozenset(
    {
        "host", "content-length", "transfer-encoding", "accept-encoding", "connection", "proxy-connection",
        "keep-alive", "expect", "te", "trailer", "upgrade", "http2-settings",
    }
)  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_MAX_HEADER_LINES, _MAX_HEADER_BYTES = 200, 64 * 1024
_PIECE_BYTES = 64 * 1024
_MAX_ERROR_LENGTH = 300
_READ_MARGIN_SECONDS = 5.0


class HttpCall:
    """One request. One thread runs it, and any thread may abort it."""

    def __init__(self, request: HttpRequest, rules: HttpRules, *, resolve: Resolve = resolve_by_system) -> None:
        self._request, self._rules, self._resolve = request, rules, resolve
        self._lock = threading.Lock()
        self._dialer: Dialer | None = None
        self._aborted = False

    def run(self) -> HttpExchange:
        """Make the exchange. Never raises for what the network or the endpoint does."""
        started_at, started = time.time(), time.monotonic()
        response, failure = None, None
        try:
            dialer = self._prepare(parse_url(self._request.url))
            deadline = threading.Timer(self._request.timeout_seconds, dialer.interrupt)
            deadline.daemon = True
            deadline.start()
            try:
                response, failure = _exchange(self._request, dialer)
            finally:
                deadline.cancel()
                dialer.close()
        except CallFailedError as error:
            failure = error
        except InvalidUrlError as error:
            failure = CallFailedError("invalid_url", str(error))
        return self._ended(response, failure, started_at, time.monotonic() - started)

    def abort(self) -> None:
        """End the exchange at once, though the request may have arrived."""
        with self._lock:
            self._aborted = True
            if self._dialer is not None:
                self._dialer.interrupt()

    def _prepare(self, target: HttpTarget) -> Dialer:
        timeout_seconds = self._request.timeout_seconds
        with self._lock:
            self._dialer = Dialer(target, self._rules, timeout_seconds=timeout_seconds, resolve=self._resolve)
            if self._aborted:
                self._dialer.interrupt()
            return self._dialer

    def _ended(
        self, response: HttpResponse | None, failure: CallFailedError | None, started_at: float, seconds: float
    ) -> HttpExchange:
        dialer = self._dialer
        if dialer is not None and dialer.interrupted:
            failure = CallFailedError("timeout", f"timed out after {self._request.timeout_seconds:g} s")
        if self._aborted:
            failure = CallFailedError("unknown", "canceled")
        return HttpExchange(
            failure.reason if failure is not None else None,
            failure.text[:_MAX_ERROR_LENGTH] if failure is not None else None,
            response,
            dialer.remote_ip if dialer is not None else None,
            dialer.timings() if dialer is not None else HttpTimings(total_ms=round(seconds * 1000)),
            started_at,
            started_at + seconds,
            sent=dialer is not None and dialer.sent,
            aborted=self._aborted,
        )


class _Connection(HTTPConnection):
    """A connection that the dialer opens."""

    def __init__(self, dialer: Dialer, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dialer = dialer

    def connect(self) -> None:
        self.sock = self._dialer.dial()
        self._dialer.sent = True

    def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Begin the request with the path as it is in the URL: urllib3 would normalize it."""
        super().putrequest(method, self._dialer.target.path, *args, **options)

    def getresponse(self, *args: Any, **options: Any) -> Any:
        response = super().getresponse(*args, **options)
        self._dialer.note_first_byte()
        return response


class _SecureConnection(_Connection, HTTPSConnection):
    """A connection that the dialer opens and secures."""

    def __init__(self, dialer: Dialer, context: ssl.SSLContext, *args: Any, **options: Any) -> None:
        super().__init__(dialer, *args, **options)
        self._context = context
        # Else urllib3 warns for each call that the job's owner wanted unverified.
        self.is_verified = True

    def connect(self) -> None:
        self.sock = self._dialer.secure(self._dialer.dial(), self._context)
        self._dialer.sent = True


class _Adapter(HTTPAdapter):
    """Uses the dialer's connections."""

    def __init__(self, request: HttpRequest, dialer: Dialer) -> None:
        super().__init__()
        if dialer.target.scheme == "https":
            context = tls_context(request.tls)
            pool = partial(_pool, urllib3.HTTPSConnectionPool, partial(_SecureConnection, dialer, context))
        else:
            pool = partial(_pool, urllib3.HTTPConnectionPool, partial(_Connection, dialer))
        self.poolmanager.pool_classes_by_scheme = {dialer.target.scheme: pool}


def _pool(kind: Callable[..., Any], connection: Callable[..., Any], *args: Any, **options: Any) -> Any:
    pool = kind(*args, **options)
    pool.ConnectionCls = connection
    return pool


def _exchange(request: HttpRequest, dialer: Dialer) -> tuple[HttpResponse | None, CallFailedError | None]:
    """Return the response, as far as it came, and the failure, if any. Raises CallFailedError if nothing came."""
    prepared = _prepared(request, dialer.target)
    # No session: it would look ahead at redirects, read all of their bodies, and keep cookies.
    adapter = _Adapter(request, dialer)
    try:
        # The deadline interrupts the connection. This limit, for each read, must not come before it.
        timeout_seconds = max(dialer.remaining_seconds, 0.0) + _READ_MARGIN_SECONDS
        response = adapter.send(prepared, stream=True, timeout=timeout_seconds)
        with response:
            raw, complete, failure = _read(response.raw)
            # A body that lasts to the end of the connection looks complete after an interruption.
            complete = complete and not dialer.interrupted
            return _received(response, raw, complete=complete), failure
    except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        raise _failure_of(error, "the connection was closed without an answer") from error
    finally:
        adapter.close()


def _prepared(request: HttpRequest, target: HttpTarget) -> requests.PreparedRequest:
    """Return the request for `requests`, which would change the URL and add headers if it prepared it."""
    if request.method not in METHODS:
        raise CallFailedError("template_error", f"the method {request.method[:20]!r} is not supported")
    body = request.body if request.body is not None or request.method in _BODILESS else b""
    if request.method == "HEAD":
        if body:
            raise CallFailedError("template_error", "a HEAD request carries no body")
        body = None
    headers: dict[str, str | bytes] = {"User-Agent": USER_AGENT}
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name) or re.search("[\r\n\0]", value):
            raise CallFailedError("template_error", f"the header {name[:80]!r} can't be sent")
        if name.lower() in _AGENT_HEADERS:
            raise CallFailedError("template_error", f"the header {name} cannot be set")
        headers = {other: text for other, text in headers.items() if other.lower() != name.lower()}
        headers[name] = value.encode()
    headers |= {"Host": _host(target), "Accept-Encoding": bodies.ACCEPTED}
    if body is not None:
        headers["Content-Length"] = str(len(body))
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = request.method, request.url, body
    prepared.headers = CaseInsensitiveDict(headers)  # type: ignore[arg-type] # values may be bytes
    return prepared


def _host(target: HttpTarget) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == {"http": 80, "https": 443}[target.scheme] else f"{host}:{target.port}"


def _read(raw: Any) -> tuple[bytes, bool, CallFailedError | None]:
    """Return the body as received, up to the limit, whether it is complete, and the failure that broke it off."""
    pieces, count = [], 0
    broken_off = "the connection was closed before the answer was complete"
    try:
        while piece := raw.read(_PIECE_BYTES, decode_content=False):
            pieces.append(piece)
            count += len(piece)
            if count > bodies.READ_BYTES:
                return b"".join(pieces), False, None
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        return b"".join(pieces), False, _failure_of(error, broken_off)
    if raw.length_remaining:  # urllib3 before 2 reports no error
        return b"".join(pieces), False, CallFailedError("connection_error", broken_off)
    return b"".join(pieces), True, None


def _received(response: requests.Response, raw: bytes, *, complete: bool) -> HttpResponse:
    headers: dict[str, str] = {}
    left_bytes = _MAX_HEADER_BYTES
    for original_name, original in list(response.raw.headers.iteritems())[:_MAX_HEADER_LINES]:
        name, value = original_name.lower(), _text(original)
        left_bytes -= len(name) + len(value)
        if left_bytes < 0:
            break
        separator = "\n" if name == "set-cookie" else ", "
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    body = bodies.decoded(raw, headers.get("content-encoding", ""), complete=complete)
    return HttpResponse(
        response.status_code,
        headers,
        body.kept,
        body.read_bytes,
        not body.complete or body.read_bytes > len(body.kept),
        "1.0" if response.raw.version == 10 else "1.1",  # noqa: PLR2004 - http.client's number
        body.note,
    )


def _text(value: str) -> str:
    """Return a header's value as text. Servers today send UTF-8, which http.client reads as Latin-1."""
    try:
        return value.encode("latin-1").decode().strip(" \t\r\n")
    except UnicodeError:
        return value.strip(" \t\r\n")


def _failure_of(error: BaseException, closed: str) -> CallFailedError:
    """Return the failure for an error while sending or reading. `closed` is the text for an early end."""
    causes = list(_causes(error))
    reason: FailureReason = "connection_error"
    for cause in causes:
        if isinstance(cause, CallFailedError):
            return cause
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            text = "the server refused the TLS session: it may require a client certificate, or another one"
            return CallFailedError("ssl_error", text if "ALERT" in str(cause.reason) else f"TLS failed: {cause.reason}")
    for cause in causes:
        # Its subclass comes first: the connection was closed before the status line.
        if isinstance(cause, (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError)):
            return CallFailedError(reason, closed)
        if isinstance(cause, http.client.BadStatusLine):
            return CallFailedError(reason, "the answer is not HTTP")
        if isinstance(cause, TimeoutError):
            return CallFailedError("timeout", "timed out")
    return CallFailedError(reason, f"{causes[-1]}")


def _causes(error: BaseException) -> Any:
    """Yield an error and those inside it: requests and urllib3 pass them on as arguments, reasons and causes."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause in seen:
            continue
        seen.append(cause)
        yield cause
        inside = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        waiting += [one for one in inside if isinstance(one, BaseException)]
