"""What Postgres does for a query, as EXPLAIN ANALYZE tells."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

_SCANS = ("Seq Scan", "Bitmap Heap Scan", "Index Scan", "Index Only Scan")


@dataclass(frozen=True)
class Findings:
    """Tables that were scanned from end to end, the rows read of each table, and the rows that the largest sort got."""

    scanned_whole: frozenset[str]
    read: dict[str, int]
    sorted: int

    @classmethod
    def of(cls, sql: str) -> "Findings":
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
        )


def _given(node: dict[str, Any]) -> float:
    """The rows that a node gets from below."""
    return sum(below["Actual Rows"] * below["Actual Loops"] for below in node.get("Plans", ()))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
