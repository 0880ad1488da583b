"""The nightly round of retention: audit log and bulk operations first, then job after job.

It is worked off in turns of some seconds, so that no worker is held up by it. A turn that ends, or a worker that is
killed, leaves the round where it is, and the next turn goes on there.
"""

import datetime
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from accounts.audit import prune_log
from accounts.models import Workspace
from runs.models import BulkOperation, PruningRound
from runs.queue import PRUNING_TASK, wake_on_commit
from runs.retention.prune import Turn
from runs.retention.rules import Prunable, cuts, drop_unused_versions, rules_after

log = structlog.get_logger(__name__)

#: What a bulk operation did can be looked up for so long after it has ended.
OPERATIONS_KEPT = datetime.timedelta(days=90)
_ROUNDS_KEPT = 100


def begin_round(now: datetime.datetime) -> bool:
    """Let a round begin, unless one goes on already. The workers are told either way."""
    ended = PruningRound.objects.filter(finished_at__isnull=False).order_by("-finished_at")
    PruningRound.objects.filter(pk__in=list(ended.values_list("pk", flat=True)[_ROUNDS_KEPT:])).delete()
    wake_on_commit(PRUNING_TASK)
    try:
        with transaction.atomic():
            PruningRound.objects.create(started_at=now)
    except IntegrityError:
        return False
    return True


def go_on(turn: Turn, now: datetime.datetime) -> bool:
    """Work on the round that goes on. Returns whether there is none any more; the caller prunes alone."""
    found = PruningRound.objects.filter(finished_at__isnull=True).first()
    if found is None:
        return True
    if found.reached is None and not _forget_the_past(turn, now):
        return False
    while rules := rules_after(found.reached):
        if not turn.batches(partial(drop_unused_versions, rules)):
            return False
        cut = cuts(rules)
        for rule in rules:
            if rule.job_id in cut and not turn.batches(partial(_prune, found, Prunable(rule, cut[rule.job_id], now))):
                return False
        found.reached = rules[-1].job_id
        found.save(update_fields=["reached"])
    found.refresh_from_db()
    found.finished_at = now
    found.save(update_fields=["finished_at"])
    took = round((now - found.started_at).total_seconds(), 1)
    log.info("history_pruned", executions=found.executions, runs=found.runs, seconds=took)
    return True


def _prune(found: PruningRound, history: Prunable, limit: int) -> int:
    """One batch of a job's history, counted in its round."""
    with transaction.atomic(), connection.cursor() as cursor:
        pruned = history.prune(cursor, limit)
        if pruned.executions:
            counts: Any = {"executions": F("executions") + pruned.executions, "runs": F("runs") + pruned.runs}
            PruningRound.objects.filter(pk=found.pk).update(**counts)
    return pruned.executions


def _forget_the_past(turn: Turn, now: datetime.datetime) -> bool:
    """Old entries of the audit log, and bulk operations that ended long ago. False: the turn is over."""
    days = settings.AUDIT_LOG_DAYS
    for workspace in Workspace.objects.order_by("pk"):
        if days and not turn.batches(partial(prune_log, workspace, now - datetime.timedelta(days=days))):
            return False
        if not turn.batches(partial(_forget_operations, workspace, now - OPERATIONS_KEPT)):
            return False
    return True


def _forget_operations(workspace: Workspace, until: datetime.datetime, limit: int) -> int:
    over = BulkOperation.objects.filter(workspace=workspace, finished_at__lt=until).order_by("pk")
    ids = list(over.values_list("pk", flat=True)[:limit])
    return BulkOperation.objects.filter(pk__in=ids)._raw_delete("default") if ids else 0
