"""Long-lived Postgres connections for the delivery path, outside Django's per-task care."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from django.db import connections


class DatabaseAwayError(Exception):
    """Postgres can't be reached, or ended the transaction for reasons of its own. Nothing was done; try again."""


class Link:
    """One connection, made when it is first needed and made again when it was lost. For one thread at a time."""

    def __init__(self, purpose: str) -> None:
        """`purpose` is what `pg_stat_activity` shows."""
        self._purpose = purpose
        self._connection: Any = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in a transaction that commits as the block ends. Raises DatabaseAwayError, or psycopg2's errors."""
        try:
            if self._connection is None:
                self._connection = _connect(self._purpose)
            with self._connection, self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            if self._is_lost(error):
                self.close()
                raise DatabaseAwayError(str(error).strip()) from error
            raise

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _is_lost(self, error: psycopg2.Error) -> bool:
        """A server that dies in the middle of a statement is reported as a bare DatabaseError; the connection knows."""
        if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
            return True
        return self._connection is not None and bool(self._connection.closed)


def _connect(purpose: str) -> Any:
    """A psycopg2 connection to the default database.

    Keepalives notice a dead server within half a minute; no statement waits longer than that for a lock.
    """
    parameters = dict(connections["default"].get_connection_params())
    for name in ("cursor_factory", "context", "client_encoding"):
        parameters.pop(name, None)
    parameters["application_name"] = f"hourhand {purpose}"
    parameters.update(keepalives=1, keepalives_idle=10, keepalives_interval=5, keepalives_count=3)
    parameters.update(tcp_user_timeout=30_000, options="-c timezone=UTC -c lock_timeout=30s")
    connection = psycopg2.connect(**parameters)
    connection.set_client_encoding("UTF8")
    return connection
