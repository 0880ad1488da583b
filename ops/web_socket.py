"""The web server's listening socket, which the supervisor opens, and its readiness."""

import socket

from ops.supervisor.program import StartError

_BACKLOG = 1024


def listening_socket(host: str, port: int) -> socket.socket:
    """Listen before anything starts. Raises StartError.

    So a port in use is known at once, port 0 becomes a real one, and connections wait while the web server restarts.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise StartError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. "
            f"Set HOURHAND_PORT to a free port (0 picks one), or HOURHAND_HOST to an address of this machine."
        ) from error
    return listener


def reachable_address(listener: socket.socket) -> tuple[str, int]:
    """The listener's host and port as seen from this machine: loopback if it listens on every address."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - compared, not bound


def base_url(listener: socket.socket) -> str:
    host, port = reachable_address(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class ReadinessProbe:
    """Requests GET /readyz without blocking: the request waits in the backlog until the web server accepts it."""

    def __init__(self, address: tuple[str, int], host_header: str) -> None:
        self._address = address
        self._request = f"GET /readyz HTTP/1.0\r\nHost: {host_header}\r\n\r\n".encode()
        self._connection: socket.socket | None = None

    def __call__(self, _pid: int) -> bool:
        """Whether the web server has answered 200."""
        try:
            if self._connection is None:
                self._connection = socket.create_connection(self._address, timeout=1.0)
                self._connection.sendall(self._request)
                self._connection.setblocking(False)
            response = self._connection.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            response = b""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return b" 200 " in response.split(b"\r\n", 1)[0]
