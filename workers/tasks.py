"""Celery tasks, which only hand over. A task never claims, sends, or waits for a remote server."""

from celery import shared_task
from django.utils import timezone

from runs.executions import bulk
from runs.queue import BULK_TASK, DELIVER_TASK, PRUNING_TASK, WEBHOOKS_TASK, wake
from runs.retention import worker as upkeep
from runs.retention.nightly import begin_round
from runs.retention.prune import Turn
from runs.stats import rollups
from runs.webhooks.dispatch import BATCH, dispatch
from workers.worker.process import delivery_service
from workers.worker.service import DrainingError

#: The most batches of one message; the next message continues.
_MAX_BATCHES = 100
#: Less than the time in which a stopping worker must end.
_PRUNING_SECONDS = 10.0


@shared_task(name=DELIVER_TASK, ignore_result=True, acks_late=False)
def deliver(execution_ids: list[str]) -> None:
    """Hand ids to this process's delivery service. Blocks while it is full: back-pressure for Celery."""
    try:
        delivery_service().submit(execution_ids)
    except DrainingError:
        # The rows stay pending: an idle worker or the clock finds them.
        return


@shared_task(name=BULK_TASK, ignore_result=True, acks_late=False)
def work_off_bulk_operations() -> None:
    """Carry out due bulk operations. A batch is one transaction: if this worker dies, the next repeats it."""
    for _ in range(_MAX_BATCHES):
        if not bulk.work_off(timezone.now()):
            return


@shared_task(name=WEBHOOKS_TASK, ignore_result=True, acks_late=False)
def dispatch_webhooks() -> None:
    """Make executions of what inbound webhooks brought. A batch is one transaction: a worker that dies loses none."""
    for _ in range(_MAX_BATCHES):
        if dispatch(timezone.now()) < BATCH:
            return


@shared_task(name="workers.fold_digests", ignore_result=True, acks_late=False)
def fold_rollups() -> None:
    """Fold ended executions into the roll-ups that statistics are read from."""
    for _ in range(_MAX_BATCHES):
        if rollups.fold() < rollups.FOLD_BATCH:
            return


@shared_task(name="workers.prune_digests", ignore_result=True, acks_late=False)
def prune_rollups() -> None:
    """Delete roll-ups past their retention."""
    for _ in range(_MAX_BATCHES):
        if rollups.prune(timezone.now()) < rollups.PRUNE_BATCH:
            return


@shared_task(name="workers.prune_history", ignore_result=True, acks_late=False)
def prune_history() -> None:
    """Begin the nightly retention, which `work_off_pruning` carries out."""
    begin_round(timezone.now())


@shared_task(name=PRUNING_TASK, ignore_result=True, acks_late=False)
def work_off_pruning() -> None:
    """Prune history for some seconds, then free the thread for other tasks and continue in a new message."""
    if upkeep.work_off(Turn(_PRUNING_SECONDS), timezone.now()):
        wake(PRUNING_TASK)
