"""Which of several beats sends the house's chores: the one whose connection holds a Postgres advisory lock."""

from typing import Any

import psycopg2

from workers.connections import connect

#: An arbitrary number that names this lock among the advisory locks of the database.
_LOCK = 0x686F7572_68616E64


class ChoreElection:
    """Held by a connection of its own: when this process or its connection dies, another beat is elected."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._elected = False

    def is_elected(self) -> bool:
        """True while this process holds the lock; tries to get it when it does not. False without a database."""
        try:
            if self._connection is None:
                self._elected = False
                self._connection = connect("chores")
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                if self._elected:
                    cursor.execute("SELECT 1")
                else:
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
                    self._elected = cursor.fetchone()[0]
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self.resign()
        return self._elected

    def resign(self) -> None:
        """Let another beat be elected."""
        self._elected = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
