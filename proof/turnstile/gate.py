"""Where an actor stops before each of its statements until the scheduler lets it go on. One goes on at a time.

An actor is a thread with database connections of its own. Its cursors ask the gate, so the product's functions run as
they are.
"""

import contextlib
import enum
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


class State(enum.Enum):
    """`STOPPED` waits for the scheduler, `BLOCKED` for a lock of another's transaction."""

    STOPPED = "stopped"
    GOING = "going"
    BLOCKED = "blocked"
    ENDED = "ended"


class AbandonedError(Exception):
    """The interleaving is over before its actor is."""


@dataclass(frozen=True, slots=True)
class Line:
    """A step of the story: who did what, and what came of it."""

    actor: str
    text: str


@dataclass(eq=False, slots=True)
class Actor:
    """One who acts. `pids` are the server processes of its connections.

    `ready` says if it may go on at all; `came`, whether that came true or will not come true any more.
    """

    name: str
    state: State = State.GOING
    ready: Callable[[], bool] | None = None
    came: bool = True
    verb: str = ""
    pids: set[int] = field(default_factory=set)
    error: BaseException | None = None
    permit: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)


class Gate:
    """All that the actors of one interleaving and its scheduler share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arrivals: queue.SimpleQueue[Actor] = queue.SimpleQueue()
        self.story: list[Line] = []
        #: Whether locks may have been released since the scheduler last looked.
        self.released = True
        self.over = False

    def stop(self, actor: Actor, *, ready: Callable[[], bool] | None = None) -> bool:
        """Wait to be let go on. Returns whether `ready` came true; False: it never will, for nobody else can act."""
        with self.lock:
            actor.state, actor.ready = State.STOPPED, ready
        self._wait(actor)
        return actor.came

    def returned(self, actor: Actor) -> None:
        """A statement has come back. One that waited for a lock stops again, so that still only one goes on."""
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

    def tell(self, actor: str, text: str) -> None:
        self.story.append(Line(actor, text))

    def _wait(self, actor: Actor) -> None:
        self.arrivals.put(actor)
        actor.permit.get()
        if self.over:
            raise AbandonedError


class _Here(threading.local):
    """Of the present thread: its gate and actor while it acts, and the server processes of its connections."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.actor: Actor | None = None
        self.pids: set[int] = set()


here = _Here()


@contextlib.contextmanager
def acting(gate: Gate, actor: Actor) -> Iterator[None]:
    """What this thread does meanwhile, the actor does."""
    here.gate, here.actor, actor.pids = gate, actor, here.pids
    try:
        yield
    finally:
        here.gate = here.actor = None


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """What this thread asks meanwhile is no step of the actor: a look of ours."""
    gate, here.gate = here.gate, None
    try:
        yield
    finally:
        here.gate = gate


def pause(what: str, *, ready: Callable[[], bool] | None = None) -> bool:
    """A step without a statement, as sending is. Waits until `ready`; False if it never will be.

    On a thread that does not act it waits for nothing.
    """
    gate, actor = here.gate, here.actor
    if gate is None or actor is None:
        return ready is None or ready()
    came = gate.stop(actor, ready=ready)
    if came and what:
        gate.tell(actor.name, what)
    return came
