"""One libcurl easy handle and its exchange: options, callbacks, bounded capture.

After an exchange the handle returns to the engine's pool with its options in place, so that the next exchange sets only
what differs. Each callback takes the interpreter lock, so there are as few as possible.
"""

import socket
import time
from collections.abc import Callable

import certifi
import pycurl

from jobs.egress import AddressRefusal, EgressPolicy, Target
from runs.attempts.contract import Received, Timings
from runs.failures import FailureReason
from workers.delivery.alerts import AlertWatch, is_lasting_alert
from workers.delivery.coding import ACCEPTED, BodyDecoder, codings_in
from workers.delivery.connections import Connections
from workers.delivery.contract import (
    DEFAULT_TLS,
    KEPT_BODY_BYTES,
    READ_BODY_BYTES,
    DeliveryRequest,
    DeliveryResult,
    TlsOptions,
)
from workers.delivery.guard import blocked
from workers.delivery.outcome import E_TOO_LARGE, REFUSED_SESSION, Outcome, by_code, by_status
from workers.delivery.resolver import Addresses
from workers.delivery.wire import METHODS, Head, InvalidRequest, header_lines, parse_head, request_target

#: A connection idle for longer is not reused. Node and Apache close theirs after 5 s; a request that crosses such a
#: close on the wire may or may not have been served, and fails (see `Transfer._on_request`).
MAX_IDLE_SECONDS = 4
#: The longest that a connection is used, so that deliveries follow a host to its new address.
MAX_CONNECTION_SECONDS = 300

_PROCEED = int(pycurl.PREREQFUNC_OK)
_ABORT = int(pycurl.PREREQFUNC_ABORT)
_NO_SOCKET = int(pycurl.SOCKET_BAD)

_BODILESS = frozenset({"GET", "DELETE", "OPTIONS"})


