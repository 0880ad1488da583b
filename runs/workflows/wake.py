"""Ends waits whose time has come: their executions become pending, and a worker decides what that means."""

import datetime
import uuid

from django.db import connection, transaction

from core.failpoints import failpoint

BATCH = 10_000
# A resume that holds the row comes first: the next tick looks again.
_WAKE = """
    UPDATE runs_execution AS execution
       SET status = 'pending', next_attempt_at = execution.wait_expires_at, enqueued_at = %(now)s,
           wait_kind = '', wait_expires_at = NULL
      FROM (SELECT id FROM runs_execution WHERE wait_expires_at <= %(now)s
             ORDER BY wait_expires_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED) AS due
     WHERE execution.id = due.id AND execution.status = 'waiting'
 RETURNING execution.id
"""


def wake_due(now: datetime.datetime, *, limit: int = BATCH) -> list[uuid.UUID]:
    """Make executions pending whose wait is over. Returns the ids to enqueue."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAKE, {"now": now, "limit": limit})
        ids = [row[0] for row in cursor.fetchall()]
        if ids:
            failpoint("wake.written")
    return ids
