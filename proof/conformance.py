"""Whether what happened to real rows could have happened in the model: so that code and model can't drift apart.

What a row may do is not written down here. It is read off the model: every step of a search, with no more of it left
than rows and their log show. Pure; `proof.transition_log` reads the log.
"""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from proof.model.guards import Guards
from proof.model.search import Search
from proof.model.state import DUE, NO_LEASE, PENDING, QUEUED, Bounds, Row, births

#: Enough for every step that a row can take; a test compares it with larger ones.
_BOUNDS = Bounds(workers=2, max_attempts=2, troubles=2)


class Seen(NamedTuple):
    """What a row shows at one moment. `due`: it is pending and its instant has come."""

    status: str
    attempts: int
    owner: str | None
    leased: bool
    queued: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one execution, or its birth, where there is nothing `before`."""

    execution_id: str
    at: datetime.datetime
    before: Seen | None
    after: Seen


class Move(NamedTuple):
    """A transition without its names and numbers: what the model says of all of them alike.

    `tried` tells if there was an attempt before, `more` how many more there are now, `owner` what became of the owner.
    """

    before: str
    after: str
    tried: bool
    more: int
    owner: str
    leased: tuple[bool, bool]


def violations(transitions: Iterable[Transition]) -> list[str]:
    """What no execution of the model could have done, a sentence for each. In the order of the log.

    The transitions of one execution must be in their order, and all of them there from the first on.
    """
    return list(_violations(transitions))


def _violations(transitions: Iterable[Transition]) -> Iterator[str]:
    last: dict[str, Seen] = {}
    for one in transitions:
        known = last.get(one.execution_id)
        last[one.execution_id] = one.after
        if known is not None and one.before is not None and not _same(known, one.before):
            yield f"{_named(one)}: it was {_told(known)} when this was last seen: something moved it without a trace"
        if known is not None and one.before is None:
            yield f"{_named(one)}: it was born before, as {_told(known)}"
        elif one.before is None:
            if _place(one.after) not in _births() or one.after.attempts or one.after.owner or one.after.leased:
                yield f"{_named(one)}: no execution is born so"
        elif (made := move(one.before, one.after)) not in allowed():
            yield f"{_named(one)}: no step of the model{_hint(made)}"


def _named(one: Transition) -> str:
    before = "nothing" if one.before is None else _told(one.before)
    return f"execution {one.execution_id} at {one.at.isoformat()}: {before} -> {_told(one.after)}"


def _told(seen: Seen) -> str:
    owner = f" by {seen.owner}" if seen.owner else ""
    lease = "" if seen.leased == (seen.owner is not None) else ", with a lease" if seen.leased else ", without a lease"
    return f"{_place(seen)}, attempts {seen.attempts}{owner}{lease}"


def _hint(made: Move) -> str:
    """What the model knows of going from the one status to the other."""
    alike = [one for one in allowed() if (one.before, one.after) == (made.before, made.after)]
    if not alike:
        return f", which never goes from {made.before} to {made.after}"
    ways = sorted({f"{one.more:+d} attempts, where the owner {one.owner}" for one in alike})
    return f", which goes there with {' or '.join(ways)}"


def _same(one: Seen, other: Seen) -> bool:
    """Time alone makes a pending row due."""
    return one._replace(due=False) == other._replace(due=False)


def _place(seen: Seen) -> str:
    """A status; of a pending row also whether it may start."""
    if seen.status != PENDING:
        return seen.status
    return f"{PENDING} ({QUEUED if seen.queued else 'due' if seen.due else 'later'})"


def move(before: Seen, after: Seen) -> Move:
    """A transition as the model knows it."""
    # Whether it is due once it has moved is for the clock to say: the model leaves both open.
    later = after._replace(due=False)
    return Move(
        _place(before),
        _place(later),
        before.attempts > 0,
        after.attempts - before.attempts,
        _owners(before.owner, after.owner),
        (before.leased, after.leased),
    )


def _owners(before: str | None, after: str | None) -> str:
    if before is None:
        return "stays away" if after is None else "comes"
    if after is None:
        return "goes"
    return "stays" if before == after else "changes"


@cache
def allowed() -> frozenset[Move]:
    """Every move of a row in the model."""
    return moves(_BOUNDS)


def moves(bounds: Bounds) -> frozenset[Move]:
    """Every move of a row in a search of this size: of each step, what the log would show of it."""
    search = Search(bounds, Guards())
    search.run()
    pairs = {(before.row, after.row) for before, after in search.edges()}
    return frozenset(move(_seen(before), _seen(after)) for before, after in pairs if _logged(before) != _logged(after))


@cache
def _births() -> frozenset[str]:
    return frozenset(_place(_seen(state.row)) for state in births(_BOUNDS))


def _logged(row: Row) -> Seen:
    """What of a row is logged when it changes: neither that its lease is renewed or expires, nor that it comes due."""
    return _seen(row)._replace(due=False)


def _seen(row: Row) -> Seen:
    owner = None if row.owner is None else f"worker {row.owner}"
    return Seen(row.status, row.attempts, owner, row.lease != NO_LEASE, row.wait == QUEUED, row.wait == DUE)
