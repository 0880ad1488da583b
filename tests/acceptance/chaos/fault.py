"""The definition of a fault: its name, how it strikes, and how it is undone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.house import LEASE_SECONDS, House

Heal = Callable[[], None]

#: Durations of some faults: shorter than a lease, about as long, and longer.
SHORT, WHILE = (2.0, 5.0), (3.0, 6.0)
PAST_LEASE = (LEASE_SECONDS + 4.0, LEASE_SECONDS + 6.0)
#: Durations of refused writes and locks, up to more than a lease.
UP_TO_A_LEASE = (4.0, LEASE_SECONDS + 2.0)
REACHED_SECONDS = 45.0


class NotReachedError(Exception):
    """A fault could not strike, because no process reached its failpoint."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` returns how to undo the fault after a duration within `lasts`. `alone`: never combined with others."""

    name: str
    strike: Callable[[House], Heal]
    lasts: tuple[float, float] = (0.0, 0.0)
    alone: bool = False


def over() -> None:
    """Undo nothing: the supervisor restarts what died."""


def awaited(look: Callable[[], list[Any]], what: str, seconds: float = REACHED_SECONDS) -> list[Any]:
    """Wait until `look` returns something, and return that. Raises NotReachedError."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise NotReachedError(what)
        time.sleep(0.02)
    return found
