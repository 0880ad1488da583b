"""Sends callbacks again that have come to an end, one by one or all that match, for the API and the dashboard."""

import datetime
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts import audit
from accounts.actors import Actor
from accounts.models import Workspace
from core.differences import difference
from runs.callbacks.waits import ATTEMPTS
from runs.errors import CallbackPendingError
from runs.models import Callback
from runs.states import CallbackStatus

MAX_CALLBACKS = 10_000


@dataclass(frozen=True, slots=True)
class RedeliveredCallbacks:
    """How many matched, how many are sent again, and whether more match than were asked for."""

    matched: int
    redelivered: int
    more: bool


@transaction.atomic
def redeliver(*, callback: Callback, now: datetime.datetime, actor: Actor) -> None:
    """Make a callback pending again, with as many attempts as a new one and the same id.

    Raises CallbackPendingError while it is being sent anyway.
    """
    if not _reopen(Callback.objects.filter(pk=callback.pk)):
        raise CallbackPendingError
    callback.refresh_from_db()
    changes = difference({}, {"execution": str(callback.execution_id)})
    audit.record("callback.redelivered", callback, actor=actor, now=now, changes=changes)


@transaction.atomic
def redeliver_matching(
    callbacks: QuerySet[Callback],
    *,
    workspace: Workspace,
    limit: int,
    dry_run: bool,
    filter_as_sent: dict[str, object],
    now: datetime.datetime,
    actor: Actor,
) -> RedeliveredCallbacks:
    """Send the latest matching callbacks again, at most `limit`. A `dry_run` only counts them."""
    ended = callbacks.exclude(status=CallbackStatus.PENDING)
    ids: list[uuid.UUID] = list(ended.order_by("-pk").values_list("pk", flat=True)[: limit + 1])
    matched, more = ids[:limit], len(ids) > limit
    if dry_run or not matched:
        return RedeliveredCallbacks(len(matched), 0, more)
    reopened = _reopen(Callback.objects.filter(pk__in=matched))
    changes = difference({}, {"filter": filter_as_sent, "redelivered": reopened})
    audit.record("callbacks.redelivered", workspace, actor=actor, now=now, changes=changes)
    return RedeliveredCallbacks(len(matched), reopened, more)


def _reopen(callbacks: QuerySet[Callback]) -> int:
    """Move those that have come to an end back to pending. Their attempts go on counting. Returns how many."""
    ended = callbacks.filter(status__in=(CallbackStatus.DELIVERED, CallbackStatus.FAILED))
    return ended.update(
        status=CallbackStatus.PENDING,
        attempt_limit=F("attempts") + ATTEMPTS,
        next_attempt_at=Now(),
        finished_at=None,
    )
