"""Which of several beats sends the house's chores: the one whose connection holds a Postgres advisory lock."""

from workers.connections import DatabaseAwayError, Link

#: An arbitrary number that names this lock among the advisory locks of the database.
_LOCK = 0x686F7572_68616E64


class ChoreElection:
    """Held by a connection of its own: when this process or its connection dies, another beat is elected."""

    def __init__(self) -> None:
        self._link = Link("chores")
        self._elected = False

    def is_elected(self) -> bool:
        """True while this process holds the lock; tries to get it when it does not. False without a database."""
        try:
            with self._link.transaction() as cursor:
                if self._elected:
                    cursor.execute("SELECT 1")  # The lock lives as long as this connection does.
                else:
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
                    self._elected = cursor.fetchone()[0]
        except DatabaseAwayError:
            self._elected = False
        return self._elected

    @property
    def elected(self) -> bool:
        """What `is_elected` answered last."""
        return self._elected

    def resign(self) -> None:
        """Let another beat be elected."""
        self._elected = False
        self._link.close()
