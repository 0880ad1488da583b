"""The state of the engine's open connections: which ones the peer has closed, and which origins speak HTTP/2.

libcurl checks an idle connection at most once a second. In between it would send on one that was closed long ago,
notice, and send again on another: harmless for a browser, but here one run is one exchange. So the engine checks each
connection's socket right before it sends a request.
"""

import select
import socket

Endpoints = tuple[str, str, int, int]
"""Remote and local IP, remote and local port: they identify a connection."""

MAX_ORIGINS = 100_000
_CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Connections:
    """For the engine's thread only. Sockets belong to libcurl: this class knows their numbers and never closes them."""

    def __init__(self) -> None:
        self._sockets: dict[Endpoints, select.poll] = {}
        self._endpoints: dict[int, Endpoints] = {}  # a reused file number drops its last connection
        self._multiplexed: set[str] = set()

    def connected(self, endpoints: Endpoints, file_numbers: list[int]) -> None:
        """Add a new connection. If several sockets raced for it (RFC 8305), the local port identifies the winner."""
        for number in file_numbers:
            if len(file_numbers) > 1 and _local_port(number) != endpoints[3]:
                continue
            self._sockets.pop(self._endpoints.pop(number, endpoints), None)
            poller = select.poll()
            poller.register(number, _CLOSED)
            self._sockets[endpoints] = poller
            self._endpoints[number] = endpoints
            return

    def closed_by_peer(self, endpoints: Endpoints) -> bool:
        """Whether the peer has closed an idle connection. An unknown connection counts as open."""
        poller = self._sockets.get(endpoints)
        return poller is not None and bool(poller.poll(0))

    def speaks_http2(self, origin: str) -> None:
        """Note that `origin` answered over HTTP/2."""
        if len(self._multiplexed) < MAX_ORIGINS:
            self._multiplexed.add(origin)

    def is_multiplexed(self, origin: str) -> bool:
        """Whether `origin` has answered over HTTP/2."""
        return origin in self._multiplexed


def _local_port(file_number: int) -> int | None:
    """The local port of libcurl's socket; None if it is closed or not an internet socket."""
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
