"""One libcurl easy handle and the exchange it carries: options, callbacks, bounded capture.

A handle outlives its exchange: it goes back to the engine's pool with its options in place, so that the next exchange
sets only what differs. Callbacks cost a hand-over of the interpreter lock each; there are as few as the work needs.
"""

import socket
import time
from collections.abc import Callable

import certifi
import pycurl

from jobs.egress import AddressRefusal, EgressPolicy, Target
from runs.attempts.contract import Received, Timings
from runs.failures import FailureReason
from workers.delivery.alerts import Watch, told_by
from workers.delivery.coding import ACCEPTED, Undoing, codings_in
from workers.delivery.connections import Connections
from workers.delivery.contract import DEFAULT_TLS, DeliveryRequest, DeliveryResult, TlsOptions
from workers.delivery.guard import blocked
from workers.delivery.outcome import E_TOO_LARGE, REFUSED_SESSION, Outcome, by_code, by_status
from workers.delivery.resolver import Addresses
from workers.delivery.wire import METHODS, Head, InvalidRequest, header_lines, parse_head, request_target

KEPT_BODY_BYTES = 64 * 1024
READ_BODY_BYTES = 1024 * 1024

#: A connection idle for longer is not used again. Node and Apache close theirs after 5 s; a request that crosses such a
#: close on the wire may or may not have been served, and would have to be given up (see `Transfer._on_request`).
MAX_IDLE_SECONDS = 4
#: However busy, a connection ends some time, so that a host that moved to another address is followed.
MAX_CONNECTION_SECONDS = 300

_GO_ON = int(pycurl.PREREQFUNC_OK)
_ABORT = int(pycurl.PREREQFUNC_ABORT)
_NO_SOCKET = int(pycurl.SOCKET_BAD)

_BODILESS = frozenset({"GET", "DELETE", "OPTIONS"})


