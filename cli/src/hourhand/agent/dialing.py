"""Opens the connection of one call: resolves the name, judges each address as it is dialled, and makes TLS.

The address that is judged is the one that is dialled: a name is resolved once, so that a second answer, which would
point elsewhere, is never asked for.
"""

import contextlib
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from hourhand.agent.guard import Address, HttpRules, HttpTarget, address_of
from hourhand.agent.http_contract import CallFailedError, HttpTimings

#: Answers like `socket.getaddrinfo`.
Resolve = Callable[[str, int], Sequence[tuple[Any, ...]]]
#: The least time for an address if others follow.
_MIN_CONNECT_SECONDS = 1.0


def resolve_by_system(name: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Resolve a name as this machine does, without asking for addresses of other kinds than it has."""
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)


class Dialer:
    """The connection of one call, its deadline and its times. One thread dials, any thread may interrupt."""

    def __init__(self, target: HttpTarget, rules: HttpRules, *, timeout_seconds: float, resolve: Resolve) -> None:
        self.target = target
        self.remote_ip: str | None = None
        self.sent = False
        self.interrupted = False
        self._rules, self._resolve, self._timeout_seconds = rules, resolve, timeout_seconds
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._answers: queue.SimpleQueue[Sequence[tuple[Any, ...]] | OSError | None] = queue.SimpleQueue()
        #: A duplicate of the connection, so that another thread can end it without touching the TLS state.
        self._duplicate: socket.socket | None = None
        self._dns: float | None = None
        self._connect: float | None = None
        self._tls: float | None = None
        self._first_byte: float | None = None

    @property
    def remaining_seconds(self) -> float:
        return self._started + self._timeout_seconds - time.monotonic()

    def dial(self) -> socket.socket:
        """Return a connection to an allowed address of the target. Raises CallFailedError."""
        refusal = self._rules.target_refusal(self.target)
        if refusal is not None:
            raise CallFailedError("ssrf_blocked", refusal)
        failure: CallFailedError | None = None
        addresses = self._addresses()
        connecting = time.monotonic()
        for index, (family, address, endpoint) in enumerate(addresses):
            refusal = self._rules.address_refusal(self.target, address)
            if refusal is not None:
                failure = failure or CallFailedError("ssrf_blocked", refusal)
                continue
            seconds = max(self.remaining_seconds / (len(addresses) - index), _MIN_CONNECT_SECONDS)
            try:
                connection = self._connection(family, endpoint, min(seconds, self._remaining()))
            except OSError as error:
                failure = self._unconnected(error)
                continue
            self._connect = time.monotonic() - connecting
            self.remote_ip = str(address)
            return connection
        raise failure or CallFailedError("dns_error", f"could not resolve host {self.target.host}")

    def secure(self, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Make TLS over a connection. Raises CallFailedError."""
        securing = time.monotonic()
        connection.settimeout(self._remaining())
        try:
            secured = context.wrap_socket(connection, server_hostname=self.target.host)
        except ssl.SSLCertVerificationError as error:
            raise CallFailedError("ssl_error", f"the certificate is not trusted: {error.verify_message}") from error
        except (ssl.SSLEOFError, ConnectionError) as error:
            text = "the connection broke off during the TLS handshake"
            raise CallFailedError("connection_error", text) from error
        except ssl.SSLError as error:
            raise CallFailedError("ssl_error", f"TLS failed: {error.reason or error}") from error
        except TimeoutError as error:
            raise self._timed_out() from error
        except OSError as error:
            raise CallFailedError("connection_error", f"the TLS handshake failed: {error}") from error
        self._tls = time.monotonic() - securing
        return secured

    def note_first_byte(self) -> None:
        """Note that the headers of the answer have been read."""
        self._first_byte = time.monotonic() - self._started

    def interrupt(self) -> None:
        """End the call: whatever it waits for fails at once. A call that has ended is not affected."""
        with self._lock:
            self.interrupted = True
            if self._duplicate is not None:
                with contextlib.suppress(OSError):
                    self._duplicate.shutdown(socket.SHUT_RDWR)
        self._answers.put(None)

    def close(self) -> None:
        """Forget the connection."""
        with self._lock:
            if self._duplicate is not None:
                self._duplicate.close()
                self._duplicate = None

    def timings(self) -> HttpTimings:
        """Return the times so far."""
        total = time.monotonic() - self._started
        return HttpTimings(*map(_ms, (self._dns, self._connect, self._tls, self._first_byte, total)))

    def _remaining(self) -> float:
        remaining = self.remaining_seconds
        if remaining <= 0 or self.interrupted:
            raise self._timed_out()
        return remaining

    def _timed_out(self) -> CallFailedError:
        return CallFailedError("timeout", f"timed out after {self._timeout_seconds:g} s")

    def _addresses(self) -> list[tuple[int, Address, tuple[Any, ...]]]:
        """Resolve the target's name, on a thread: the system's resolver can't be interrupted."""
        if self.target.address is not None:
            family = socket.AF_INET if self.target.address.version == 4 else socket.AF_INET6  # noqa: PLR2004
            return [(family, self.target.address, (str(self.target.address), self.target.port))]
        asked = time.monotonic()
        threading.Thread(target=self._ask, name="agent-resolver", daemon=True).start()
        try:
            answer = self._answers.get(timeout=self._remaining())
        except queue.Empty:
            raise self._timed_out() from None
        if answer is None:
            raise self._timed_out()
        if isinstance(answer, OSError):
            raise CallFailedError("dns_error", f"could not resolve host {self.target.host}") from answer
        self._dns = time.monotonic() - asked
        return [(one[0], address_of(one[4][0]), one[4]) for one in answer]

    def _ask(self) -> None:
        try:
            self._answers.put(self._resolve(self.target.name, self.target.port))
        except (OSError, UnicodeError) as error:
            self._answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    def _connection(self, family: int, endpoint: tuple[Any, ...], seconds: float) -> socket.socket:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._duplicate is not None:
                    self._duplicate.close()
                self._duplicate = socket.socket(fileno=os.dup(connection.fileno()))
            connection.settimeout(seconds)
            connection.connect(endpoint)
            connection.settimeout(self._remaining())
        except BaseException:
            connection.close()
            raise
        return connection

    def _unconnected(self, error: OSError) -> CallFailedError:
        if self.remaining_seconds <= 0:
            return self._timed_out()
        reason = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error))
        text = f"could not connect to {self.target.host} port {self.target.port}: {reason}"
        return CallFailedError("connection_error", text)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
