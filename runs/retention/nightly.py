"""The nightly round of retention: the audit log and bulk operations first, then job after job.

It is done in turns of some seconds, so that it holds up no worker. A turn that ends, or a worker that is killed, leaves
the round where it is, and the next turn continues there.
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
from runs.webhooks.prune import prune_deliveries

log = structlog.get_logger(__name__)

#: A bulk operation is kept for this long after it has ended.
OPERATIONS_KEPT = datetime.timedelta(days=90)
_ROUNDS_KEPT = 100


def begin_round(now: datetime.datetime) -> bool:
    """Begin a round, and wake the workers. False: one is under way already, and they continue it."""
    ended = PruningRound.objects.filter(finished_at__isnull=False).order_by("-finished_at")
    PruningRound.objects.filter(pk__in=list(ended.values_list("pk", flat=True)[_ROUNDS_KEPT:])).delete()
    wake_on_commit(PRUNING_TASK)
    try:
        with transaction.atomic():
            PruningRound.objects.create(started_at=now)
    except IntegrityError:
        return False
    return True


def continue_round(turn: Turn, now: datetime.datetime) -> bool:
    """Work on the round that is under way. Returns whether it has ended. The caller holds the pruning lock."""
    current = PruningRound.objects.filter(finished_at__isnull=True).first()
    if current is None:
        return True
    if current.reached is None and not _prune_records(turn, now):
        return False
    while rules := rules_after(current.reached):
        if not turn.batches(partial(drop_unused_versions, rules)):
            return False
        if not turn.batches(partial(prune_deliveries, [rule.job_id for rule in rules])):
            return False
        cut = cuts(rules)
        for rule in rules:
            if rule.job_id in cut and not turn.batches(partial(_prune, current, Prunable(rule, cut[rule.job_id], now))):
                return False
        current.reached = rules[-1].job_id
        current.save(update_fields=["reached"])
    current.refresh_from_db()
    current.finished_at = now
    current.save(update_fields=["finished_at"])
    took = round((now - current.started_at).total_seconds(), 1)
    log.info("history_pruned", executions=current.executions, runs=current.runs, seconds=took)
    return True


def _prune(current: PruningRound, history: Prunable, limit: int) -> int:
    """Prune one batch of a job's history, and count it in the round."""
    with transaction.atomic(), connection.cursor() as cursor:
        pruned = history.prune(cursor, limit)
        if pruned.executions:
            counts: Any = {"executions": F("executions") + pruned.executions, "runs": F("runs") + pruned.runs}
            PruningRound.objects.filter(pk=current.pk).update(**counts)
    return pruned.executions


def _prune_records(turn: Turn, now: datetime.datetime) -> bool:
    """Delete old entries of the audit log, and bulk operations that ended long ago. False: the turn is over."""
    days = settings.AUDIT_LOG_DAYS
    for workspace in Workspace.objects.order_by("pk"):
        if days and not turn.batches(partial(prune_log, workspace, now - datetime.timedelta(days=days))):
            return False
        if not turn.batches(partial(_prune_operations, workspace, now - OPERATIONS_KEPT)):
            return False
    return True


def _prune_operations(workspace: Workspace, until: datetime.datetime, limit: int) -> int:
    over = BulkOperation.objects.filter(workspace=workspace, finished_at__lt=until).order_by("pk")
    ids = list(over.values_list("pk", flat=True)[:limit])
    return BulkOperation.objects.filter(pk__in=ids)._raw_delete("default") if ids else 0