class Transfer:
    """A reusable easy handle with what the current exchange has brought so far."""

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
        self._tell_opened = on_opened
        self._may_send = may_send
        self._file_numbers: list[int] = []
        self._lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._framing = ""
        self._url = ""
        self._timeout_ms = 0
        self.pooled = True
        self._watch: Watch | None = None
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
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._undoing: Undoing | None = None
        self._plain = False
        self.stale = False
        self.late = False
        self._resend_refused = False
        self._fault: str | None = None

    def _set_constants(self, user_agent: str) -> None:
        """What no exchange changes: nothing from the environment, no redirects, cookies, credentials or other
        schemes.
        """
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, ""),
            (pycurl.NOPROXY, "*"),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            # libcurl asks for these codings and leaves them as they come: see `workers.delivery.coding`.
            (pycurl.ENCODING, ACCEPTED),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.USERAGENT, user_agent),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.CAINFO, certifi.where()),
            (pycurl.TCP_KEEPALIVE, 1),
            (pycurl.MAXAGE_CONN, MAX_IDLE_SECONDS),
            (pycurl.MAXLIFETIME_CONN, MAX_CONNECTION_SECONDS),
            # libcurl itself ends an answer at 300 KB or 5,000 lines of headers, interim ones and trailers included.
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._on_body),
            (pycurl.OPENSOCKETFUNCTION, self._on_dial),
            (pycurl.SOCKOPTFUNCTION, self._on_opened),
            (pycurl.PREREQFUNCTION, self._on_request),
        ):
            self.curl.setopt(option, value)

    # -- before -------------------------------------------------------------------------------------------------------

    def prepare(self, request: DeliveryRequest, target: Target) -> None:
        """Set the handle up for `request`. Raises InvalidRequest for what HTTP cannot carry."""
        self.request = request
        self.target = target
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
        """When the exchange has to be over, by `time.monotonic()`."""
        return self.started_monotonic + self.request.timeout_seconds

    def resolved(self, addresses: Addresses, *, waited_seconds: float) -> None:
        """Give libcurl the addresses of the name, and what is left of the time. It looks no name up by itself."""
        self._resolving_seconds = waited_seconds
        if waited_seconds:
            self._set_timeout(self.request.timeout_seconds - waited_seconds)
        if addresses:
            self.curl.setopt(pycurl.RESOLVE, [_resolution(self.target, addresses)])

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
        """Method and body. A framing is one of a method without a body, HEAD, or a method with one."""
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
        """Options that only some jobs use. libcurl keeps connections made with them apart; the handle is not used
        again.
        """
        self.pooled = False
        self.curl.setopt(pycurl.SSL_VERIFYPEER, int(tls.verify))
        self.curl.setopt(pycurl.SSL_VERIFYHOST, 2 if tls.verify else 0)
        if tls.ca_cert is not None:
            self.curl.setopt(pycurl.CAINFO_BLOB, tls.ca_cert.encode())
        if tls.client_cert is not None and tls.client_key is not None:
            # In one file with its key, so that libcurl keeps connections apart that were made with other ones.
            both = f"{tls.client_cert.strip()}\n{tls.client_key.strip()}\n".encode()
            self.curl.setopt(pycurl.SSLCERT_BLOB, both)
            self.curl.setopt(pycurl.SSLKEY_BLOB, both)

    # -- libcurl's callbacks: never raise, a fault ends this transfer only
    # ----------------------------------------------

    def _on_body(self, chunk: bytes) -> int | None:
        """Keep the first part, count the rest, and cut the transfer once enough was read. Any size but its own cuts."""
        self._body_bytes += len(chunk)
        if self._body_bytes <= KEPT_BODY_BYTES:
            self._chunks.append(chunk)
            return None
        return self._on_more(chunk)

    def _on_more(self, chunk: bytes) -> int | None:
        """A body that is larger than what is kept. Only now does it matter if there is a coding to undo."""
        if self._undoing is None and not self._plain:
            self._undoing = self._undoing_of(parse_head(self._lines))
            self._plain = self._undoing is None
            self._chunks = [b"".join((*self._chunks, chunk))[:KEPT_BODY_BYTES]] if self._plain else []
        enough = self._undoing is not None and not self._undoing.feed(chunk)
        if enough or self._body_bytes > READ_BODY_BYTES:
            self._cut = True
            return -1
        return None

    def _undoing_of(self, head: Head | None) -> Undoing | None:
        """What undoes the coding of the body and has read what came so far; None where there is none to undo."""
        codings = codings_in(head.headers.get("content-encoding", "")) if head is not None else ()
        if not codings:
            return None
        undoing = Undoing(codings, keep_bytes=KEPT_BODY_BYTES, read_bytes=READ_BODY_BYTES)
        for chunk in self._chunks:
            undoing.feed(chunk)
        return undoing

    def _on_dial(self, _purpose: int, address: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        """The guard: sees each address after DNS and before a packet leaves; refusing costs this address only."""
        try:
            family, kind, protocol, place = address
            refusal = self._policy.refusal(place[0], self.target.host)
            if refusal is not None:
                self._refused = (place[0], refusal)
                return _NO_SOCKET
            opened = socket.socket(family, kind, protocol)
        except Exception as error:  # libcurl would print it and go on
            self._fault = f"could not open a socket: {error}"
            return _NO_SOCKET
        return opened

    def _on_opened(self, file_number: int, _purpose: int) -> int:
        """Learn the number of the socket that libcurl will use: its own copy of the one that `_on_dial` gave it."""
        self._tell_opened(file_number)
        self._file_numbers.append(file_number)
        return int(pycurl.SOCKOPT_OK)

    def _on_request(self, remote_ip: str, local_ip: str, remote_port: int, local_port: int) -> int:
        """Connected, and about to send. A kept connection that the other side has closed is left, with nothing sent.

        Where that shows only after sending, libcurl would send again, whether or not the request was served. One run
        is one exchange: that is refused, and a retry is left to the job's policy. HTTP/2 servers say which requests
        they did not serve, and telling clients to move on is ordinary life there: libcurl may repeat those.

        A process that stood still while it connected may have lost the attempt: that is asked last, and sends nothing.
        """
        self._sends += 1
        self._remote_ip = remote_ip
        endpoints = (remote_ip, local_ip, remote_port, local_port)
        if self._sends > 1 and not self._connections.is_multiplexed(self.target.origin):
            self._resend_refused = True
        elif self._file_numbers:
            self._connections.connected(endpoints, self._file_numbers)
            if self.target.scheme == "https" and len(self._file_numbers) == 1:
                self._watch = Watch(self._file_numbers[0])
        elif self._connections.closed_by_peer(endpoints):
            self.stale = True
        if not (self._resend_refused or self.stale):
            self.late = not self._may_send(self.request, time.monotonic())
        return _ABORT if self.stale or self.late or self._resend_refused else _GO_ON

    # -- after --------------------------------------------------------------------------------------------------------

    def finish(self, code: int, message: str) -> DeliveryResult:
        """The result of the exchange that libcurl ended with `code` (0: complete)."""
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
        """Forget an attempt that sent nothing, so that the same exchange can be tried on another connection."""
        self._clear()

    def release(self) -> None:
        """Let go of the exchange, so that a pooled handle holds no body in memory."""
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
            return FailureReason.SSL_ERROR, error  # libcurl has several codes for a key that it can't use
        return reason, error

    def _refused_session(self, message: str) -> bool:
        """Whether the server ended the TLS session for what it thinks of the client."""
        return told_by(message) or (self._watch is not None and self._watch.holds_alert())

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
        if "content-encoding" in head.headers and (undoing := self._undoing or self._undoing_of(head)) is not None:
            body, body_bytes, ended, fault = undoing.result()
            note = fault or note
            complete = complete and ended
        else:
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            body, body_bytes = body[:KEPT_BODY_BYTES], self._body_bytes
        truncated = not complete or body_bytes > KEPT_BODY_BYTES
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


#: libcurl gave up on what came with the answer, not on the answer: too many headers, or a transfer coding that nobody
#: asked for.
_ANSWERED = frozenset({E_TOO_LARGE, pycurl.E_BAD_CONTENT_ENCODING})
_BROKEN_OFF = frozenset({pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_GOT_NOTHING})
_COMPLETE = _ANSWERED | {pycurl.E_OK}


def _resolution(target: Target, addresses: Addresses) -> str:
    """A line for CURLOPT_RESOLVE. "+": not for ever, so that libcurl forgets a name that is not called any more."""
    return f"+{target.name}:{target.port}:{','.join(addresses)}"


def _ms(microseconds: int) -> int:
    return (microseconds + 500) // 1000


def unanswered(
    request: DeliveryRequest, reason: FailureReason, error: str, *, sent: bool = False, aborted: bool = False
) -> DeliveryResult:
    """The result of a request that never reached libcurl (or, `sent`, of which nothing can be said but that)."""
    now = time.monotonic()
    return DeliveryResult(request, reason, error, None, None, Timings(), now, now, aborted, sent)
