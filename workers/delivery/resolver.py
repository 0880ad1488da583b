"""Resolves names off the engine's loop: a name whose servers are silent delays only the requests to it.

libcurl would resolve on 20 threads, which 20 such names occupy for as long as they hang. Here each lookup has a thread
of its own, shared by all requests that wait for the name, and libcurl gets the addresses. The guard sees each address
as it is dialled, wherever it came from.
"""

import _thread
import heapq
import itertools
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Generic, NamedTuple, TypeVar

logger = logging.getLogger(__name__)

Addresses = tuple[str, ...]
"""The addresses of a name, in the order to try (RFC 6724). Empty: the name does not resolve."""

#: The most concurrent lookups, each on a thread. One that hangs costs 25 KB until the system's resolver gives up.
MAX_LOOKUPS = 1000
#: Of these, reserved for names that were not slow last time, so that silent servers can't occupy them all.
RESERVED_LOOKUPS = 200
#: A lookup that takes longer is slow.
PATIENCE_SECONDS = 1.0

#: An answer older than the first is refreshed in the background, one older than the second before it is used again.
FRESH_SECONDS = 45.0
KEPT_SECONDS = 60.0
#: An answer up to this age still serves while the name's servers are silent or fail (RFC 8767).
STALE_SECONDS = 300.0
#: How long a failed lookup is cached (RFC 2308).
FAILURE_SECONDS = 2.0
MAX_NAMES = 10_000

#: No server may be asked for it: RFC 6761 section 6.3.
_LOCALHOST = "localhost"
_CERTAIN = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

Waiter = TypeVar("Waiter")


class _Lookup(NamedTuple):
    """The end of a lookup. `certain`: the servers answered, rather than failed to."""

    addresses: Addresses
    certain: bool
    seconds: float = 0.0


class _Name(Generic[Waiter]):
    """The cached addresses of a name and who waits for them. Instants are by `time.monotonic()`."""

    __slots__ = ("addresses", "asked_at", "fresh_until", "kept_until", "stale_until", "text", "waiters", "was_slow")

    def __init__(self, text: str) -> None:
        self.text = text
        self.addresses: Addresses = ()
        self.fresh_until = self.kept_until = self.stale_until = 0.0
        self.asked_at: float | None = None  # set while a lookup is running or queued
        self.was_slow = False
        self.waiters: dict[Waiter, None] = {}

    def learn(self, lookup: _Lookup, now: float) -> None:
        self.asked_at = None
        self.was_slow = lookup.seconds > PATIENCE_SECONDS
        if lookup.addresses:
            self.addresses = lookup.addresses
            self.fresh_until, self.kept_until, self.stale_until = (
                now + FRESH_SECONDS,
                now + KEPT_SECONDS,
                now + STALE_SECONDS,
            )
            return
        self.fresh_until = now + FAILURE_SECONDS
        if lookup.certain or now >= self.stale_until:
            self.addresses, self.stale_until = (), now
        self.kept_until = max(self.fresh_until, self.stale_until)


class _Waiting(NamedTuple, Generic[Waiter]):
    deadline: float
    order: int  # a tie-break for equal deadlines
    name: _Name[Waiter]
    waiter: Waiter


