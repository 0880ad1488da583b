"""Searches all reachable states breadth-first, so that a violation comes with its shortest path."""

import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proof.model.guards import Guards
from proof.model.invariants import CAN_END, INVARIANTS, Invariant
from proof.model.state import TERMINAL, Bounds, State, initial_states
from proof.model.transitions import Action, following


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant, and the path to it: the first state, and each action with the state after it."""

    invariant: Invariant
    start: State
    steps: tuple[tuple[Action, State], ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search, which ends at the first violation."""

    states: int
    steps: int
    seconds: float  # of processor time
    violation: Violation | None


class Search:
    """One search. `invariants` may be a subset, to show what a single guard protects."""

    def __init__(self, bounds: Bounds, guards: Guards, invariants: Sequence[Invariant] = INVARIANTS) -> None:
        self._bounds = bounds
        self._guards = guards
        self._of_state = [(invariant, invariant.of_state) for invariant in invariants if invariant.of_state]
        self._of_step = [
            (invariant, invariant.of_step, invariant.kinds) for invariant in invariants if invariant.of_step
        ]
        self._ends = CAN_END in invariants
        self._numbers: dict[State, int] = {}
        self._came_from: list[tuple[int, Action | None]] = []
        self._from, self._to = array("l"), array("l")

    def run(self) -> SearchResult:
        started = time.process_time()
        violation = self._search()
        if violation is None and self._ends:
            violation = self._stuck()
        return SearchResult(len(self._numbers), len(self._to), time.process_time() - started, violation)

    def edges(self) -> Iterator[tuple[State, State]]:
        """Every step of a finished search, as the states before and after."""
        states = list(self._numbers)
        for start, end in zip(self._from, self._to, strict=True):
            yield states[start], states[end]

    def actions(self) -> set[Action]:
        """Every action that first led to a state, of a finished search."""
        return {action for _, action in self._came_from if action is not None}

    def _search(self) -> Violation | None:
        queue: list[State] = []
        for state in initial_states(self._bounds):
            self._numbers[state] = len(self._came_from)
            self._came_from.append((-1, None))
            queue.append(state)
        for number, state in enumerate(queue):  # it grows during the iteration
            for action, after in following(state, self._bounds, self._guards):
                broken = self._broken_by_step(state, action, after)
                reached = self._numbers.get(after)
                if reached is None:
                    reached = self._numbers[after] = len(self._came_from)
                    self._came_from.append((number, action))
                    queue.append(after)
                    broken = broken or self._broken_by_state(after)
                self._from.append(number)
                self._to.append(reached)
                if broken is not None:
                    return self._violation(broken, number, (action, after))
        return None

    def _broken_by_step(self, before: State, action: Action, after: State) -> Invariant | None:
        for invariant, holds, kinds in self._of_step:
            if (not kinds or action.kind in kinds) and not holds(before, action, after):
                return invariant
        return None

    def _broken_by_state(self, state: State) -> Invariant | None:
        for invariant, holds in self._of_state:
            if not holds(state, self._bounds):
                return invariant
        return None

    def _stuck(self) -> Violation | None:
        """Find a state from which no end can be reached, by going backwards from the ends."""
        states = list(self._numbers)
        before: list[list[int]] = [[] for _ in states]
        for start, end in zip(self._from, self._to, strict=True):
            before[end].append(start)
        queue = [number for number, state in enumerate(states) if state.row.status in TERMINAL]
        ends = set(queue)
        for number in queue:
            for start in before[number]:
                if start not in ends:
                    ends.add(start)
                    queue.append(start)
        stuck = next((number for number in range(len(states)) if number not in ends), None)
        return None if stuck is None else self._violation(CAN_END, stuck)

    def _violation(self, invariant: Invariant, number: int, *last: tuple[Action, State]) -> Violation:
        states = list(self._numbers)
        steps = list(last)
        while True:
            start, action = self._came_from[number]
            if action is None:
                return Violation(invariant, states[number], tuple(reversed(steps)))
            steps.append((action, states[number]))
            number = start


def search(bounds: Bounds, guards: Guards, invariants: Sequence[Invariant] = INVARIANTS) -> SearchResult:
    """Search all states within the bounds."""
    return Search(bounds, guards, invariants).run()
