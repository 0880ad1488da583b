"""Checks that transitions of real rows are possible in the model, so that code and model can't drift apart.

The permitted moves are not listed here. They are derived from the steps of a search, reduced to what the log of a row
shows. Pure; `proof.transition_log` reads the log.
"""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from proof.model.guards import Guards
from proof.model.search import Search
from proof.model.state import DUE, NO_LEASE, PENDING, QUEUED, RUNNING, Bounds, Flow, Row, initial_states

#: Enough for every move of a row; a test compares it with larger bounds.
_BOUNDS = Bounds(workers=2, max_attempts=2, faults=2)


class Seen(NamedTuple):
    """The visible part of a row. `due`: it is pending and its instant has come. `begun`: it is a workflow at a step."""

    status: str
    attempts: int
    owner: str | None
    leased: bool
    queued: bool
    due: bool
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an execution, or its insertion, if `before` is None."""

    execution_id: str
    at: datetime.datetime
    before: Seen | None
    after: Seen


class Move(NamedTuple):
    """A transition without names and numbers, as the model knows it.

    `tried`: there was an attempt before (of a workflow, which may wait before and after its calls, nothing is said);
    `more`: the change of their number; `owner`: the change of the owner;
    `begun`: whether it is a workflow that has come to a step, before and after.
    """

    before: str
    after: str
    tried: bool
    more: int
    owner: str
    leased: tuple[bool, bool]
    begun: tuple[bool, bool]


def violations(transitions: Iterable[Transition]) -> list[str]:
    """Describe each transition that is impossible in the model, in the order of the log.

    The transitions of an execution must be complete, from its insertion on, and in order.
    """
    return list(_violations(transitions))


def _violations(transitions: Iterable[Transition]) -> Iterator[str]:
    seen_by_execution: dict[str, Seen] = {}
    for transition in transitions:
        before, after, step = transition.before, transition.after, _describe_transition(transition)
        last_seen = seen_by_execution.get(transition.execution_id)
        seen_by_execution[transition.execution_id] = after
        if last_seen is not None and before is not None and not _same(last_seen, before):
            yield f"{step}: it was {_describe(last_seen)} when last seen: a change was not logged"
        if last_seen is not None and before is None:
            yield f"{step}: it was already inserted, as {_describe(last_seen)}"
        elif before is None:
            if _status(after) not in _initial_statuses() or after.attempts or after.owner or after.leased:
                yield f"{step}: no execution is inserted like this"
        elif (changed := move(before, after)) not in allowed():
            yield f"{step}: no step of the model{_hint(changed)}"


def _describe_transition(transition: Transition) -> str:
    before = "nothing" if transition.before is None else _describe(transition.before)
    return (
        f"execution {transition.execution_id} at {transition.at.isoformat()}: {before} -> {_describe(transition.after)}"
    )


def _describe(seen: Seen) -> str:
    owner = f" by {seen.owner}" if seen.owner else ""
    lease = "" if seen.leased == (seen.owner is not None) else ", with a lease" if seen.leased else ", without a lease"
    return f"{_status(seen)}, attempts {seen.attempts}{owner}{lease}"


def _hint(changed: Move) -> str:
    """How the model moves between these two statuses."""
    alike = [move for move in allowed() if (move.before, move.after) == (changed.before, changed.after)]
    if not alike:
        return f", which never moves from {changed.before} to {changed.after}"
    ways = sorted({f"{move.more:+d} attempts, and the owner {move.owner}" for move in alike})
    return f", which moves there with {' or '.join(ways)}"


def _same(seen: Seen, other: Seen) -> bool:
    """Whether two rows are equal but for `due`, which time alone changes."""
    return seen._replace(due=False) == other._replace(due=False)


def _status(seen: Seen) -> str:
    """The status, and of a pending row whether it may start."""
    if seen.status != PENDING:
        return seen.status
    return f"{PENDING} ({QUEUED if seen.queued else 'due' if seen.due else 'later'})"


def move(before: Seen, after: Seen) -> Move:
    """Reduce a transition to a move."""
    # The clock decides whether it is due afterwards: the model allows both.
    later = after._replace(due=False)
    return Move(
        _status(before),
        _status(later),
        before.attempts > 0 and not after.begun,
        after.attempts - before.attempts,
        _owners(before.owner, after.owner),
        (before.leased, after.leased),
        (before.begun, after.begun),
    )


def _owners(before: str | None, after: str | None) -> str:
    if before is None:
        return "stays away" if after is None else "comes"
    if after is None:
        return "goes"
    return "stays" if before == after else "changes"


@cache
def single_steps() -> frozenset[Move]:
    """Every move in the model."""
    return moves(_BOUNDS)


@cache
def allowed() -> frozenset[Move]:
    """Every move that the log of a row may show: those of the model, and two that are committed together."""
    return single_steps() | frozenset(_in_one_transaction(single_steps()))


def moves(bounds: Bounds) -> frozenset[Move]:
    """Every move in a search with these bounds: each step as the log would show it."""
    search = Search(bounds, Guards())
    search.run()
    pairs = {(_Visible(*before[:2]), _Visible(*after[:2])) for before, after in search.edges()}
    return frozenset(move(_seen(before), _seen(after)) for before, after in pairs if _logged(before) != _logged(after))


def _in_one_transaction(single: Iterable[Move]) -> Iterator[Move]:
    """Two steps that a recorder commits together: it records a workflow's call, and claims what follows. The log of a
    row shows them as one.
    """
    recorded = [step for step in single if (step.before, step.owner, step.begun[1]) == (RUNNING, "goes", True)]
    claimed = [step for step in single if step.before == f"{PENDING} ({DUE})" and step.begun[0]]
    for first in recorded:
        for second in claimed:
            if first.after.startswith(PENDING):
                yield Move(
                    first.before,
                    second.after,
                    False,
                    first.more + second.more,
                    "stays" if second.owner == "comes" else "goes",
                    (first.leased[0], second.leased[1]),
                    (first.begun[0], second.begun[1]),
                )


@cache
def _initial_statuses() -> frozenset[str]:
    return frozenset(_status(_seen(_Visible(state.row, state.flow))) for state in initial_states(_BOUNDS))


class _Visible(NamedTuple):
    """The part of a model's state that rows show."""

    row: Row
    flow: Flow | None


def _logged(visible: _Visible) -> Seen:
    """The part of a row whose changes are logged: not the renewal or expiry of its lease, nor that it becomes due."""
    return _seen(visible)._replace(due=False)


def _seen(visible: _Visible) -> Seen:
    row, flow = visible
    owner = None if row.owner is None else f"worker {row.owner}"
    begun = flow is not None and (flow.begun(row.attempts) or bool(flow.outcome))
    return Seen(row.status, row.attempts, owner, row.lease != NO_LEASE, row.wait == QUEUED, row.wait == DUE, begun)
