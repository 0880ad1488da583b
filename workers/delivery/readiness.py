"""Which sockets libcurl waits for, told to epoll as rarely as can be.

libcurl lets go of a kept connection's socket after each exchange and wants it again, for the same, with the next one.
epoll is left as it is meanwhile, which spares two system calls an exchange.
"""

import select
from collections.abc import Iterator
from contextlib import suppress

import pycurl

#: Sockets served before the loop looks at something else.
MAX_EVENTS = 500

_INTEREST = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}

#: epoll's event bits, as a number below 32, in libcurl's terms.
_HAPPENED = [
    (pycurl.CSELECT_IN if bits & select.EPOLLIN else 0)
    | (pycurl.CSELECT_OUT if bits & select.EPOLLOUT else 0)
    | (pycurl.CSELECT_ERR if bits & (select.EPOLLERR | select.EPOLLHUP) else 0)
    for bits in range(32)
]


class Readiness:
    """For the engine's thread alone. Sockets belong to libcurl: known here by number, never closed."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._own: set[int] = set()
        self._wanted: dict[int, int] = {}
        self._registered: dict[int, int] = {}

    def add(self, fd: int) -> None:
        """Watch a file of our own; `wait` yields it when it can be read."""
        self._epoll.register(fd, select.EPOLLIN)
        self._own.add(fd)

    def want(self, what: int, fd: int, _multi: object, _assigned: object) -> None:
        """libcurl's socket callback."""
        if what == pycurl.POLL_REMOVE:
            self._wanted.pop(fd, None)
            return
        self._wanted[fd] = what
        registered = self._registered.get(fd)
        if registered is None:
            self._epoll.register(fd, _INTEREST[what])
        elif registered != what:
            self._epoll.modify(fd, _INTEREST[what])
        self._registered[fd] = what

    def opened(self, fd: int) -> None:
        """A new socket. The one that had its number before is closed, and so gone from epoll."""
        self._registered.pop(fd, None)

    def wait(self, seconds: float) -> Iterator[tuple[int, int]]:
        """Each file that something happened to, and what, in libcurl's terms."""
        for fd, bits in self._epoll.poll(seconds, MAX_EVENTS):
            if fd in self._wanted or fd in self._own:
                yield fd, _HAPPENED[bits & 31]
            elif self._registered.pop(fd, None) is not None:  # a kept connection: closed, or not by us yet
                with suppress(OSError):  # closed by an earlier event of this same turn
                    self._epoll.unregister(fd)

    def close(self) -> None:
        self._epoll.close()
