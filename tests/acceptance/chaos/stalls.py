"""When each process was dead or suspended. Thread-safe."""

import threading
import time

from tests.acceptance.chaos.history import Stall


class Stalls:
    """Records the stalls of processes, so that none is excused for longer than it was stalled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: list[Stall] = []
        self._open: dict[int, tuple[float, str]] = {}

    def stopped(self, pid: int, why: str) -> None:
        """Record a suspension from now on; one that has begun continues."""
        with self._lock:
            self._open.setdefault(pid, (time.time(), why))

    def resumed(self, pid: int) -> None:
        """Record that the process resumes, even if another fault suspended it too."""
        with self._lock:
            if (begun := self._open.pop(pid, None)) is not None:
                self._ended.append(Stall(pid, begun[0], time.time(), begun[1]))

    def killed(self, pid: int, why: str) -> None:
        """Record that the process is dead, from the start of its suspension if it was suspended."""
        with self._lock:
            since, _ = self._open.pop(pid, (time.time(), ""))
            self._ended.append(Stall(pid, since, None, why))

    def all(self) -> list[Stall]:
        """Return all stalls; ongoing ones end now."""
        now = time.time()
        with self._lock:
            return [*self._ended, *(Stall(pid, since, now, why) for pid, (since, why) in self._open.items())]
