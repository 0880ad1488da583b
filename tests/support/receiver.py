"""A real HTTP endpoint on loopback whose behavior each test defines."""

import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import hpack

Behaviour = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """A received request, and the connection for its response."""

    connection: socket.socket
    head: str
    body: bytes
    number: int  # of the request on its connection, from 1

    @property
    def request_line(self) -> str:
        return self.head.split("\r\n", 1)[0]

    @property
    def path(self) -> str:
        return self.request_line.split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers in order, with lower-case names."""
        lines = [line.partition(":") for line in self.head.split("\r\n")[1:] if line]
        return [(name.lower(), value.strip()) for name, _, value in lines]

    def send(self, raw: bytes) -> None:
        self.connection.sendall(raw)

    def answer(self, status: str = "200 OK", body: bytes = b"ok", headers: str = "") -> None:
        """Send a complete, well-formed response."""
        length = f"Content-Length: {len(body)}\r\n"
        self.send(f"HTTP/1.1 {status}\r\n{headers}{length}\r\n".encode("latin-1") + body)


def fine(exchange: Exchange) -> None:
    """Respond with 200."""
    exchange.answer()


@dataclass
class Receiver:
    """An endpoint that records its exchanges. `port` is ephemeral; every connection has a thread."""

    behaviour: Behaviour
    context: ssl.SSLContext | None = None
    http2_streams: list[int] = field(default_factory=list)
    http2_heads: list[dict[str, str]] = field(default_factory=list)
    family: socket.AddressFamily = socket.AF_INET
    exchanges: list[Exchange] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        address = ("::1", 0) if self.family == socket.AF_INET6 else ("127.0.0.1", 0)
        self.listener = socket.create_server(address, family=self.family, backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        """Stop accepting and close every connection."""
        for sock in [self.listener, *self.connections]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            if isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2":
                speak_http2(connection, self.http2_streams, self.http2_heads)
                return
            for exchange in _requests(connection):
                self.exchanges.append(exchange)
                self.behaviour(exchange)
        except OSError:
            pass
        finally:
            connection.close()


def _requests(connection: socket.socket) -> Iterator[Exchange]:
    pending = b""
    number = 0
    while True:
        while b"\r\n\r\n" not in pending:
            received = connection.recv(65536)
            if not received:
                return
            pending += received
        raw, _, pending = pending.partition(b"\r\n\r\n")
        head = raw.decode("latin-1")
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        length = int(lengths[0].split(":")[1]) if lengths else 0
        while len(pending) < length:
            pending += connection.recv(65536)
        number += 1
        yield Exchange(connection, head, pending[:length], number)
        pending = pending[length:]


@contextmanager
def receiving(behaviour: Behaviour = fine, **options: object) -> Iterator[Receiver]:
    """Yield a receiver."""
    receiver = Receiver(behaviour, **options)  # type: ignore[arg-type]
    try:
        yield receiver
    finally:
        receiver.close()


def gzipped(size_bytes: int) -> bytes:
    """Return `size_bytes` zeros, compressed to about a thousandth."""
    return gzip.compress(bytes(size_bytes))


def speak_http2(connection: socket.socket, streams: list[int], heads: list[dict[str, str]]) -> None:
    """Answer every stream of an HTTP/2 connection with 200 and "ok" (RFC 9113).

    `streams` collects their numbers, `heads` their headers.
    """
    reader, decoder = connection.makefile("rb"), hpack.Decoder()
    reader.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    connection.sendall(_frame(4, 0, 0))
    while header := reader.read(9):
        length, kind, flags = int.from_bytes(header[:3], "big"), header[3], header[4]
        stream = int.from_bytes(header[5:], "big")
        payload = reader.read(length)
        if kind == 1:  # with neither padding nor continuation; a priority takes five octets
            block = payload[5:] if flags & 0x20 else payload
            heads.append({str(name): str(value) for name, value in decoder.decode(block)})
        if kind == 4 and not flags & 1:
            connection.sendall(_frame(4, 1, 0))
        elif kind in {0, 1} and flags & 1:
            streams.append(stream)
            connection.sendall(_frame(1, 4, stream, b"\x88") + _frame(0, 1, stream, b"ok"))


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
