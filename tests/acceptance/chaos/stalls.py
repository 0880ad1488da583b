"""When each process was dead or stood still: noted as it is struck and as it goes on. For many threads."""

import threading
import time

from tests.acceptance.chaos.history import Stall


class Stalls:
    """Whoever strikes a process says so here, so that no process is excused for longer than it was away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: list[Stall] = []
        self._open: dict[int, tuple[float, str]] = {}

    def stopped(self, pid: int, why: str) -> None:
        """It stands still from now on. One that does already goes on doing so."""
        with self._lock:
            self._open.setdefault(pid, (time.time(), why))

    def resumed(self, pid: int) -> None:
        """It goes on, whoever else wanted it to stand still for longer."""
        with self._lock:
            if (begun := self._open.pop(pid, None)) is not None:
                self._ended.append(Stall(pid, begun[0], time.time(), begun[1]))

    def killed(self, pid: int, why: str) -> None:
        """It is dead; what it held as it began to stand still, if it did, it will never give."""
        with self._lock:
            since, _ = self._open.pop(pid, (time.time(), ""))
            self._ended.append(Stall(pid, since, None, why))

    def all(self) -> list[Stall]:
        """What is over, and what stands still yet, as if it went on now."""
        now = time.time()
        with self._lock:
            return [*self._ended, *(Stall(pid, since, now, why) for pid, (since, why) in self._open.items())]
