"""Celery tasks: ids in, handed over. A task never claims, never sends and never waits for a remote server."""

from celery import shared_task

from runs.queue import DELIVER_TASK
from workers.process import delivery_service
from workers.service import DrainingError


@shared_task(name=DELIVER_TASK, ignore_result=True, acks_late=False)
def deliver(execution_ids: list[str]) -> None:
    """Hand ids to this process's delivery service. Blocks while it is full, which holds back Celery: back-pressure."""
    try:
        delivery_service().submit(execution_ids)
    except DrainingError:
        # The rows stay pending: an idle worker or the clock finds them.
        return
