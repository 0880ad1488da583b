"""Rollups: ended executions summed by the hour. Statistics cost the same in any history, and outlive its pruning.

A trigger writes a delta (`RollupDelta`) with every statement that ends executions, in the same transaction: exact, and
no statement waits for a shared counter. A maintenance task folds the deltas into rollups, one for each hour of each
job-environment and of each environment. Readers add up both in one statement, so that nothing is counted late or twice.
"""

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from django.db import connection, transaction

from runs.models import Rollup, RollupDelta
from runs.stats.histograms import DURATIONS, FAMILY, LATENESS, MINUTE
from runs.stats.periods import DETAILED_REACH, REACH

#: Deltas folded in one transaction.
FOLD_BATCH = 500
PRUNE_BATCH = 10_000
#: A rollup is kept for this much longer than it can be queried, since the task may be late.
_SLACK = datetime.timedelta(days=1)
#: An arbitrary number that identifies this lock among the database's advisory locks.
_LOCK = 0x686F7572_64696765
#: A delta, called `slip`, as rows: one for each code of each ended execution.
DELTA_ENTRIES = f"""
    unnest(slip.job_environments, slip.minutes, slip.outcomes, slip.occurrences, slip.durations, slip.lateness)
        AS ended (job_environment_id, minute, outcome, occurrences, duration, lateness)
    CROSS JOIN LATERAL (VALUES (ended.outcome::int, ended.occurrences),
                               ({DURATIONS * FAMILY} + ended.duration, 1), ({LATENESS * FAMILY} + ended.lateness, 1))
        AS counted (code, amount)
"""
# Only the holder of the lock changes rollups, so what this reads of them is what it overwrites.
_FOLD = f"""
    WITH slip AS (
        DELETE FROM runs_endedslip WHERE id IN (SELECT id FROM runs_endedslip ORDER BY id LIMIT %s) RETURNING *
    ), fresh AS (
        SELECT slip.environment_id, subject.id AS subject_id, slip.hour, level.detailed, level.code,
               sum(counted.amount) AS amount
          FROM slip CROSS JOIN {DELTA_ENTRIES}
         CROSS JOIN LATERAL (VALUES (slip.environment_id), (ended.job_environment_id)) AS subject (id)
         CROSS JOIN LATERAL (VALUES (false, counted.code), (true, counted.code + ended.minute * {MINUTE}))
               AS level (detailed, code)
         WHERE counted.code IS NOT NULL
         GROUP BY 1, 2, 3, 4, 5
    ), touched AS (
        SELECT DISTINCT environment_id, subject_id, hour, detailed FROM fresh
    ), combined AS (
        SELECT * FROM fresh
         UNION ALL
        SELECT touched.*, old.code, old.amount
          FROM touched JOIN runs_digest AS digest USING (subject_id, detailed, hour)
         CROSS JOIN LATERAL unnest(digest.codes, digest.amounts) AS old (code, amount)
    ), summed AS (
        SELECT environment_id, subject_id, hour, detailed, code, sum(amount)::bigint AS amount
          FROM combined GROUP BY 1, 2, 3, 4, 5
    ), folded AS (
        INSERT INTO runs_digest (environment_id, subject_id, hour, detailed, codes, amounts)
        SELECT environment_id, subject_id, hour, detailed,
               array_agg(code ORDER BY code), array_agg(amount ORDER BY code)
          FROM summed GROUP BY 1, 2, 3, 4
            ON CONFLICT (subject_id, detailed, hour)
            DO UPDATE SET codes = excluded.codes, amounts = excluded.amounts
    )
    SELECT count(*) FROM slip
"""  # noqa: S608 - our own text
_PRUNE = """
    DELETE FROM runs_digest
     WHERE id IN (SELECT id FROM runs_digest WHERE detailed = %s AND hour < %s ORDER BY hour LIMIT %s)
"""


def fold(*, limit: int = FOLD_BATCH) -> int:
    """Add deltas to the rollups, each exactly once. Returns how many; 0 also while another process does it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_FOLD, [limit])
        folded: int = cursor.fetchone()[0]
        return folded


def prune(now: datetime.datetime, *, limit: int = PRUNE_BATCH) -> int:
    """Delete rollups that can't be queried any more. Returns how many; a full batch means that there are more."""
    deleted = 0
    with connection.cursor() as cursor:
        for detailed, reach in ((True, DETAILED_REACH), (False, REACH)):
            cursor.execute(_PRUNE, [detailed, now - reach - _SLACK, limit - deleted])
            deleted += cursor.rowcount
    return deleted


def forget_subjects(subject_ids: Collection[uuid.UUID]) -> None:
    """Delete the rollups of these job-environments. Those of their environments still count them."""
    Rollup.objects.filter(subject_id__in=subject_ids)._raw_delete("default")


def forget_environments(environment_ids: Collection[Any]) -> None:
    """Delete all that was counted in these environments."""
    for model in (RollupDelta, Rollup):
        model.objects.filter(environment__in=environment_ids)._raw_delete("default")
