"""The log of an interleaving: who did what with which attempts, for the oracle to compare with the rows."""

import contextlib
import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils import timezone

from proof.turnstile.fixture import Fixture
from proof.turnstile.gate import Gate, current

#: An execution and an attempt number, which every action of a worker must name.
Pair = tuple[str, int]


class Sending(NamedTuple):
    """A request that was sent."""

    pair: Pair
    run_id: str
    owner: str


@dataclass(slots=True)
class Call:
    """A call of one of the product's functions. `owner` is the worker (None: none), `named` the attempts it named.

    `answered` are the attempts that the function returned.
    """

    verb: str
    pids: frozenset[int]
    owner: str | None
    named: frozenset[Pair]
    began: datetime.datetime
    ended: datetime.datetime | None = None
    answered: frozenset[Pair] | None = None


@dataclass(slots=True)
class Stage:
    """`rng` draws only what actors do, so that the order of their steps does not affect it."""

    fixture: Fixture
    gate: Gate
    rng: random.Random
    ids: list[str]
    scheduled: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)
    sent: list[Sending] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    #: Whether any attempt has been claimed, has expired, has been reaped.
    claimed: bool = False
    expired: bool = False
    reaped: bool = False
    #: Up to when beats have fired.
    fired_until: datetime.datetime | None = None

    @contextlib.contextmanager
    def call(self, verb: str, *, owner: str | None = None, named: frozenset[Pair] = frozenset()) -> Iterator[Call]:
        actor = current.actor
        call = Call(verb, frozenset(current.pids), owner, named, timezone.now())
        self.calls.append(call)
        if actor is not None:
            actor.verb = f"{verb} {', '.join(map(self.named, sorted(named)))}".strip()
            self.gate.log(actor.name, f"* {actor.verb}")
        yield call
        call.ended, call.pids = timezone.now(), frozenset(current.pids)
        if actor is not None and call.answered is not None and call.answered != named:
            self.gate.log(actor.name, f"  got {', '.join(map(self.named, sorted(call.answered))) or 'nothing'}")

    def label(self, execution_id: str) -> str:
        """E1, E2, ... in the order of first use."""
        return self.labels.setdefault(execution_id, f"E{len(self.labels) + 1}")

    def named(self, pair: Pair) -> str:
        return f"{self.label(pair[0])}#{pair[1]}"
