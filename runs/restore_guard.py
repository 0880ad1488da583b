"""Tells a database that was restored from a dump from the one that the dump was taken of. Pure, but for the cursor.

A dump does not know what was fired and delivered since, so nobody may fire or claim from its copy until an operator has
said what to do: `manage.py restored`. One row holds the number of the transaction that wrote it. PostgreSQL keeps the
same number beside the row (`xmin`), through vacuum, restarts and backups of its files; but whoever copies rows writes
them in transactions of his own. So a restored dump betrays itself, and copied files do not.
"""

from typing import Any

#: What to tell an operator.
ADVICE = "Look over what came back with it, then say what to do about the rest: manage.py restored."
#: Of a database whose mark is gone nothing is known: it is no copy.
IS_COPY = "EXISTS (SELECT FROM runs_databasemark WHERE xmin::text <> transaction)"
_MARK = """
    INSERT INTO runs_databasemark (id, transaction) VALUES (1, pg_current_xact_id()::xid::text)
        ON CONFLICT (id) DO UPDATE SET transaction = excluded.transaction
"""


def is_copy(cursor: Any) -> bool:
    """Whether this database was restored, and nobody has said yet what to do."""
    cursor.execute(f"SELECT {IS_COPY}")
    found: bool = cursor.fetchone()[0]
    return found


def mark(cursor: Any) -> None:
    """From now on this database is the one that fires. Not within a savepoint: that has a number of its own."""
    cursor.execute(_MARK)
