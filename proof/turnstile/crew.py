"""A pool of threads for actors, which keep their connections over many interleavings."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import connection

from proof.turnstile.gate import AbandonedError, Actor, Gate, acting
from workers.connections import Link

Act = Callable[[Link], None]
_JOIN_SECONDS = 10


class _Member:
    """A thread with a link and a Django connection of its own."""

    def __init__(self) -> None:
        self._parts: queue.SimpleQueue[tuple[Gate, Actor, Act] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="actor", daemon=True)
        self._thread.start()

    def play(self, gate: Gate, actor: Actor, act: Act) -> None:
        self._parts.put((gate, actor, act))

    def leave(self) -> None:
        self._parts.put(None)
        self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        link = Link("turnstile")
        while part := self._parts.get():
            gate, actor, act = part
            with acting(gate, actor):
                try:
                    gate.stop(actor)
                    act(link)
                except AbandonedError:
                    link.close()
                except Exception as error:
                    actor.error = error
            if actor.error is not None:
                link.close()
                connection.close()
            gate.end(actor)
        link.close()
        connection.close()


class Crew:
    """A pool that grows to the largest cast."""

    def __init__(self) -> None:
        self._members: list[_Member] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for member in self._members:
            member.leave()

    def play(self, gate: Gate, parts: list[tuple[Actor, Act]]) -> None:
        while len(self._members) < len(parts):
            self._members.append(_Member())
        for member, (actor, act) in zip(self._members, parts, strict=False):
            member.play(gate, actor, act)