class Resolver(Generic[Waiter]):
    """For the engine's thread. Its own threads only look names up, and call `on_answer` when a lookup ends."""

    def __init__(self, on_answer: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._names: dict[str, _Name[Waiter]] = {}
        self._waiting: dict[Waiter, _Waiting[Waiter]] = {}
        self._deadlines: list[_Waiting[Waiter]] = []  # a heap; those that no longer wait stay until their deadline
        self._order = itertools.count()
        self._queue: deque[_Name[Waiter]] = deque()
        self._slow_queue: deque[_Name[Waiter]] = deque()
        self._running = 0
        self._finished: deque[tuple[_Name[Waiter], _Lookup]] = deque()  # written by the threads

    @property
    def busy(self) -> bool:
        """Whether lookups are running."""
        return self._running > 0

    @property
    def next_deadline(self) -> float:
        """The latest time for the next call of `late`."""
        return self._deadlines[0].deadline if self._deadlines else float("inf")

    def ask(self, text: str, waiter: Waiter, *, deadline: float, now: float) -> Addresses | None:
        """Return the addresses of the name `text`, or None: `waiter` waits for the lookup until `deadline`."""
        name = self._names.get(text) or self._open(text)
        if now >= name.fresh_until and name.asked_at is None:
            name.asked_at = now
            (self._slow_queue if name.was_slow else self._queue).append(name)
            self._start()
        is_slow = name.asked_at is not None and now - name.asked_at > PATIENCE_SECONDS
        if now < name.kept_until or (is_slow and now < name.stale_until):
            return name.addresses
        waiting = _Waiting(deadline, next(self._order), name, waiter)
        self._waiting[waiter] = waiting
        heapq.heappush(self._deadlines, waiting)
        name.waiters[waiter] = None
        return None

    def answered(self, now: float) -> list[tuple[Waiter, Addresses]]:
        """Return the waiters whose names have been looked up, with the addresses."""
        answers: list[tuple[Waiter, Addresses]] = []
        while self._finished:
            name, lookup = self._finished.popleft()
            self._running -= 1
            name.learn(lookup, now)
            answers += [(waiter, name.addresses) for waiter in name.waiters]
        for waiter, _ in answers:
            self.forget(waiter)
        self._start()
        return answers

    def late(self, now: float) -> list[Waiter]:
        """Return the waiters whose deadline has passed."""
        late = []
        while self._deadlines and self._deadlines[0].deadline <= now:
            waiting = heapq.heappop(self._deadlines)
            if self._waiting.get(waiting.waiter) is waiting:
                self.forget(waiting.waiter)
                late.append(waiting.waiter)
        return late

    def forget(self, waiter: Waiter) -> None:
        """Remove `waiter`. Its lookup continues: it can't be stopped, and its result is cached."""
        waiting = self._waiting.pop(waiter, None)
        if waiting is not None:
            del waiting.name.waiters[waiter]
        if not self._waiting:
            self._deadlines.clear()

    def waiters(self) -> list[Waiter]:
        """All waiters."""
        return list(self._waiting)

    def _open(self, text: str) -> _Name[Waiter]:
        if len(self._names) >= MAX_NAMES:
            for candidate in list(itertools.islice(self._names.values(), MAX_NAMES // 100)):
                if candidate.asked_at is None:
                    del self._names[candidate.text]
        name = self._names[text] = _Name(text)
        if f".{text.removesuffix('.')}".endswith(f".{_LOCALHOST}"):
            name.addresses = _loopback()
            name.fresh_until = name.kept_until = float("inf")
        return name

    # -- lookups -------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        for queue, limit in ((self._queue, MAX_LOOKUPS), (self._slow_queue, MAX_LOOKUPS - RESERVED_LOOKUPS)):
            while queue and self._running < limit:
                self._running += 1
                name = queue.popleft()
                try:
                    # threading.Thread.start() would block until the new thread runs.
                    _thread.start_new_thread(self._look_up, (name,))
                except RuntimeError as error:  # the system is out of threads
                    logger.warning("delivery_lookup_not_started", extra={"error": str(error)})
                    self._report(name, _Lookup((), certain=False))

    def _look_up(self, name: _Name[Waiter]) -> None:
        started = time.monotonic()
        try:
            addresses, certain = resolve(name.text), True
        except socket.gaierror as error:
            addresses, certain = (), error.errno in _CERTAIN
        except Exception:
            logger.exception("delivery_lookup_failed")
            addresses, certain = (), False
        self._report(name, _Lookup(addresses, certain, time.monotonic() - started))

    def _report(self, name: _Name[Waiter], lookup: _Lookup) -> None:
        self._finished.append((name, lookup))
        self._on_answer()


def resolve(text: str) -> Addresses:
    """Resolve a name with the system's resolver, without a time limit. Raises socket.gaierror."""
    results = socket.getaddrinfo(text.encode("ascii"), None, _family(), socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(endpoint[0]).partition("%")[0] for *_, endpoint in results))


@cache
def _family() -> socket.AddressFamily:
    """IPv4 only if the kernel has no IPv6: no socket could be opened for the other addresses."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return socket.AF_INET
    return socket.AF_UNSPEC


def _loopback() -> Addresses:
    return ("127.0.0.1",) if _family() == socket.AF_INET else ("::1", "127.0.0.1")
