"""Tells a database that was restored from a dump from the original. Pure, but for the cursor.

A dump does not know what was fired and delivered after it was taken, so nothing may fire or be claimed from its copy
until an operator has decided: `manage.py restored`. One row holds the number of the transaction that wrote it.
PostgreSQL keeps the same number beside the row (`xmin`), through vacuum, restarts and copies of its files; restoring a
dump writes the row in another transaction. So a restored dump is recognized, and copied files are not.
"""

from typing import Any

#: Advice for the operator.
ADVICE = "Check what came back with it, then decide what to do with the rest: manage.py restored."
#: A database without its mark does not count as a copy.
IS_COPY = "EXISTS (SELECT FROM runs_databasemark WHERE xmin::text <> transaction)"
_MARK = """
    INSERT INTO runs_databasemark (id, transaction) VALUES (1, pg_current_xact_id()::xid::text)
        ON CONFLICT (id) DO UPDATE SET transaction = excluded.transaction
"""


def is_copy(cursor: Any) -> bool:
    """Whether this database was restored from a dump, and no operator has decided yet."""
    cursor.execute(f"SELECT {IS_COPY}")
    restored: bool = cursor.fetchone()[0]
    return restored


def mark(cursor: Any) -> None:
    """Make this the database that fires. Not within a savepoint, whose transaction has a number of its own."""
    cursor.execute(_MARK)
