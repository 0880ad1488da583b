"""Lets one actor go on at a time, in an order that a seed decides, and knows who waits for whose lock."""

import contextlib
import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proof.turnstile.gate import Actor, Gate, State

#: Nothing here takes longer, on however busy a machine: what does has hung.
_STUCK_SECONDS = 120.0
_MOST_STEPS = 3000
#: How long a statement may take before the server is asked whether it waits for a lock.
_PATIENCE_SECONDS = 0.004
_WAITS = "SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::int[]) AS pid"
_CANCEL = "SELECT pg_cancel_backend(pid) FROM unnest(%s::int[]) AS pid"
_SWITCHES = 3
Order = Callable[[Sequence[Actor]], Actor]


class StuckError(RuntimeError):
    """Somebody neither goes on nor waits for a lock that is known."""


class Scheduler:
    """Runs the actors of a gate to their end. `cursor` is on a connection of its own, in autocommit mode."""

    def __init__(self, gate: Gate, actors: Sequence[Actor], rng: random.Random, cursor: Any) -> None:
        self._gate = gate
        self._actors = actors
        self._cursor = cursor
        self._choose = rng.choice((_evenly, _clinging, _by_rank))(rng)
        #: Circles of actors that waited for each other.
        self.deadlocks: list[str] = []

    def run(self) -> None:
        """Raises StuckError, after which the gate lets nobody go on."""
        try:
            self._settle()
            for _ in range(_MOST_STEPS):
                if self.deadlocks or not self._step():
                    return
            raise StuckError(f"not at an end after {_MOST_STEPS} steps")
        finally:
            self._send_home()

    def _send_home(self) -> None:
        """Let nobody go on any more, and end what waits for a lock."""
        self._gate.over = True
        for actor in self._actors:
            actor.permit.put(None)
        give_up_at = time.monotonic() + _STUCK_SECONDS
        while there := [actor for actor in self._actors if actor.state is not State.ENDED]:
            if time.monotonic() > give_up_at:
                raise StuckError(", ".join(actor.name for actor in there))
            blocked = [pid for actor in there if actor.state is State.BLOCKED for pid in actor.pids]
            self._cursor.execute(_CANCEL, [blocked])
            with contextlib.suppress(queue.Empty):
                self._gate.arrivals.get(timeout=_PATIENCE_SECONDS)

    def _step(self) -> bool:
        """Let one go on, until all stand still again. False when all have ended."""
        stopped = [actor for actor in self._actors if actor.state is State.STOPPED]
        able = [actor for actor in stopped if actor.ready is None or actor.ready()]
        if not able and any(actor.state is State.BLOCKED for actor in self._actors):
            self._settle(until_moved=True)
            return True
        if not able and not stopped:
            return False
        # Where nobody can make it come true any more, whoever waits for something is told so.
        chosen = self._choose(able) if able else stopped[0]
        chosen.came = bool(able)
        chosen.state = State.GOING
        chosen.permit.put(None)
        self._settle()
        return True

    def _settle(self, *, until_moved: bool = False) -> None:
        """Wait until each has stopped, has ended, or waits for a lock of one that has stopped, or waits itself."""
        give_up_at = time.monotonic() + _STUCK_SECONDS
        while busy := [actor for actor in self._actors if actor.state in (State.GOING, State.BLOCKED)]:
            goes_on = any(actor.state is State.GOING for actor in busy)
            if not (goes_on or until_moved or self._gate.released):
                return
            if goes_on or until_moved:
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
        """Whether each of them waits for a lock that nobody who moves can release."""
        waits = self._waits(busy)
        with self._gate.lock:
            blocked = [actor for actor in busy if waits.get(actor) and actor.state in (State.GOING, State.BLOCKED)]
            while moving := [actor for actor in blocked if not self._stand_still(waits[actor], blocked)]:
                blocked = [actor for actor in blocked if actor not in moving]
            for actor in blocked:
                if actor.state is State.GOING:
                    actor.state = State.BLOCKED
                    others = ", ".join(sorted({other.name for other in waits[actor] if other}))
                    self._gate.tell(actor.name, f"... waits for {others}")
        self._find_circles(blocked, waits)
        return all(actor in blocked or actor.state not in (State.GOING, State.BLOCKED) for actor in busy)

    def _find_circles(self, blocked: Sequence[Actor], waits: Mapping[Actor, Sequence[Actor | None]]) -> None:
        for actor in blocked:
            seen: list[Actor] = []
            ahead: list[Actor | None] = [actor]
            while ahead:
                one = ahead.pop()
                if one is None or one in seen:
                    continue
                seen.append(one)
                ahead.extend(waits.get(one, ()))
                if actor in waits.get(one, ()) and not self.deadlocks:
                    self.deadlocks.append(" and ".join(sorted({actor.name, one.name})))

    @staticmethod
    def _stand_still(blockers: Sequence[Actor | None], blocked: Sequence[Actor]) -> bool:
        return all(one is not None and (one.state is State.STOPPED or one in blocked) for one in blockers)

    def _waits(self, busy: Sequence[Actor]) -> dict[Actor, list[Actor | None]]:
        """For whom each waits; None is one that is no actor."""
        owners = {pid: actor for actor in self._actors for pid in actor.pids}
        self._cursor.execute(_WAITS, [[pid for pid, actor in owners.items() if actor in busy]])
        waits: dict[Actor, list[Actor | None]] = {}
        for pid, blockers in self._cursor.fetchall():
            waits.setdefault(owners[pid], []).extend(owners.get(one) for one in blockers)
        return waits


def _evenly(rng: random.Random) -> Order:
    return rng.choice


def _clinging(rng: random.Random) -> Order:
    """Mostly the same goes on as before: few changes, each anywhere."""
    before: list[Actor] = []

    def choose(able: Sequence[Actor]) -> Actor:
        if not (before and before[0] in able and rng.random() < 0.8):
            before[:] = [rng.choice(able)]
        return before[0]

    return choose


def _by_rank(rng: random.Random) -> Order:
    """The first in rank goes on, and falls behind all others at a few steps drawn beforehand.

    Finds a fault of that depth with a known probability (Burckhardt et al., 2010: probabilistic concurrency testing).
    """
    ranks: dict[Actor, float] = {}
    falls = {rng.randrange(1, 80) for _ in range(_SWITCHES)}
    steps = 0

    def choose(able: Sequence[Actor]) -> Actor:
        nonlocal steps
        steps += 1
        for actor in able:
            ranks.setdefault(actor, rng.random())
        first = max(able, key=ranks.__getitem__)
        if steps in falls:
            ranks[first] = -steps
            first = max(able, key=ranks.__getitem__)
        return first

    return choose
