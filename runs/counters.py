"""Counts of all that happened since the start, for monitoring: exact, never going back, and cheap where they are made.

Whoever ends something adds what it counted in the same transaction, as one slip for the whole batch: nobody waits for
a shared counter. The clock folds the slips into totals now and then; a reader adds both up. Pure but for its cursors.

A key is a family and its labels, `runs/failed/timeout`. A family that measures keeps its buckets and its sum in
milliseconds: `lateness/le/0.25`, `lateness/ms`.
"""

import bisect
import collections
import json
from collections.abc import Mapping, Sequence
from typing import Any

FOLD_BATCH = 10_000
LATENESS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
DURATION_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_ADD = "INSERT INTO runs_tallyslip (counts) VALUES (%s)"
# The order of the keys lets two beats fold at once without a deadlock; the slips that one has taken, the other skips.
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
# One statement sees one moment: a slip that is just being folded is counted once.
_TOTALS = """
    SELECT key, sum(amount)::bigint
      FROM (SELECT key, amount FROM runs_tally
            UNION ALL
            SELECT entry.key, entry.value::bigint FROM runs_tallyslip, jsonb_each_text(counts) AS entry) AS counted
     GROUP BY key
"""


def add(cursor: Any, counts: Mapping[str, int]) -> None:
    """Count, in the caller's transaction: if that is rolled back, nothing was counted."""
    if counts:
        cursor.execute(_ADD, [json.dumps(counts)])


def fold(cursor: Any, *, limit: int = FOLD_BATCH) -> int:
    """Add slips to the totals, each exactly once. Returns how many there were; a full batch means that more may be."""
    cursor.execute(_FOLD, [limit])
    folded: int = cursor.fetchone()[0]
    return folded


def totals(cursor: Any) -> dict[str, int]:
    """All that was ever counted."""
    cursor.execute(_TOTALS)
    return dict(cursor.fetchall())


def of_skipped(occurrences: Mapping[str, int]) -> dict[str, int]:
    """What occurrences add that were only counted, by their reason."""
    return {f"skipped/{reason}": count for reason, count in occurrences.items() if count}


def of_canceled(executions: int = 1) -> dict[str, int]:
    """What executions add that were canceled before they started."""
    return {"executions/canceled/": executions} if executions else {}


def of_pruned(*, executions: int, runs: int) -> dict[str, int]:
    """What is counted of removed history."""
    return {"pruned/executions": executions, "pruned/runs": runs}


def measure(counts: dict[str, int], family: str, seconds: Sequence[float], bounds: Sequence[float]) -> None:
    """Add what took so many seconds to a family of `counts`, by its buckets."""
    if not seconds:
        return
    for place, count in collections.Counter([bisect.bisect_left(bounds, one) for one in seconds]).items():
        counts[f"{family}/le/{bounds[place] if place < len(bounds) else '+Inf'}"] = count
    counts[f"{family}/ms"] = max(0, round(sum(seconds) * 1000))
