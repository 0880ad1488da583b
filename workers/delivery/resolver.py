"""Names to addresses, off the loop: a name whose servers are silent holds up nobody but those who ask for it.

libcurl would resolve on 20 threads, which 20 such names fill for as long as they hang. Here a lookup has a thread of
its own, one for a name however many wait for it, and libcurl is handed the addresses. The guard sees each address as it
is dialled, wherever it came from.
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
"""What a name resolves to, in the order to try (RFC 6724). Empty: it does not resolve."""

#: Lookups at once, each on a thread. One that hangs costs 25 KB, and seconds: as many as the system's resolver tries.
MAX_LOOKUPS = 1000
#: Of them, for names that did not drag the last time: any number of silent servers leaves these to the others.
RESERVED_LOOKUPS = 200
#: A lookup that takes longer drags.
PATIENCE_SECONDS = 1.0

#: An answer older than the first is looked up anew in passing, one older than the second before it is used again.
FRESH_SECONDS = 45.0
KEPT_SECONDS = 60.0
#: So old an answer still serves while the servers that gave it are silent or fail (RFC 8767).
STALE_SECONDS = 300.0
#: A name that does not resolve is not looked up again for so long (RFC 2308).
FAILURE_SECONDS = 2.0
MAX_NAMES = 10_000

#: Never asked of any server: RFC 6761 section 6.3.
_LOCALHOST = "localhost"
_CERTAIN = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

Waiter = TypeVar("Waiter")


class _Found(NamedTuple):
    """How a lookup ended. `certain`: the servers have spoken, and did not merely fail to."""

    addresses: Addresses
    certain: bool
    seconds: float = 0.0


class _Name(Generic[Waiter]):
    """What is known of a name, until when, and who waits to know it. Instants are by `time.monotonic()`."""

    __slots__ = ("addresses", "asked_at", "dragged", "fresh_until", "kept_until", "stale_until", "text", "waiters")

    def __init__(self, text: str) -> None:
        self.text = text
        self.addresses: Addresses = ()
        self.fresh_until = self.kept_until = self.stale_until = 0.0
        self.asked_at: float | None = None  # set while it is looked up, or in line for that
        self.dragged = False
        self.waiters: dict[Waiter, None] = {}

    def learn(self, found: _Found, now: float) -> None:
        self.asked_at = None
        self.dragged = found.seconds > PATIENCE_SECONDS
        if found.addresses:
            self.addresses = found.addresses
            self.fresh_until, self.kept_until, self.stale_until = (
                now + FRESH_SECONDS,
                now + KEPT_SECONDS,
                now + STALE_SECONDS,
            )
            return
        self.fresh_until = now + FAILURE_SECONDS
        if found.certain or now >= self.stale_until:
            self.addresses, self.stale_until = (), now
        self.kept_until = max(self.fresh_until, self.stale_until)


class _Waiting(NamedTuple, Generic[Waiter]):
    deadline: float
    order: int  # so that two with one deadline need not be compared further
    name: _Name[Waiter]
    waiter: Waiter


class Resolver(Generic[Waiter]):
    """For one thread, the engine's; its own threads only look names up, and call `on_answer` when one is done."""

    def __init__(self, on_answer: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._names: dict[str, _Name[Waiter]] = {}
        self._waiting: dict[Waiter, _Waiting[Waiter]] = {}
        self._deadlines: list[_Waiting[Waiter]] = []  # a heap; who waits no more stays in it until its deadline
        self._order = itertools.count()
        self._line: deque[_Name[Waiter]] = deque()
        self._dragging_line: deque[_Name[Waiter]] = deque()
        self._under_way = 0
        self._found: deque[tuple[_Name[Waiter], _Found]] = deque()  # written by the threads

    @property
    def busy(self) -> bool:
        """If names are being looked up."""
        return self._under_way > 0

    @property
    def next_deadline(self) -> float:
        """When to call `late`, at the latest."""
        return self._deadlines[0].deadline if self._deadlines else float("inf")

    def ask(self, text: str, waiter: Waiter, *, deadline: float, now: float) -> Addresses | None:
        """The addresses of the name `text`. None: they are being looked up, and `waiter` waits until `deadline`."""
        name = self._names.get(text) or self._open(text)
        if now >= name.fresh_until and name.asked_at is None:
            name.asked_at = now
            (self._dragging_line if name.dragged else self._line).append(name)
            self._start()
        drags = name.asked_at is not None and now - name.asked_at > PATIENCE_SECONDS
        if now < name.kept_until or (drags and now < name.stale_until):
            return name.addresses
        waiting = _Waiting(deadline, next(self._order), name, waiter)
        self._waiting[waiter] = waiting
        heapq.heappush(self._deadlines, waiting)
        name.waiters[waiter] = None
        return None

    def answered(self, now: float) -> list[tuple[Waiter, Addresses]]:
        """Who need not wait any more, with the addresses."""
        answers: list[tuple[Waiter, Addresses]] = []
        while self._found:
            name, found = self._found.popleft()
            self._under_way -= 1
            name.learn(found, now)
            answers += [(waiter, name.addresses) for waiter in name.waiters]
        for waiter, _ in answers:
            self.forget(waiter)
        self._start()
        return answers

    def late(self, now: float) -> list[Waiter]:
        """Who has waited until the deadline, in vain."""
        late = []
        while self._deadlines and self._deadlines[0].deadline <= now:
            waiting = heapq.heappop(self._deadlines)
            if self._waiting.get(waiting.waiter) is waiting:
                self.forget(waiting.waiter)
                late.append(waiting.waiter)
        return late

    def forget(self, waiter: Waiter) -> None:
        """`waiter` waits no more. What is being looked up for it goes on: it can't be stopped, and others may ask."""
        waiting = self._waiting.pop(waiter, None)
        if waiting is not None:
            del waiting.name.waiters[waiter]
        if not self._waiting:
            self._deadlines.clear()

    def waiters(self) -> list[Waiter]:
        """All who wait."""
        return list(self._waiting)

    def _open(self, text: str) -> _Name[Waiter]:
        if len(self._names) >= MAX_NAMES:
            for old in list(itertools.islice(self._names.values(), MAX_NAMES // 100)):
                if old.asked_at is None:
                    del self._names[old.text]
        name = self._names[text] = _Name(text)
        if f".{text.removesuffix('.')}".endswith(f".{_LOCALHOST}"):
            name.addresses = _loopback()
            name.fresh_until = name.kept_until = float("inf")
        return name

    # -- lookups -------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        for line, limit in ((self._line, MAX_LOOKUPS), (self._dragging_line, MAX_LOOKUPS - RESERVED_LOOKUPS)):
            while line and self._under_way < limit:
                self._under_way += 1
                name = line.popleft()
                try:
                    # threading.Thread.start() would wait here until the new thread runs.
                    _thread.start_new_thread(self._look_up, (name,))
                except RuntimeError as error:  # the system has no thread to spare
                    logger.warning("delivery_lookup_not_started", extra={"error": str(error)})
                    self._report(name, _Found((), certain=False))

    def _look_up(self, name: _Name[Waiter]) -> None:
        started = time.monotonic()
        try:
            addresses, certain = resolve(name.text), True
        except socket.gaierror as error:
            addresses, certain = (), error.errno in _CERTAIN
        except Exception:
            logger.exception("delivery_lookup_failed")
            addresses, certain = (), False
        self._report(name, _Found(addresses, certain, time.monotonic() - started))

    def _report(self, name: _Name[Waiter], found: _Found) -> None:
        self._found.append((name, found))
        self._on_answer()


def resolve(text: str) -> Addresses:
    """Ask the system for the addresses of a name: as long as it takes. Raises socket.gaierror."""
    found = socket.getaddrinfo(text.encode("ascii"), None, _family(), socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(place[0]).partition("%")[0] for *_, place in found))


@cache
def _family() -> socket.AddressFamily:
    """IPv4 alone where the kernel knows no other: an address that no socket can be opened for is none to try."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return socket.AF_INET
    return socket.AF_UNSPEC


def _loopback() -> Addresses:
    return ("127.0.0.1",) if _family() == socket.AF_INET else ("::1", "127.0.0.1")
