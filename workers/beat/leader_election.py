"""Elects the beat that sends the maintenance tasks: the one whose connection holds a PostgreSQL advisory lock."""

from workers.connections import DatabaseAwayError, Link

#: An arbitrary number: the key of this advisory lock.
_LOCK = 0x686F7572_68616E64


class LeaderElection:
    """Holds the lock on a connection of its own: when the process or the connection dies, another beat is elected."""

    def __init__(self) -> None:
        self._link = Link("chores")
        self._elected = False

    def is_elected(self) -> bool:
        """Whether this process holds the lock, after an attempt to take it. False without a database."""
        try:
            with self._link.transaction() as cursor:
                if self._elected:
                    cursor.execute("SELECT 1")  # The lock lasts as long as this connection.
                else:
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
                    self._elected = cursor.fetchone()[0]
        except DatabaseAwayError:
            self._elected = False
        return self._elected

    @property
    def elected(self) -> bool:
        """The last answer of `is_elected`."""
        return self._elected

    def resign(self) -> None:
        """Let another beat be elected."""
        self._elected = False
        self._link.close()
