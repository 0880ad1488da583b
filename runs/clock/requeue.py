"""Finds ids to enqueue: executions that have come due since they were made, and those whose message was lost."""

import datetime
import uuid

from django.db import transaction

from core.failpoints import failpoint
from runs.models import Execution
from runs.querysets import ExecutionQuerySet

BATCH = 10_000
#: An id that was put on Redis this long ago and is still not claimed may be lost, so it is sent again.
RESEND_AFTER = datetime.timedelta(seconds=10)


def requeue_due(now: datetime.datetime, *, limit: int = BATCH) -> list[uuid.UUID]:
    """Mark as enqueued what has come due since it was made, as retries do. Returns the ids to enqueue."""
    return _mark_enqueued(Execution.objects.due_unsent(now), now, limit)


def requeue_lost(now: datetime.datetime, *, limit: int = BATCH) -> list[uuid.UUID]:
    """Mark as enqueued again what is pending though its message was sent. Sending an id twice is harmless."""
    return _mark_enqueued(Execution.objects.due_unclaimed(now, sent_before=now - RESEND_AFTER), now, limit)


def _mark_enqueued(rows: ExecutionQuerySet, now: datetime.datetime, limit: int) -> list[uuid.UUID]:
    with transaction.atomic():
        locked = rows.select_for_update(skip_locked=True, no_key=True)
        ids = list(locked.values_list("pk", flat=True)[:limit])
        if ids:
            Execution.objects.mark_enqueued(ids, now)
            failpoint("requeue.marked")
    if ids:
        failpoint("requeue.committed")
    return ids
