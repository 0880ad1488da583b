"""Many rows from one, made by the database: for tests and benchmarks that need thousands or a million."""

from typing import Any

from django.db import connection

# Any columns that there may be: only those that change are named.
_COPY = """
    INSERT INTO {table}
    SELECT (jsonb_populate_record(original, jsonb_build_object({changes}))).*
      FROM {table} AS original, generate_series(1, %(count)s) AS copied (place)
     WHERE original.id = %(id)s
"""


def copy_row(table: str, key: Any, count: int, *, values: dict[str, Any] | None = None, **changes: str) -> None:
    """Copy the row with this id, with columns changed to SQL expressions of `place`, 1 to `count`, and of `values`."""
    changed = ", ".join(f"'{column}', {expression}" for column, expression in changes.items())
    with connection.cursor() as cursor:
        cursor.execute(_COPY.format(table=table, changes=changed), {"id": key, "count": count, **(values or {})})


def copied_id(kind: str) -> str:
    """The SQL of a copy's id: a hexadecimal digit for its kind, then its place."""
    return f"('{kind}' || lpad(to_hex(place), 31, '0'))::uuid"
