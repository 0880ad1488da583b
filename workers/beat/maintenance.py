"""Sends the maintenance tasks from the elected beat, on a thread of its own.

Celery waits for its broker without limit: an unreachable Redis delays maintenance that way, never the clock.
"""

import threading
from collections.abc import Callable

import structlog
from django.db import connection

from workers.beat.leader_election import LeaderElection

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0


class MaintenanceSender:
    """Calls `send` every INTERVAL_SECONDS while this beat is elected."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._election = LeaderElection()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chores", daemon=True)

    @property
    def elected(self) -> bool:
        """Whether this beat was elected when it last asked."""
        return self._election.elected

    def start(self) -> None:
        """Start the thread; further calls do nothing."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Let another beat be elected. Waits two seconds at most: the thread may be waiting for Redis."""
        self._stopping.set()
        self._thread.join(2)
        self._election.resign()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._election.is_elected():
                    self._send()
            except Exception:  # A fault in one task must not end the others.
                log.exception("chores_failed")
                connection.close()
            self._stopping.wait(INTERVAL_SECONDS)
        connection.close()
