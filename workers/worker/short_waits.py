"""Wakes a worker for retries that are due soon.

All waits are in the database, where the clock finds them; but it looks every half second, so that a wait of a tenth
would end up to half a second late.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

#: The clock finds later retries in time.
LONGEST_SECONDS = 1.5
#: A claim compares with the database's clock, so it should not come early.
_AFTER_DUE_SECONDS = 0.002


class Retry(NamedTuple):
    """An execution whose next attempt is due at `due_monotonic`, by `time.monotonic()`."""

    due_monotonic: float
    execution_id: str


class ShortWaits:
    """At most `capacity` retries; the clock finds the others. The caller locks."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._heap: list[Retry] = []

    def add(self, retries: Sequence[Retry], *, now: float) -> None:
        """Add the retries that are due soon after `now`."""
        for retry in retries:
            if retry.due_monotonic < now + LONGEST_SECONDS and len(self._heap) < self._capacity:
                heapq.heappush(self._heap, retry)

    def due(self, now: float) -> list[str]:
        """Remove the due retries. Returns their executions' ids."""
        ids = []
        while self._heap and self._heap[0].due_monotonic + _AFTER_DUE_SECONDS <= now:
            ids.append(heapq.heappop(self._heap).execution_id)
        return ids

    def seconds_to_next(self, now: float) -> float:
        """The seconds until the next retry; infinite without one."""
        return self._heap[0].due_monotonic + _AFTER_DUE_SECONDS - now if self._heap else float("inf")
