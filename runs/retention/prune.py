"""Removes executions with their runs in small batches, with rests between them, so that nothing else waits for long.

Live executions are never touched, and rows that another transaction has locked are left for the next turn. Each batch
is a transaction of its own that counts itself, so a process that is killed leaves nothing half done.
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

#: An arbitrary number that identifies this lock among the database's advisory locks.
_LOCK = 0x686F7572_7072756E
_RUNS = "DELETE FROM runs_run WHERE execution_id = ANY(%s::uuid[])"
_ATTEMPTS = """
    DELETE FROM runs_callbackattempt WHERE callback_id IN (
        SELECT id FROM runs_callback WHERE execution_id = ANY(%s::uuid[]))
"""
_CALLBACKS = "DELETE FROM runs_callback WHERE execution_id = ANY(%s::uuid[])"
_STEPS = "DELETE FROM runs_stepstate WHERE execution_id = ANY(%s::uuid[])"
_EXECUTIONS = "DELETE FROM runs_execution WHERE id = ANY(%s::uuid[])"

#: The target duration of a batch: its commit holds up others for this long at worst.
BATCH_SECONDS = 0.05
MIN_SIZE, MAX_SIZE, FIRST_SIZE = 25, 1000, 100
#: From this lag on, the installation is behind with its deliveries.
BEHIND_SECONDS = 0.25
_MIN_REST, _MAX_REST = 0.005, 0.5
_REST_BEHIND = 4


@dataclass(slots=True)
class Pace:
    """The size of the next batch and the rest before it, adapted to how long the last ones took. Pure."""

    size: int = FIRST_SIZE

    def after(self, took: float, behind: float) -> float:
        """Adapt to a batch that took `took` seconds. Returns the seconds to rest.

        The rest is as long as the batch, which takes longer on a busy database; four times as long while the lag of
        deliveries is above `BEHIND_SECONDS`.
        """
        if took > BATCH_SECONDS * 2:
            self.size = max(MIN_SIZE, self.size // 2)
        elif took < BATCH_SECONDS / 2:
            self.size = min(MAX_SIZE, self.size * 2)
        rest = took * _REST_BEHIND if behind > BEHIND_SECONDS else took
        return min(_MAX_REST, max(_MIN_REST, rest))


@dataclass(slots=True)
class Turn:
    """The time that one call has for pruning, and its pace."""

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
        """Call `work` with the size of one batch after another, until it handles fewer rows than that.

        Returns whether it did; otherwise the turn is over.
        """
        while not self.is_over:
            size, began = self.pace.size, self.clock()
            handled = work(size)
            took = self.clock() - began
            if not handled:
                return True
            self.sleep(self.pace.after(took, _lag_seconds()))
            if handled < size:
                return True
        return False


@contextlib.contextmanager
def pruning_lock() -> Iterator[bool]:
    """Hold the lock of pruning within the block, if no other process does. Ends with the connection at the latest."""
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
    """Delete ended executions, locked by the caller, with runs, steps and callbacks. Returns the number of runs."""
    ids = [str(key) for key in execution_ids]
    cursor.execute(_RUNS, [ids])
    runs: int = cursor.rowcount
    for statement in (_STEPS, _ATTEMPTS, _CALLBACKS, _EXECUTIONS):
        cursor.execute(statement, [ids])
    counters.add(cursor, counters.of_pruned(executions=len(ids), runs=runs))
    return runs


def _lag_seconds() -> float:
    """How long due rows wait, for the clock or for a worker."""
    with connection.cursor() as cursor:
        return system.lag(cursor)
