"""Digests: what ended, added up by the hour, so that statistics cost the same in any history and outlive its pruning.

A trigger leaves a slip with every statement that ends executions (`EndedSlip`), in the same transaction: exact, and
nobody waits for a shared counter. A chore folds the slips into digests, one for each hour of each job in each
environment, and of each environment; readers add up both, in one statement, so that nothing is counted late or twice.
"""

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from django.db import connection, transaction

from runs.models import Digest, EndedSlip
from runs.stats.histograms import DURATIONS, FAMILY, LATENESS, MINUTE
from runs.stats.periods import DETAILED_REACH, REACH

#: Slips folded in one transaction.
FOLD_BATCH = 500
PRUNE_BATCH = 10_000
#: For so long a digest is kept longer than it can be asked for, since the chore may be late.
_SLACK = datetime.timedelta(days=1)
#: An arbitrary number that names this lock among the advisory locks of the database.
_LOCK = 0x686F7572_64696765
#: What a slip tells, one row for each code of each ended execution.
TOLD = f"""
    unnest(slip.job_environments, slip.minutes, slip.outcomes, slip.occurrences, slip.durations, slip.lateness)
        AS ended (job_environment_id, minute, outcome, occurrences, duration, lateness)
    CROSS JOIN LATERAL (VALUES (ended.outcome::int, ended.occurrences),
                               ({DURATIONS * FAMILY} + ended.duration, 1), ({LATENESS * FAMILY} + ended.lateness, 1))
        AS told (code, amount)
"""
# Only who holds the lock changes digests, so what is read of them here is what is written over.
_FOLD = f"""
    WITH slip AS (
        DELETE FROM runs_endedslip WHERE id IN (SELECT id FROM runs_endedslip ORDER BY id LIMIT %s) RETURNING *
    ), fresh AS (
        SELECT slip.environment_id, subject.id AS subject_id, slip.hour, shown.detailed, shown.code,
               sum(told.amount) AS amount
          FROM slip CROSS JOIN {TOLD}
         CROSS JOIN LATERAL (VALUES (slip.environment_id), (ended.job_environment_id)) AS subject (id)
         CROSS JOIN LATERAL (VALUES (false, told.code), (true, told.code + ended.minute * {MINUTE}))
               AS shown (detailed, code)
         WHERE told.code IS NOT NULL
         GROUP BY 1, 2, 3, 4, 5
    ), touched AS (
        SELECT DISTINCT environment_id, subject_id, hour, detailed FROM fresh
    ), together AS (
        SELECT * FROM fresh
         UNION ALL
        SELECT touched.*, known.code, known.amount
          FROM touched JOIN runs_digest AS digest USING (subject_id, detailed, hour)
         CROSS JOIN LATERAL unnest(digest.codes, digest.amounts) AS known (code, amount)
    ), summed AS (
        SELECT environment_id, subject_id, hour, detailed, code, sum(amount)::bigint AS amount
          FROM together GROUP BY 1, 2, 3, 4, 5
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
    """Add slips to the digests, each exactly once. Returns how many; 0 too while another process is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_FOLD, [limit])
        folded: int = cursor.fetchone()[0]
        return folded


def prune(now: datetime.datetime, *, limit: int = PRUNE_BATCH) -> int:
    """Drop digests that nobody can ask for any more. Returns how many; a full batch means that there are more."""
    gone = 0
    with connection.cursor() as cursor:
        for detailed, reach in ((True, DETAILED_REACH), (False, REACH)):
            cursor.execute(_PRUNE, [detailed, now - reach - _SLACK, limit - gone])
            gone += cursor.rowcount
    return gone


def forget_subjects(subject_ids: Collection[uuid.UUID]) -> None:
    """Drop the digests of these jobs in their environments; what they added to those of the environments stays."""
    Digest.objects.filter(subject_id__in=subject_ids)._raw_delete("default")


def forget_environments(environment_ids: Collection[Any]) -> None:
    """Drop all that was counted in these environments."""
    for model in (EndedSlip, Digest):
        model.objects.filter(environment__in=environment_ids)._raw_delete("default")
