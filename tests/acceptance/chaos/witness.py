"""Somebody who does one small thing again and again, beside the house, and notes when it could not be done in time.

It sees what would hold up anybody: a machine that gives no processor, a disk that syncs for seconds, a database that is
away. What holds up the house alone it does not see, so that is no excuse.
"""

import contextlib
import threading
import time
from typing import Any

import psycopg2

from tests.acceptance.chaos.history import Disturbance

_EVERY_SECONDS = 0.25
#: Slower than this is a disturbance: a tick this long makes a job miss an occurrence each second.
_SLOW_SECONDS = 0.4
_MAKE = "CREATE TABLE IF NOT EXISTS chaos_witness (id int PRIMARY KEY, at timestamptz)"
_WRITE = """
    INSERT INTO chaos_witness VALUES (1, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET at = excluded.at
"""


class Witness:
    """A thread with its own connection."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._seen: list[Disturbance] = []
        self._enough = threading.Event()
        self._link: Any = None
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        if self._thread.is_alive():
            self._thread.join()

    def seen(self) -> list[Disturbance]:
        """Return each span in which the operation took too long."""
        return list(self._seen)

    def _watch(self) -> None:
        since = time.time()
        while not self._enough.wait(_EVERY_SECONDS):
            if not self._written():
                continue
            now = time.time()
            if now - since > _EVERY_SECONDS + _SLOW_SECONDS:
                self._seen.append(Disturbance(since, now, "the machine or the database stood still"))
            since = now
        self._close()

    def _written(self) -> bool:
        try:
            if self._link is None:
                self._link = psycopg2.connect(self._database_url, connect_timeout=5)
                self._link.autocommit = True
                with self._link.cursor() as cursor:
                    cursor.execute(_MAKE)
            with self._link.cursor() as cursor:
                cursor.execute(_WRITE)
        except psycopg2.Error:
            self._close()
            return False
        return True

    def _close(self) -> None:
        if self._link is not None:
            with contextlib.suppress(psycopg2.Error):
                self._link.close()
            self._link = None
