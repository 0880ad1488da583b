"""The gate where actors stop before each statement until the scheduler lets one proceed.

An actor is a thread with database connections of its own. Its cursors stop at the gate, so the product's functions run
unchanged.
"""

import contextlib
import enum
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


class State(enum.Enum):
    """`STOPPED` waits for the scheduler, `BLOCKED` for a lock of another transaction."""

    STOPPED = "stopped"
    PROCEEDING = "proceeding"
    BLOCKED = "blocked"
    ENDED = "ended"


class AbandonedError(Exception):
    """The interleaving has ended before its actor."""


@dataclass(frozen=True, slots=True)
class StoryLine:
    """A step of the story: who did what, with what result."""

    actor: str
    text: str


@dataclass(eq=False, slots=True)
class Actor:
    """A thread of the interleaving. `pids` are the server processes of its connections.

    It may proceed once `ready` returns True; `became_ready`: whether that happened, or never will.
    """

    name: str
    state: State = State.PROCEEDING
    ready: Callable[[], bool] | None = None
    became_ready: bool = True
    verb: str = ""
    pids: set[int] = field(default_factory=set)
    error: BaseException | None = None
    permit: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)


class Gate:
    """The state that the actors of an interleaving share with its scheduler."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arrivals: queue.SimpleQueue[Actor] = queue.SimpleQueue()
        self.story: list[StoryLine] = []
        #: Whether locks may have been released since the scheduler last checked.
        self.released = True
        self.over = False

    def stop(self, actor: Actor, *, ready: Callable[[], bool] | None = None) -> bool:
        """Wait for the scheduler. Returns whether `ready` came true; False if no other actor can make it so."""
        with self.lock:
            actor.state, actor.ready = State.STOPPED, ready
        self._wait(actor)
        return actor.became_ready

    def returned(self, actor: Actor) -> None:
        """Note the end of a statement. One that waited for a lock stops again, so that only one actor proceeds."""
        with self.lock:
            was_blocked = actor.state is State.BLOCKED
            if was_blocked:
                actor.state, actor.ready = State.STOPPED, None
                self.released = True
        if was_blocked:
            self._wait(actor)

    def end(self, actor: Actor) -> None:
        with self.lock:
            actor.state, self.released = State.ENDED, True
        self.arrivals.put(actor)

    def log(self, actor: str, text: str) -> None:
        self.story.append(StoryLine(actor, text))

    def _wait(self, actor: Actor) -> None:
        self.arrivals.put(actor)
        actor.permit.get()
        if self.over:
            raise AbandonedError


class _Current(threading.local):
    """Of the current thread: its gate and actor while it acts, and the server processes of its connections."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.actor: Actor | None = None
        self.pids: set[int] = set()


current = _Current()


@contextlib.contextmanager
def acting(gate: Gate, actor: Actor) -> Iterator[None]:
    """Let this thread act for `actor`."""
    current.gate, current.actor, actor.pids = gate, actor, current.pids
    try:
        yield
    finally:
        current.gate = current.actor = None


@contextlib.contextmanager
def unobserved() -> Iterator[None]:
    """Statements within are not steps of the actor."""
    gate, current.gate = current.gate, None
    try:
        yield
    finally:
        current.gate = gate


def pause(what: str, *, ready: Callable[[], bool] | None = None) -> bool:
    """A step without a statement, such as sending. Waits until `ready`; returns False if it never will be.

    Does not wait on a thread that does not act.
    """
    gate, actor = current.gate, current.actor
    if gate is None or actor is None:
        return ready is None or ready()
    became_ready = gate.stop(actor, ready=ready)
    if became_ready and what:
        gate.log(actor.name, what)
    return became_ready
