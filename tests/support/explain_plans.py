"""What Postgres does for a query, as EXPLAIN ANALYZE tells."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

_SCANS = ("Seq Scan", "Bitmap Heap Scan", "Index Scan", "Index Only Scan")


@dataclass(frozen=True)
class Findings:
    """Tables that were scanned from end to end, the rows read of each table, the rows that the largest sort got, and
    the pairs of rows that joins tried in vain."""

    scanned_whole: frozenset[str]
    read: dict[str, int]
    sorted: int
    tried: int

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
            sum(round(node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]) for node in nodes),
        )


class Asked:
    """A cursor that says what each of its statements read, and still does it."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.found: list[tuple[str, Findings]] = []

    def execute(self, sql: str, parameters: Any = None) -> None:
        if not sql.lstrip().startswith("SET"):
            with transaction.atomic():
                mogrified = self._cursor.mogrify(sql, parameters)
                text = mogrified.decode() if isinstance(mogrified, bytes) else mogrified
                self.found.append((text, Findings.of(text)))
                transaction.set_rollback(True)
        self._cursor.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _given(node: dict[str, Any]) -> float:
    """The rows that a node gets from below."""
    return sum(below["Actual Rows"] * below["Actual Loops"] for below in node.get("Plans", ()))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
