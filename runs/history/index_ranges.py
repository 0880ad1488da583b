"""Pages read from ranges of indexes: of each no more than could be on the page, and what comes first of all is it."""

from typing import Any

from django.db.models.expressions import RawSQL

Sql = tuple[str, tuple[Any, ...]]


def each(sources: Sql, first: Sql, *, shown: str = "candidate.*") -> Sql:
    """What `first` finds for each of `sources`, whose columns it calls `source`."""
    sql = f"SELECT {shown} FROM ({sources[0]}) AS source CROSS JOIN LATERAL ({first[0]}) AS candidate"
    return sql, (*sources[1], *first[1])


def source(column: str) -> RawSQL:
    """A column of the source at hand."""
    return RawSQL(f"source.{column}", ())


def sql_of(rows: Any) -> Sql:
    """A queryset as SQL with parameters."""
    sql, params = rows.query.sql_with_params()
    return sql, params
