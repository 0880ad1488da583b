"""One interleaving as it happens: who did what with which attempts, for the oracle to compare with the rows."""

import contextlib
import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils import timezone

from proof.turnstile.gate import Gate, here
from proof.turnstile.house import House

#: An execution and the number of an attempt: what everything that a worker does must name.
Pair = tuple[str, int]


class Sending(NamedTuple):
    """A request that went out."""

    pair: Pair
    run_id: str
    owner: str


@dataclass(slots=True)
class Call:
    """One call of a product's function. `owner` is the worker's, and `named` what it called it for; None: no worker.

    `answered` is what it said that it did.
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
    """`rng` draws what actors do, and nothing else, so that the order of their steps leaves it alone."""

    house: House
    gate: Gate
    rng: random.Random
    ids: list[str]
    scheduled: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)
    sent: list[Sending] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    #: Whether anything was claimed yet, lapsed yet, was reaped yet.
    claimed: bool = False
    lapsed: bool = False
    reaped: bool = False
    #: Up to when beats have fired.
    fired_until: datetime.datetime | None = None

    @contextlib.contextmanager
    def call(self, verb: str, *, owner: str | None = None, named: frozenset[Pair] = frozenset()) -> Iterator[Call]:
        actor = here.actor
        made = Call(verb, frozenset(here.pids), owner, named, timezone.now())
        self.calls.append(made)
        if actor is not None:
            actor.verb = f"{verb} {', '.join(map(self.named, sorted(named)))}".strip()
            self.gate.tell(actor.name, f"* {actor.verb}")
        yield made
        made.ended, made.pids = timezone.now(), frozenset(here.pids)
        if actor is not None and made.answered is not None and made.answered != named:
            self.gate.tell(actor.name, f"  got {', '.join(map(self.named, sorted(made.answered))) or 'nothing'}")

    def label(self, execution_id: str) -> str:
        """E1, E2, ... in the order in which they are first seen."""
        return self.labels.setdefault(execution_id, f"E{len(self.labels) + 1}")

    def named(self, pair: Pair) -> str:
        return f"{self.label(pair[0])}#{pair[1]}"
