"""libcurl's socket interest and epoll: real sockets, with the callback called as libcurl would."""

import os
import socket
from collections.abc import Iterator

import pycurl
import pytest

from workers.delivery.readiness import Readiness

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def readiness() -> Iterator[Readiness]:
    made = Readiness()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def want(readiness: Readiness, what: int, ours: socket.socket) -> None:
    readiness.on_socket(what, ours.fileno(), None, None)


def happened(readiness: Readiness) -> list[tuple[int, int]]:
    return list(readiness.wait(0))


def test_only_the_wanted_events_are_reported(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    want(readiness, pycurl.POLL_OUT, ours)
    assert happened(readiness) == [(ours.fileno(), pycurl.CSELECT_OUT)]
    want(readiness, pycurl.POLL_IN, ours)
    assert happened(readiness) == []
    theirs.send(b"x")
    assert happened(readiness) == [(ours.fileno(), pycurl.CSELECT_IN)]
    want(readiness, pycurl.POLL_INOUT, ours)
    assert happened(readiness) == [(ours.fileno(), pycurl.CSELECT_IN | pycurl.CSELECT_OUT)]


def test_a_socket_registered_again_is_reported_again(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    for _ in range(3):
        want(readiness, pycurl.POLL_IN, ours)
        theirs.send(b"x")
        assert happened(readiness) == [(ours.fileno(), pycurl.CSELECT_IN)]
        ours.recv(1)
        want(readiness, pycurl.POLL_REMOVE, ours)
        assert happened(readiness) == []


def test_a_kept_connection_closed_by_the_peer_wakes_the_loop_once(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    want(readiness, pycurl.POLL_IN, ours)
    want(readiness, pycurl.POLL_REMOVE, ours)
    theirs.close()
    assert happened(readiness) == []
    assert readiness._registered == {}
    want(readiness, pycurl.POLL_IN, ours)
    assert happened(readiness) == [(ours.fileno(), pycurl.CSELECT_IN | pycurl.CSELECT_ERR)]


@pytest.mark.parametrize("again", [pycurl.POLL_IN, pycurl.POLL_OUT])
def test_a_reused_file_descriptor_is_a_new_socket(readiness: Readiness, pair: Pair, again: int) -> None:
    ours, _ = pair
    want(readiness, pycurl.POLL_IN, ours)
    want(readiness, pycurl.POLL_REMOVE, ours)
    new, theirs = socket.socketpair()
    os.dup2(new.fileno(), ours.fileno())  # closes the one with this number
    readiness.opened(ours.fileno())
    want(readiness, again, ours)
    theirs.send(b"x")
    assert [fd for fd, _ in happened(readiness)] == [ours.fileno()]
    new.close()
    theirs.close()


def test_our_own_file_descriptor_is_always_reported(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    readiness.add(ours.fileno())
    theirs.send(b"x")
    assert [fd for fd, _ in happened(readiness)] == [ours.fileno()]
    assert [fd for fd, _ in happened(readiness)] == [ours.fileno()]
