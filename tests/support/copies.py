"""Copies of a row, made by the database: for tests and benchmarks that need thousands of rows or a million."""

from typing import Any

from django.db import connection

# Copies all columns of any table; only the changed ones are named.
_COPY = """
    INSERT INTO {table}
    SELECT (jsonb_populate_record(original, jsonb_build_object({changes}))).*
      FROM {table} AS original, generate_series(1, %(count)s) AS copied (place)
     WHERE original.id = %(id)s
"""


def copy_row(table: str, key: Any, count: int, *, values: dict[str, Any] | None = None, **changes: str) -> None:
    """Copy a row `count` times. `changes` are SQL expressions over `place` (1 to `count`) and `values`."""
    changed = ", ".join(f"'{column}', {expression}" for column, expression in changes.items())
    with connection.cursor() as cursor:
        cursor.execute(_COPY.format(table=table, changes=changed), {"id": key, "count": count, **(values or {})})


def copied_id(kind: str) -> str:
    """Return the SQL of a copy's id: a hexadecimal digit for its kind, then its place."""
    return f"('{kind}' || lpad(to_hex(place), 31, '0'))::uuid"
