"""Lets one actor proceed at a time, in an order that a seed determines, and tracks who waits for whose lock."""

import contextlib
import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proof.turnstile.gate import Actor, Gate, State

#: A step that takes longer, on however busy a machine, hangs.
_STUCK_SECONDS = 120.0
_MAX_STEPS = 3000
#: How long a statement may take before the server is asked whether it waits for a lock.
_PATIENCE_SECONDS = 0.004
_WAITS = "SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::int[]) AS pid"
_CANCEL = "SELECT pg_cancel_backend(pid) FROM unnest(%s::int[]) AS pid"
_SWITCHES = 3
Order = Callable[[Sequence[Actor]], Actor]


class StuckError(RuntimeError):
    """An actor neither proceeds nor waits for a known lock."""


class Scheduler:
    """Runs the actors of a gate to their end. `cursor` is on a connection of its own, in autocommit mode."""

    def __init__(self, gate: Gate, actors: Sequence[Actor], rng: random.Random, cursor: Any) -> None:
        self._gate = gate
        self._actors = actors
        self._cursor = cursor
        self._choose = rng.choice((_uniformly, _mostly_same, _by_priority))(rng)
        #: Cycles of actors that waited for each other.
        self.deadlocks: list[str] = []

    def run(self) -> None:
        """Run all actors to their end. Raises StuckError, after which no actor proceeds."""
        try:
            self._settle()
            for _ in range(_MAX_STEPS):
                if self.deadlocks or not self._step():
                    return
            raise StuckError(f"not finished after {_MAX_STEPS} steps")
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Abandon all actors, and cancel statements that wait for a lock."""
        self._gate.over = True
        for actor in self._actors:
            actor.permit.put(None)
        give_up_at = time.monotonic() + _STUCK_SECONDS
        while remaining := [actor for actor in self._actors if actor.state is not State.ENDED]:
            if time.monotonic() > give_up_at:
                raise StuckError(", ".join(actor.name for actor in remaining))
            blocked = [pid for actor in remaining if actor.state is State.BLOCKED for pid in actor.pids]
            self._cursor.execute(_CANCEL, [blocked])
            with contextlib.suppress(queue.Empty):
                self._gate.arrivals.get(timeout=_PATIENCE_SECONDS)

    def _step(self) -> bool:
        """Let one actor proceed until all have stopped again. False when all have ended."""
        stopped = [actor for actor in self._actors if actor.state is State.STOPPED]
        ready = [actor for actor in stopped if actor.ready is None or actor.ready()]
        if not ready and any(actor.state is State.BLOCKED for actor in self._actors):
            self._settle(until_moved=True)
            return True
        if not ready and not stopped:
            return False
        # If no actor can make any condition come true, the first that waits learns that.
        chosen = self._choose(ready) if ready else stopped[0]
        chosen.became_ready = bool(ready)
        chosen.state = State.PROCEEDING
        chosen.permit.put(None)
        self._settle()
        return True

    def _settle(self, *, until_moved: bool = False) -> None:
        """Wait until each actor has stopped or ended, or waits for a lock of one that has stopped or is blocked."""
        give_up_at = time.monotonic() + _STUCK_SECONDS
        while busy := [actor for actor in self._actors if actor.state in (State.PROCEEDING, State.BLOCKED)]:
            proceeding = any(actor.state is State.PROCEEDING for actor in busy)
            if not (proceeding or until_moved or self._gate.released):
                return
            if proceeding or until_moved:
                with contextlib.suppress(queue.Empty):
                    self._gate.arrivals.get(timeout=_PATIENCE_SECONDS)
                    until_moved = False
                    continue
            if self._are_blocked(busy) and not until_moved:
                self._gate.released = False
                return
            if time.monotonic() > give_up_at:
                raise StuckError(", ".join(f"{actor.name} ({actor.verb})" for actor in busy))

    def _are_blocked(self, busy: Sequence[Actor]) -> bool:
        """Whether each of them waits for a lock that no running actor can release."""
        waits = self._waits(busy)
        with self._gate.lock:
            blocked = [actor for actor in busy if waits.get(actor) and actor.state in (State.PROCEEDING, State.BLOCKED)]
            while running := [actor for actor in blocked if not self._is_stuck(waits[actor], blocked)]:
                blocked = [actor for actor in blocked if actor not in running]
            for actor in blocked:
                if actor.state is State.PROCEEDING:
                    actor.state = State.BLOCKED
                    others = ", ".join(sorted({other.name for other in waits[actor] if other}))
                    self._gate.log(actor.name, f"... waits for {others}")
        self._find_cycles(blocked, waits)
        return all(actor in blocked or actor.state not in (State.PROCEEDING, State.BLOCKED) for actor in busy)

    def _find_cycles(self, blocked: Sequence[Actor], waits: Mapping[Actor, Sequence[Actor | None]]) -> None:
        for actor in blocked:
            visited: list[Actor] = []
            pending: list[Actor | None] = [actor]
            while pending:
                other = pending.pop()
                if other is None or other in visited:
                    continue
                visited.append(other)
                pending.extend(waits.get(other, ()))
                if actor in waits.get(other, ()) and not self.deadlocks:
                    self.deadlocks.append(" and ".join(sorted({actor.name, other.name})))

    @staticmethod
    def _is_stuck(blockers: Sequence[Actor | None], blocked: Sequence[Actor]) -> bool:
        return all(other is not None and (other.state is State.STOPPED or other in blocked) for other in blockers)

    def _waits(self, busy: Sequence[Actor]) -> dict[Actor, list[Actor | None]]:
        """The actors that each one waits for; None for another process."""
        owners = {pid: actor for actor in self._actors for pid in actor.pids}
        self._cursor.execute(_WAITS, [[pid for pid, actor in owners.items() if actor in busy]])
        waits: dict[Actor, list[Actor | None]] = {}
        for pid, blockers in self._cursor.fetchall():
            waits.setdefault(owners[pid], []).extend(owners.get(other) for other in blockers)
        return waits


def _uniformly(rng: random.Random) -> Order:
    return rng.choice


def _mostly_same(rng: random.Random) -> Order:
    """Mostly the same actor again: few switches, at any place."""
    previous: list[Actor] = []

    def choose(ready: Sequence[Actor]) -> Actor:
        if not (previous and previous[0] in ready and rng.random() < 0.8):
            previous[:] = [rng.choice(ready)]
        return previous[0]

    return choose


def _by_priority(rng: random.Random) -> Order:
    """The actor of the highest priority proceeds, and drops to the lowest at a few steps drawn beforehand.

    Finds a fault of that depth with a known probability (Burckhardt et al., 2010: probabilistic concurrency testing).
    """
    priorities: dict[Actor, float] = {}
    switches = {rng.randrange(1, 80) for _ in range(_SWITCHES)}
    steps = 0

    def choose(ready: Sequence[Actor]) -> Actor:
        nonlocal steps
        steps += 1
        for actor in ready:
            priorities.setdefault(actor, rng.random())
        first = max(ready, key=priorities.__getitem__)
        if steps in switches:
            priorities[first] = -steps
            first = max(ready, key=priorities.__getitem__)
        return first

    return choose
