"""What every fault is: a name, how it strikes, and how it is healed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.house import LEASE_SECONDS, House

Heal = Callable[[], None]

#: How long some faults last: shorter than a lease, a while, and longer than one.
SHORT, WHILE = (2.0, 5.0), (3.0, 6.0)
PAST_LEASE = (LEASE_SECONDS + 4.0, LEASE_SECONDS + 6.0)
#: From a little to more than a lease: what is refused or locked for that long.
UP_TO_A_LEASE = (4.0, LEASE_SECONDS + 2.0)
REACHED_SECONDS = 45.0


class NotReachedError(Exception):
    """A fault could not strike, because nothing came by where it waited."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` answers how to undo it, after a number of seconds within `lasts`. `alone`: never with another."""

    name: str
    strike: Callable[[House], Heal]
    lasts: tuple[float, float] = (0.0, 0.0)
    alone: bool = False


def over() -> None:
    """Nothing to undo: the supervisor brings back what died."""


def awaited(look: Callable[[], list[Any]], what: str, seconds: float = REACHED_SECONDS) -> list[Any]:
    """What `look` finds, once there is some. Raises NotReachedError."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise NotReachedError(what)
        time.sleep(0.02)
    return found
