"""The house's chores, sent by one of several beats, on a thread of their own.

Celery waits for its broker for as long as that takes. A Redis that is away holds up the chores that way, never the
clock.
"""

import threading
from collections.abc import Callable

import structlog
from django.db import connection

from workers.beat.leader_election import ChoreElection

log = structlog.get_logger(__name__)

CHORES_SECONDS = 5.0


class ChoreSender:
    """Calls `send` every few seconds for as long as this beat is elected."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._election = ChoreElection()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chores", daemon=True)

    @property
    def elected(self) -> bool:
        """If this beat is the one, as of its last look."""
        return self._election.elected

    def start(self) -> None:
        """Once; further calls do nothing."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Let another beat be elected. Waits for a moment at most: the thread may be waiting for Redis."""
        self._stopping.set()
        self._thread.join(2)
        self._election.resign()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._election.is_elected():
                    self._send()
            except Exception:  # A fault in a chore must not end the others.
                log.exception("chores_failed")
                connection.close()
            self._stopping.wait(CHORES_SECONDS)
        connection.close()
