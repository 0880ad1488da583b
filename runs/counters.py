"""Counters for monitoring: exact, monotonic, and cheap to add to.

Code that ends something adds its counts in the same transaction, as one delta for the whole batch: no transaction waits
for a shared counter. The clock folds the deltas into totals; a reader adds up both. Pure but for its cursors.

A key is a family and its labels, `runs/failed/timeout`. A family of measurements has its buckets and its sum in
milliseconds: `lateness/le/0.25`, `lateness/ms`.
"""

import bisect
import collections
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FOLD_BATCH = 10_000
LATENESS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
DURATION_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_ADD = "INSERT INTO runs_tallyslip (counts) VALUES (%s)"
# The order of the keys lets two beats fold at once without a deadlock; each skips the deltas that the other has locked.
_FOLD = """
    WITH taken AS (
        DELETE FROM runs_tallyslip
         WHERE id IN (SELECT id FROM runs_tallyslip ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
     RETURNING counts
    ), folded AS (
        INSERT INTO runs_tally AS tally (key, amount)
        SELECT entry.key, sum(entry.value::bigint)::bigint
          FROM taken, jsonb_each_text(taken.counts) AS entry
         GROUP BY entry.key ORDER BY entry.key
            ON CONFLICT (key) DO UPDATE SET amount = tally.amount + excluded.amount
    )
    SELECT count(*) FROM taken
"""
# One statement sees one moment: a delta that is being folded counts once.
_TOTALS = """
    SELECT key, sum(amount)::bigint
      FROM (SELECT key, amount FROM runs_tally
            UNION ALL
            SELECT entry.key, entry.value::bigint FROM runs_tallyslip, jsonb_each_text(counts) AS entry) AS counted
     GROUP BY key
"""


def add(cursor: Any, counts: Mapping[str, int]) -> None:
    """Add counts in the caller's transaction; if that is rolled back, they are gone."""
    if counts:
        cursor.execute(_ADD, [json.dumps(counts)])


def fold(cursor: Any, *, limit: int = FOLD_BATCH) -> int:
    """Add deltas to the totals, each exactly once. Returns how many; a full batch means that there may be more."""
    cursor.execute(_FOLD, [limit])
    folded: int = cursor.fetchone()[0]
    return folded


def totals(cursor: Any) -> dict[str, int]:
    """All counters by key."""
    cursor.execute(_TOTALS)
    return dict(cursor.fetchall())


def of_skipped(occurrences: Mapping[str, int]) -> dict[str, int]:
    """The counts of skipped occurrences, given by their reason."""
    return {f"skipped/{reason}": count for reason, count in occurrences.items() if count}


def of_canceled(executions: int) -> dict[str, int]:
    """The counts of executions that were canceled before they started."""
    return {"executions/canceled/": executions} if executions else {}


def of_ended(outcomes: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The counts of workflows that ended, given as status and failure reason, which may be empty."""
    return {f"executions/{status}/{reason}": count for (status, reason), count in collections.Counter(outcomes).items()}


def of_webhooks(statuses: Iterable[str]) -> dict[str, int]:
    """What is counted of requests to webhooks, by what became of them."""
    return {f"webhooks/{status}": count for status, count in collections.Counter(map(str, statuses)).items()}


def of_callbacks(statuses: Iterable[str]) -> dict[str, int]:
    """What is counted of callbacks that came to an end."""
    return {f"callbacks/{status}": count for status, count in collections.Counter(map(str, statuses)).items()}


def of_pruned(*, executions: int, runs: int) -> dict[str, int]:
    """The counts of removed history."""
    return {"pruned/executions": executions, "pruned/runs": runs}


def measure(counts: dict[str, int], family: str, seconds: Sequence[float], bounds: Sequence[float]) -> None:
    """Add measurements in seconds to a family of `counts`, by its buckets."""
    if not seconds:
        return
    for index, count in collections.Counter([bisect.bisect_left(bounds, value) for value in seconds]).items():
        counts[f"{family}/le/{bounds[index] if index < len(bounds) else '+Inf'}"] = count
    counts[f"{family}/ms"] = max(0, round(sum(seconds) * 1000))
