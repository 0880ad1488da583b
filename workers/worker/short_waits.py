"""Wakes a worker for the attempts that it has to make again soon.

Their waits are in the database, as all waits are, and whoever looks there finds them. But the clock looks every half
second, and a wait of a tenth would end up to half a second late.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

#: The clock knows of what is due later than this in time.
LONGEST_SECONDS = 1.5
#: A claim finds what is due by the database's clock, so it had better not come early.
_AFTER_DUE_SECONDS = 0.002


class Retry(NamedTuple):
    """An execution whose next attempt is due at `due_monotonic`, by `time.monotonic()`."""

    due_monotonic: float
    execution_id: str


class ShortWaits:
    """At most `capacity` of them; any more are left to the clock. For whoever holds the caller's lock."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._heap: list[Retry] = []

    def add(self, retries: Sequence[Retry], *, now: float) -> None:
        """Remember those that are due soon after `now`."""
        for retry in retries:
            if retry.due_monotonic < now + LONGEST_SECONDS and len(self._heap) < self._capacity:
                heapq.heappush(self._heap, retry)

    def due(self, now: float) -> list[str]:
        """Take out the ids of those that are due."""
        ids = []
        while self._heap and self._heap[0].due_monotonic + _AFTER_DUE_SECONDS <= now:
            ids.append(heapq.heappop(self._heap).execution_id)
        return ids

    def seconds_to_next(self, now: float) -> float:
        """Infinite where there is none."""
        return self._heap[0].due_monotonic + _AFTER_DUE_SECONDS - now if self._heap else float("inf")
