"""Waits with epoll for libcurl's sockets, with as few system calls as possible.

libcurl unregisters a kept connection's socket after each exchange, and registers it for the same events with the next.
It stays in epoll meanwhile, which saves two system calls an exchange.
"""

import select
from collections.abc import Iterator
from contextlib import suppress

import pycurl

#: The most sockets that one turn of the loop serves.
MAX_EVENTS = 500

_INTEREST = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}

#: epoll's event bits, a number below 32, as libcurl's.
_CURL_EVENTS = [
    (pycurl.CSELECT_IN if bits & select.EPOLLIN else 0)
    | (pycurl.CSELECT_OUT if bits & select.EPOLLOUT else 0)
    | (pycurl.CSELECT_ERR if bits & (select.EPOLLERR | select.EPOLLHUP) else 0)
    for bits in range(32)
]


class Readiness:
    """For the engine's thread only. Sockets belong to libcurl: this class knows their numbers and never closes them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._own: set[int] = set()
        self._interest: dict[int, int] = {}
        self._registered: dict[int, int] = {}

    def add(self, fd: int) -> None:
        """Watch a file descriptor of ours; `wait` yields it when it is readable."""
        self._epoll.register(fd, select.EPOLLIN)
        self._own.add(fd)

    def on_socket(self, events: int, fd: int, _multi: object, _assigned: object) -> None:
        """libcurl's socket callback."""
        if events == pycurl.POLL_REMOVE:
            self._interest.pop(fd, None)
            return
        self._interest[fd] = events
        registered = self._registered.get(fd)
        if registered is None:
            self._epoll.register(fd, _INTEREST[events])
        elif registered != events:
            self._epoll.modify(fd, _INTEREST[events])
        self._registered[fd] = events

    def opened(self, fd: int) -> None:
        """Note a new socket. An earlier one of the same number is closed, and so no longer in epoll."""
        self._registered.pop(fd, None)

    def wait(self, seconds: float) -> Iterator[tuple[int, int]]:
        """Yield each file descriptor that is ready, with its events as libcurl's bits."""
        for fd, bits in self._epoll.poll(seconds, MAX_EVENTS):
            if fd in self._interest or fd in self._own:
                yield fd, _CURL_EVENTS[bits & 31]
            elif self._registered.pop(fd, None) is not None:  # an idle connection: closed by libcurl, or by the peer
                with suppress(OSError):  # closed by an earlier event of this turn
                    self._epoll.unregister(fd)

    def close(self) -> None:
        self._epoll.close()
