"""Long-lived PostgreSQL connections for the delivery path, independent of Django's."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from django.db import connections

from core.sqlstates import ends_connection, is_about_data


class DatabaseAwayError(Exception):
    """PostgreSQL can't be reached, or refuses for reasons of its own. Try again.

    Nothing was done, unless the answer to a commit was lost: so what is tried again must be idempotent.
    """


class Link:
    """A connection that opens on first use, and again after a loss. For one thread at a time."""

    def __init__(self, purpose: str, *, lock_timeout_seconds: float = 30.0) -> None:
        """`pg_stat_activity` shows `purpose`. A statement that waits longer for a lock raises DatabaseAwayError."""
        self._purpose = purpose
        self._lock_timeout_ms = round(lock_timeout_seconds * 1000)
        self._connection: Any = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in a transaction that commits at the end of the block.

        Raises psycopg2's own error for data that can't be stored, and DatabaseAwayError for all others.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._purpose, lock_timeout_ms=self._lock_timeout_ms)
            with self._connection, self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            if self._is_closed or ends_connection(error):
                self.close()
            elif is_about_data(error):
                raise
            raise DatabaseAwayError(str(error).strip()) from error

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    @property
    def _is_closed(self) -> bool:
        """If a server dies during a statement, psycopg2 raises a bare DatabaseError; only the connection knows."""
        return self._connection is None or bool(self._connection.closed)


def connect(purpose: str, *, lock_timeout_ms: int = 30_000) -> Any:
    """Open a psycopg2 connection to the default database. Keepalives detect a dead server within half a minute."""
    parameters = dict(connections["default"].get_connection_params())
    for name in ("cursor_factory", "context", "client_encoding"):
        parameters.pop(name, None)
    parameters["application_name"] = f"hourhand {purpose}"
    parameters.update(keepalives=1, keepalives_idle=10, keepalives_interval=5, keepalives_count=3)
    parameters.update(tcp_user_timeout=30_000, options=f"-c timezone=UTC -c lock_timeout={lock_timeout_ms}")
    connection = psycopg2.connect(**parameters)
    connection.set_client_encoding("UTF8")
    return connection
