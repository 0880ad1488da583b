"""SQL for pages that are read from ranges of indexes."""

from typing import Any

from django.db.models.expressions import RawSQL

Sql = tuple[str, tuple[Any, ...]]


def each(sources: Sql, first: Sql, *, columns: str = "candidate.*") -> Sql:
    """The rows that `first` finds for each row of `sources`, which it calls `source`."""
    sql = f"SELECT {columns} FROM ({sources[0]}) AS source CROSS JOIN LATERAL ({first[0]}) AS candidate"
    return sql, (*sources[1], *first[1])


def source(column: str) -> RawSQL:
    """A column of the row of `sources`."""
    return RawSQL(f"source.{column}", ())


def sql_of(rows: Any) -> Sql:
    """A queryset as SQL with parameters."""
    sql, params = rows.query.sql_with_params()
    return sql, params
