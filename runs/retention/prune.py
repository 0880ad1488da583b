"""Removes executions with their runs, in batches that nobody has to wait for: small ones, with rests between them.

What lives is never touched, and what somebody else holds at the moment is left for the next time. Every batch is a
transaction of its own that counts itself, so that whoever dies in the middle leaves nothing half done.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from runs import counters
from runs.monitoring import system

#: An arbitrary number that names this lock among the advisory locks of the database.
_LOCK = 0x686F7572_7072756E
_RUNS = "DELETE FROM runs_run WHERE execution_id = ANY(%s::uuid[])"
_EXECUTIONS = "DELETE FROM runs_execution WHERE id = ANY(%s::uuid[])"

#: Seconds that a batch should take: so long a commit may hold up others at the worst.
BATCH_SECONDS = 0.05
SMALLEST, LARGEST, FIRST = 25, 1000, 100
#: The house is behind with its work, from so many seconds on.
BEHIND_SECONDS = 0.25
_SHORTEST_REST, _LONGEST_REST = 0.005, 0.5
_REST_BEHIND = 4


@dataclass(slots=True)
class Pace:
    """How many rows a batch takes and how long the rest after it is, by how the ones before went. Pure."""

    size: int = FIRST

    def after(self, took: float, behind: float) -> float:
        """Learn from a batch that took so many seconds; returns the seconds to rest.

        The rest is as long as the batch, which is longer where the database is busy. While what is due waits for
        longer than `BEHIND_SECONDS`, it is four times that.
        """
        if took > BATCH_SECONDS * 2:
            self.size = max(SMALLEST, self.size // 2)
        elif took < BATCH_SECONDS / 2:
            self.size = min(LARGEST, self.size * 2)
        rest = took * _REST_BEHIND if behind > BEHIND_SECONDS else took
        return min(_LONGEST_REST, max(_SHORTEST_REST, rest))


@dataclass(slots=True)
class Turn:
    """The time that somebody has for pruning, and the pace of it."""

    seconds: float
    pace: Pace = field(default_factory=Pace)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends_at = self.clock() + self.seconds

    @property
    def is_over(self) -> bool:
        return self.clock() >= self._ends_at

    def batches(self, work: Callable[[int], int]) -> bool:
        """Let `work` take one batch after another, of at most so many rows each, until it answers with fewer.

        Returns whether it came to that; otherwise the turn is over.
        """
        while not self.is_over:
            size, began = self.pace.size, self.clock()
            taken = work(size)
            took = self.clock() - began
            if not taken:
                return True
            self.sleep(self.pace.after(took, _behind()))
            if taken < size:
                return True
        return False


@contextlib.contextmanager
def alone() -> Iterator[bool]:
    """Whether nobody else prunes; as long as the block goes on, nobody will. Ends with the connection at the latest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        taken: bool = cursor.fetchone()[0]
    try:
        yield taken
    finally:
        if taken:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def remove(cursor: Any, execution_ids: Sequence[uuid.UUID]) -> int:
    """Delete ended executions, which the caller has locked, with their runs. Returns how many runs there were."""
    ids = [str(key) for key in execution_ids]
    cursor.execute(_RUNS, [ids])
    runs: int = cursor.rowcount
    cursor.execute(_EXECUTIONS, [ids])
    counters.add(cursor, counters.of_pruned(executions=len(ids), runs=runs))
    return runs


def _behind() -> float:
    """How long what is due waits already, in seconds: for the clock, or for a worker."""
    with connection.cursor() as cursor:
        return system.lag(cursor)
