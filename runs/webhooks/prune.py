"""How many deliveries of webhooks are kept: the newest of each job, however many are sent."""

import uuid
from collections.abc import Sequence

from django.db import connection

KEEP_LAST = 1000
_DELETE = """
    DELETE FROM runs_webhookdelivery WHERE id IN (
        SELECT old.id FROM unnest(%s::uuid[]) AS job (id)
         CROSS JOIN LATERAL (
             SELECT id FROM runs_webhookdelivery AS delivery WHERE delivery.job_id = job.id
              ORDER BY id DESC OFFSET %s
         ) AS old
         LIMIT %s
    )
"""


def prune_deliveries(job_ids: Sequence[uuid.UUID], limit: int) -> int:
    """Delete at most `limit` of what these jobs keep no longer. Returns how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [[str(key) for key in job_ids], KEEP_LAST, limit])
        deleted: int = cursor.rowcount
    return deleted
