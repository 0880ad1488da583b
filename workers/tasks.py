"""Celery tasks: ids in, handed over. A task never claims, never sends and never waits for a remote server."""

from celery import shared_task
from django.utils import timezone

from runs.executions import bulk
from runs.queue import BULK_TASK, DELIVER_TASK, PRUNING_TASK, wake
from runs.retention import worker as upkeep
from runs.retention.nightly import begin_round
from runs.retention.prune import Turn
from runs.stats import rollups
from workers.worker.process import delivery_service
from workers.worker.service import DrainingError

#: Of one message; the next message goes on.
_MOST_BATCHES = 100
#: Less than a worker has to end in when it is asked to stop.
_PRUNING_SECONDS = 10.0


@shared_task(name=DELIVER_TASK, ignore_result=True, acks_late=False)
def deliver(execution_ids: list[str]) -> None:
    """Hand ids to this process's delivery service. Blocks while it is full, which holds back Celery: back-pressure."""
    try:
        delivery_service().submit(execution_ids)
    except DrainingError:
        # The rows stay pending: an idle worker or the clock finds them.
        return


@shared_task(name=BULK_TASK, ignore_result=True, acks_late=False)
def work_off_bulk_operations() -> None:
    """Work off what is due of bulk operations. A batch that this worker dies in never happened; the next takes it."""
    for _ in range(_MOST_BATCHES):
        if not bulk.work_off(timezone.now()):
            return


@shared_task(name="workers.fold_digests", ignore_result=True, acks_late=False)
def fold_digests() -> None:
    """Add what ended to the digests that statistics are read from."""
    for _ in range(_MOST_BATCHES):
        if rollups.fold() < rollups.FOLD_BATCH:
            return


@shared_task(name="workers.prune_digests", ignore_result=True, acks_late=False)
def prune_digests() -> None:
    """Drop digests that are kept no longer."""
    for _ in range(_MOST_BATCHES):
        if rollups.prune(timezone.now()) < rollups.PRUNE_BATCH:
            return


@shared_task(name="workers.prune_history", ignore_result=True, acks_late=False)
def prune_history() -> None:
    """The nightly retention begins; `work_off_pruning` carries it out."""
    begin_round(timezone.now())


@shared_task(name=PRUNING_TASK, ignore_result=True, acks_late=False)
def work_off_pruning() -> None:
    """Remove for some seconds what is to be removed of history, then let others have this thread, and go on."""
    if upkeep.work_off(Turn(_PRUNING_SECONDS), timezone.now()):
        wake(PRUNING_TASK)
