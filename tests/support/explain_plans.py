"""The cost of a query according to EXPLAIN ANALYZE."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

_SCANS = ("Seq Scan", "Bitmap Heap Scan", "Index Scan", "Index Only Scan")


@dataclass(frozen=True)
class QueryCost:
    """Sequentially scanned tables, rows read per table, rows into the largest sort, row pairs that joins discarded."""

    scanned_whole: frozenset[str]
    read: dict[str, int]
    sorted: int
    tried: int

    @classmethod
    def of(cls, sql: str) -> "QueryCost":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
            told = cursor.fetchone()[0]
        nodes = list(_nodes((json.loads(told) if isinstance(told, str) else told)[0]["Plan"]))
        read: dict[str, int] = {}
        for node in nodes:
            if node["Node Type"] in _SCANS:
                passed = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                table = node["Relation Name"]
                read[table] = read.get(table, 0) + round(passed * node["Actual Loops"])
        return cls(
            frozenset(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
            read,
            max((round(_given(node)) for node in nodes if "Sort" in node["Node Type"]), default=0),
            sum(round(node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]) for node in nodes),
        )


class ExplainingCursor:
    """A cursor that explains each statement before it executes it; `explained` are the statements and their costs."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.explained: list[tuple[str, QueryCost]] = []

    def execute(self, sql: str, parameters: Any = None) -> None:
        if not sql.lstrip().startswith("SET"):
            with transaction.atomic():
                mogrified = self._cursor.mogrify(sql, parameters)
                text = mogrified.decode() if isinstance(mogrified, bytes) else mogrified
                self.explained.append((text, QueryCost.of(text)))
                transaction.set_rollback(True)
        self._cursor.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _given(node: dict[str, Any]) -> float:
    """Return the number of rows that a node receives from its children."""
    return sum(below["Actual Rows"] * below["Actual Loops"] for below in node.get("Plans", ()))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