class Transfer:
    """A reusable easy handle and the state of its current exchange."""

    def __init__(
        self,
        policy: EgressPolicy,
        connections: Connections,
        user_agent: str,
        on_opened: Callable[[int], None],
        may_send: Callable[[DeliveryRequest, float], bool],
    ) -> None:
        self._policy = policy
        self._connections = connections
        self._on_socket_opened = on_opened
        self._may_send = may_send
        self._file_numbers: list[int] = []
        self._lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._framing = ""
        self._url = ""
        self._timeout_ms = 0
        self._kept_bytes = KEPT_BODY_BYTES
        self.pooled = True
        self._alert_watch: AlertWatch | None = None
        self._clear()
        self.curl = pycurl.Curl()
        self.curl.transfer = self
        self._set_constants(user_agent)

    def _clear(self) -> None:
        self._lines.clear()
        self._chunks.clear()
        self._body_bytes = 0
        self._sends = 0
        self._remote_ip: str | None = None
        self._refused: tuple[str, AddressRefusal] | None = None
        self._file_numbers.clear()
        self._cut = False
        if self._alert_watch is not None:
            self._alert_watch.close()
            self._alert_watch = None
        self._decoder: BodyDecoder | None = None
        self._plain = False
        self.stale = False
        self.late = False
        self._resend_refused = False
        self._fault: str | None = None

    def _set_constants(self, user_agent: str) -> None:
        """Set what all exchanges share: nothing from the environment, no redirects, cookies, credentials or other
        schemes.
        """
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, ""),
            (pycurl.NOPROXY, "*"),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            # libcurl sends Accept-Encoding and does not decode: see `workers.delivery.coding`.
            (pycurl.ENCODING, ACCEPTED),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.USERAGENT, user_agent),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.CAINFO, certifi.where()),
            (pycurl.TCP_KEEPALIVE, 1),
            (pycurl.MAXAGE_CONN, MAX_IDLE_SECONDS),
            (pycurl.MAXLIFETIME_CONN, MAX_CONNECTION_SECONDS),
            # libcurl itself fails at 300 KB or 5,000 lines of headers, including interim ones and trailers.
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._on_body),
            (pycurl.OPENSOCKETFUNCTION, self._on_dial),
            (pycurl.SOCKOPTFUNCTION, self._on_opened),
            (pycurl.PREREQFUNCTION, self._on_request),
        ):
            self.curl.setopt(option, value)

    # -- before -------------------------------------------------------------------------------------------------------

    def prepare(self, request: DeliveryRequest, target: Target) -> None:
        """Set the handle up for `request`. Raises InvalidRequest if it can't be expressed in HTTP."""
        self.request = request
        self.target = target
        self._kept_bytes = request.kept_body_bytes
        curl = self.curl
        if request.method not in METHODS:
            raise InvalidRequest(f"the method {request.method[:20]!r} is not supported")
        body = request.body if request.body is not None or request.method in _BODILESS else b""
        if request.method == "HEAD":
            if body:
                raise InvalidRequest("a HEAD request carries no body")
            body = None
        curl.setopt(pycurl.HTTPHEADER, header_lines(request.headers, body))
        self._set_url(request.url)
        self._frame(request.method, body)
        self._set_timeout(request.timeout_seconds)
        if request.tls != DEFAULT_TLS:
            self._set_tls(request.tls)
        self.dialled = False
        self._resolving_seconds: float | None = None
        self.started_monotonic = time.monotonic()

    @property
    def deadline(self) -> float:
        """When the exchange must have ended, by `time.monotonic()`."""
        return self.started_monotonic + self.request.timeout_seconds

    def resolved(self, addresses: Addresses, *, waited_seconds: float) -> None:
        """Give libcurl the addresses of the name, and the rest of the time. It never resolves by itself."""
        self._resolving_seconds = waited_seconds
        if waited_seconds:
            self._set_timeout(self.request.timeout_seconds - waited_seconds)
        if addresses:
            self.curl.setopt(pycurl.RESOLVE, [_resolve_entry(self.target, addresses)])

    def _set_timeout(self, seconds: float) -> None:
        timeout_ms = max(1, int(seconds * 1000))
        if timeout_ms != self._timeout_ms:
            self.curl.setopt(pycurl.TIMEOUT_MS, timeout_ms)
            self._timeout_ms = timeout_ms

    def _set_url(self, url: str) -> None:
        if url != self._url:
            self.curl.setopt(pycurl.URL, url)
            self.curl.setopt(pycurl.REQUEST_TARGET, request_target(url))
            self._url = url

    def _frame(self, method: str, body: bytes | None) -> None:
        """Set method and body. The framing is the method, and whether there is a body."""
        curl = self.curl
        framing = f"{method} body" if body is not None else method
        if framing != self._framing:
            if body is None:
                curl.setopt(pycurl.HTTPGET, 1)
            curl.setopt(pycurl.NOBODY, int(method == "HEAD"))
            curl.setopt(pycurl.CUSTOMREQUEST, method)
            self._framing = framing
        if body is not None:
            curl.setopt(pycurl.POSTFIELDS, body)

    def _set_tls(self, tls: TlsOptions) -> None:
        """Set options that few jobs use. libcurl separates their connections; the handle is not pooled."""
        self.pooled = False
        self.curl.setopt(pycurl.SSL_VERIFYPEER, int(tls.verify))
        self.curl.setopt(pycurl.SSL_VERIFYHOST, 2 if tls.verify else 0)
        if tls.ca_cert is not None:
            self.curl.setopt(pycurl.CAINFO_BLOB, tls.ca_cert.encode())
        if tls.client_cert is not None and tls.client_key is not None:
            # Both in one file with the key, so that libcurl separates connections by the key too.
            both = f"{tls.client_cert.strip()}\n{tls.client_key.strip()}\n".encode()
            self.curl.setopt(pycurl.SSLCERT_BLOB, both)
            self.curl.setopt(pycurl.SSLKEY_BLOB, both)

    # -- libcurl's callbacks: never raise, a fault ends this transfer only
    # ----------------------------------------------

    def _on_body(self, chunk: bytes) -> int | None:
        """Keep the first part, count the rest, and cut the transfer at the limit by returning a wrong size."""
        self._body_bytes += len(chunk)
        if self._body_bytes <= self._kept_bytes:
            self._chunks.append(chunk)
            return None
        return self._on_large_body(chunk)

    def _on_large_body(self, chunk: bytes) -> int | None:
        """Handle a body larger than what is kept. Only here its coding matters before its end."""
        if self._decoder is None and not self._plain:
            self._decoder = self._make_decoder(parse_head(self._lines))
            self._plain = self._decoder is None
            self._chunks = [b"".join((*self._chunks, chunk))[: self._kept_bytes]] if self._plain else []
        enough = self._decoder is not None and not self._decoder.feed(chunk)
        if enough or self._body_bytes > READ_BODY_BYTES:
            self._cut = True
            return -1
        return None

    def _make_decoder(self, head: Head | None) -> BodyDecoder | None:
        """Make the decoder of the body and feed it the chunks so far; None without a content coding."""
        codings = codings_in(head.headers.get("content-encoding", "")) if head is not None else ()
        if not codings:
            return None
        decoder = BodyDecoder(codings, keep_bytes=self._kept_bytes, read_bytes=READ_BODY_BYTES)
        for chunk in self._chunks:
            decoder.feed(chunk)
        return decoder

    def _on_dial(self, _purpose: int, address: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        """Check each address after DNS and before a packet leaves. A refusal affects this address only."""
        try:
            family, kind, protocol, endpoint = address
            refusal = self._policy.refusal(endpoint[0], self.target.host)
            if refusal is not None:
                self._refused = (endpoint[0], refusal)
                return _NO_SOCKET
            new_socket = socket.socket(family, kind, protocol)
        except Exception as error:  # libcurl would print it and continue
            self._fault = f"could not open a socket: {error}"
            return _NO_SOCKET
        return new_socket

    def _on_opened(self, file_number: int, _purpose: int) -> int:
        """Note the number of the socket that libcurl uses: its duplicate of the one from `_on_dial`."""
        self._on_socket_opened(file_number)
        self._file_numbers.append(file_number)
        return int(pycurl.SOCKOPT_OK)

    def _on_request(self, remote_ip: str, local_ip: str, remote_port: int, local_port: int) -> int:
        """Decide, once connected, whether to send. A reused connection that the peer has closed is dropped unsent.

        If that shows only after sending, libcurl would send again, whether or not the request was served. One run is
        one exchange: the second send is refused, and the job's retry policy decides. HTTP/2 servers say which requests
        they did not serve, and routinely ask clients to reconnect, so there libcurl may repeat.

        A process that was suspended while it connected may have lost its lease: `may_send` is asked last.
        """
        self._sends += 1
        self._remote_ip = remote_ip
        endpoints = (remote_ip, local_ip, remote_port, local_port)
        if self._sends > 1 and not self._connections.is_multiplexed(self.target.origin):
            self._resend_refused = True
        elif self._file_numbers:
            self._connections.connected(endpoints, self._file_numbers)
            if self.target.scheme == "https" and len(self._file_numbers) == 1:
                self._alert_watch = AlertWatch(self._file_numbers[0])
        elif self._connections.closed_by_peer(endpoints):
            self.stale = True
        if not (self._resend_refused or self.stale):
            self.late = not self._may_send(self.request, time.monotonic())
        return _ABORT if self.stale or self.late or self._resend_refused else _PROCEED

    # -- after --------------------------------------------------------------------------------------------------------

    def finish(self, code: int, message: str) -> DeliveryResult:
        """The result of an exchange that libcurl ended with `code` (0: complete)."""
        head = parse_head(self._lines)
        if head is not None and head.http_version == "2":
            self._connections.speaks_http2(self.target.origin)
        reason, error = self._outcome(code, message, head)
        complete = code == pycurl.E_OK and head is not None and head.ended
        note = f"The body was left out: {message}." if code == pycurl.E_BAD_CONTENT_ENCODING else None
        return self._result(reason, error, head, complete=complete, note=note)

    def give_up(self, reason: FailureReason, error: str, *, aborted: bool = False) -> DeliveryResult:
        """The result of an exchange that the engine ended before libcurl did."""
        return self._result(reason, error, parse_head(self._lines), complete=False, aborted=aborted)

    def rewind(self) -> None:
        """Reset an exchange that sent nothing, for another try on another connection."""
        self._clear()

    def release(self) -> None:
        """Drop the exchange, so that a pooled handle keeps no body in memory."""
        if self.request.body and len(self.request.body) > KEPT_BODY_BYTES:
            self.curl.setopt(pycurl.POSTFIELDS, b"")
        self._clear()

    def _outcome(self, code: int, message: str, head: Head | None) -> Outcome:
        if self._fault is not None:
            return FailureReason.UNKNOWN, self._fault
        if self._refused is not None and not self._file_numbers:
            return blocked(self.target, *self._refused)
        if self._resend_refused:
            return FailureReason.CONNECTION_ERROR, "the connection was closed before an answer came"
        if head is not None and (head.ended or code in _ANSWERED) and (code in _COMPLETE or self._cut):
            return by_status(head.status_code, self.request.success_statuses)
        if code == pycurl.E_OK:
            return FailureReason.CONNECTION_ERROR, "the connection was closed before the answer was complete"
        if code in _BROKEN_OFF and head is None and self._refused_session(message):
            return FailureReason.SSL_ERROR, REFUSED_SESSION
        reason, error = by_code(
            code,
            message,
            target=self.target,
            timeout_seconds=self.request.timeout_seconds,
            os_errno=self.curl.getinfo(pycurl.OS_ERRNO),
        )
        if reason is FailureReason.UNKNOWN and self.request.tls.client_cert is not None and not self._sends:
            return FailureReason.SSL_ERROR, error  # libcurl has several codes for an unusable key
        return reason, error

    def _refused_session(self, message: str) -> bool:
        """Whether the server refused the client in the TLS handshake."""
        return is_lasting_alert(message) or (self._alert_watch is not None and self._alert_watch.holds_alert())

    def _result(
        self,
        reason: FailureReason | None,
        error: str | None,
        head: Head | None,
        *,
        complete: bool,
        aborted: bool = False,
        note: str | None = None,
    ) -> DeliveryResult:
        finished = time.monotonic()
        return DeliveryResult(
            self.request,
            reason,
            error,
            self._response(head, complete=complete, note=note) if head is not None else None,
            self._remote_ip or (self.curl.getinfo(pycurl.PRIMARY_IP) if self._file_numbers else None) or None,
            self._timings(finished - self.started_monotonic),
            self.started_monotonic,
            finished,
            aborted,
            self.dialled,
        )

    def _response(self, head: Head, *, complete: bool, note: str | None) -> Received:
        if "content-encoding" in head.headers and (decoder := self._decoder or self._make_decoder(head)) is not None:
            body, body_bytes, ended, fault = decoder.result()
            note = fault or note
            complete = complete and ended
        else:
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            body, body_bytes = body[: self._kept_bytes], self._body_bytes
        truncated = not complete or body_bytes > self._kept_bytes
        return Received(head.status_code, head.headers, body, body_bytes, truncated, head.http_version, note)

    def _timings(self, total_seconds: float) -> Timings:
        total_ms = round(total_seconds * 1000)
        dns_ms = None if self._resolving_seconds is None else round(self._resolving_seconds * 1000)
        if not self.dialled:
            return Timings(dns_ms, None, None, None, total_ms)
        info = self.curl.getinfo
        first_byte_ms = None
        if self._lines:
            waited_microseconds = round((self._resolving_seconds or 0) * 1_000_000)
            first_byte_ms = _ms(waited_microseconds + info(pycurl.STARTTRANSFER_TIME_T))
        if self._sends and not self._file_numbers:
            return Timings(dns_ms or None, None, None, first_byte_ms, total_ms)
        lookup, connect, tls = (
            info(option) for option in (pycurl.NAMELOOKUP_TIME_T, pycurl.CONNECT_TIME_T, pycurl.APPCONNECT_TIME_T)
        )
        return Timings(
            dns_ms,
            _ms(connect - lookup) if connect else None,
            _ms(tls - connect) if tls and connect else None,
            first_byte_ms,
            total_ms,
        )


#: libcurl failed on something beside the answer itself: too many headers, or a transfer coding that was not requested.
_ANSWERED = frozenset({E_TOO_LARGE, pycurl.E_BAD_CONTENT_ENCODING})
_BROKEN_OFF = frozenset({pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_GOT_NOTHING})
_COMPLETE = _ANSWERED | {pycurl.E_OK}


def _resolve_entry(target: Target, addresses: Addresses) -> str:
    """A line for CURLOPT_RESOLVE. With "+" the entry expires, so that libcurl forgets unused names."""
    return f"+{target.name}:{target.port}:{','.join(addresses)}"


def _ms(microseconds: int) -> int:
    return (microseconds + 500) // 1000


def unanswered(
    request: DeliveryRequest, reason: FailureReason, error: str, *, sent: bool = False, aborted: bool = False
) -> DeliveryResult:
    """The result of a request that never reached libcurl, or with `sent` of one whose answer is unknown."""
    now = time.monotonic()
    return DeliveryResult(request, reason, error, None, None, Timings(), now, now, aborted, sent)
