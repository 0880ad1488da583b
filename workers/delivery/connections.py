"""What the engine knows about its open connections: which of them the other side has closed, and who speaks HTTP/2.

libcurl looks whether a kept connection is still alive at most once a second. In between it would send on one that was
closed long ago, notice, and send again on another: harmless for a browser, but here one run is one exchange. So each
connection's socket is looked at right before a request goes out on it.
"""

import select
import socket

Endpoints = tuple[str, str, int, int]
"""Remote and local IP, remote and local port: which connection it is."""

MAX_REMEMBERED_ORIGINS = 100_000
_CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Connections:
    """Kept by the engine, for its thread alone. Sockets belong to libcurl: known here by number, never closed."""

    def __init__(self) -> None:
        self._sockets: dict[Endpoints, select.poll] = {}
        self._endpoints: dict[int, Endpoints] = {}  # so that a file number used again forgets its last connection
        self._multiplexed: set[str] = set()

    def connected(self, endpoints: Endpoints, file_numbers: list[int]) -> None:
        """Remember a new connection; of several sockets that raced for it (RFC 8305) the local port tells which won."""
        for number in file_numbers:
            if len(file_numbers) > 1 and _local_port(number) != endpoints[3]:
                continue
            self._sockets.pop(self._endpoints.pop(number, endpoints), None)
            watch = select.poll()
            watch.register(number, _CLOSED)
            self._sockets[endpoints] = watch
            self._endpoints[number] = endpoints
            return

    def closed_by_peer(self, endpoints: Endpoints) -> bool:
        """If the other side of a kept connection has hung up already. One that is unknown passes for open."""
        watch = self._sockets.get(endpoints)
        return watch is not None and bool(watch.poll(0))

    def speaks_http2(self, origin: str) -> None:
        """Remember that `origin` answered over HTTP/2."""
        if len(self._multiplexed) < MAX_REMEMBERED_ORIGINS:
            self._multiplexed.add(origin)

    def is_multiplexed(self, origin: str) -> bool:
        """If `origin` is known to speak HTTP/2."""
        return origin in self._multiplexed


def _local_port(file_number: int) -> int | None:
    """The local port of a socket that is not ours to close; None where it is closed or no internet socket."""
    try:
        borrowed = socket.socket(fileno=file_number)
    except OSError:
        return None
    try:
        name = borrowed.getsockname()
        return name[1] if isinstance(name, tuple) else None
    except OSError:
        return None
    finally:
        borrowed.detach()
