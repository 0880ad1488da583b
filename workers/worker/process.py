"""The delivery service of a worker process, started and stopped by a Celery bootstep."""

import gc
import os
import resource
import secrets
import sys
from functools import partial
from typing import Any

import structlog
from celery import bootsteps
from celery.signals import worker_shutting_down
from django.conf import settings

from core.version import USER_AGENT
from runs.monitoring import heartbeats
from runs.queue import DELIVERIES_QUEUE
from workers.sharing import own_agreement
from workers.worker.heartbeat import WorkerHeartbeat
from workers.worker.service import DeliveryService

_FILES_BESIDES_SOCKETS = 256
_SWITCH_SECONDS = 0.0005
_NEW_OBJECTS = 50_000

log = structlog.get_logger(__name__)

_service: DeliveryService | None = None


def delivery_service() -> DeliveryService:
    """This process's service. Raises RuntimeError in a process that was not started to deliver."""
    if _service is None:
        raise RuntimeError(f"This worker does not deliver: start it with --queues {DELIVERIES_QUEUE}.")
    return _service


class DeliveryStep(bootsteps.StartStopStep):
    """Runs the delivery service while the Celery worker runs."""

    requires = ("celery.worker.components:Timer",)

    def include_if(self, parent: Any) -> bool:
        return DELIVERIES_QUEUE in parent.app.amqp.queues.consume_from

    def start(self, parent: Any) -> None:
        global _service  # noqa: PLW0603 - one per process, as the engine is
        _tune_process(settings.MAX_IN_FLIGHT)
        process = heartbeats.Process.worker(parent.hostname)
        agreement = own_agreement(process_id=process.id)
        _service = DeliveryService(
            name=parent.hostname,
            owner=f"{parent.hostname}/{os.getpid()}/{secrets.token_hex(4)}",
            policy=settings.OUTBOUND_POLICY,
            max_in_flight=settings.MAX_IN_FLIGHT,
            max_per_host=settings.MAX_PER_HOST,
            max_per_workspace=settings.MAX_PER_WORKSPACE,
            lease_seconds=settings.LEASE_SECONDS,
            user_agent=USER_AGENT,
            permission=lambda: agreement.allowed,
        )
        _service.start()
        self._heartbeat = WorkerHeartbeat(
            _service,
            process=process,
            capacity=settings.MAX_IN_FLIGHT,
            agreement=agreement,
            on_change=partial(_consume_deliveries, parent),
        )
        self._heartbeat.start()
        parent.deliveries = _service  # for remote control

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        if _service is not None:
            _service.stop(grace_seconds=settings.SHUTDOWN_GRACE_SECONDS)
            self._heartbeat.stop()

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


def _consume_deliveries(worker: Any, consume: bool) -> None:
    """Consume deliveries only while this worker takes work."""
    consumer = getattr(worker, "consumer", None)
    if consumer is None or getattr(consumer, "task_consumer", None) is None:
        return  # It is still starting: messages until then are refused one by one, and other workers find the rows.
    change = consumer.add_task_queue if consume else consumer.cancel_task_queue
    consumer.call_soon(change, DELIVERIES_QUEUE)


def files_needed(max_in_flight: int) -> int:
    """The files that a worker needs: sockets of all calls in flight and of as many idle connections."""
    return _FILES_BESIDES_SOCKETS + 2 * max_in_flight


def _tune_process(max_in_flight: int) -> None:
    """Raise the process's file limit, and tune thread switches and garbage collection for the engine."""
    needed = files_needed(max_in_flight)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        if limit < needed:
            log.warning("files_limited", allowed=limit, wanted=needed)
    # The engine's thread runs in short turns; by default it would wait 5 ms for each beside a busy thread.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Reference counting frees what a run needs. Cycles are rare; looking for them often costs a twelfth of the time.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    if _service is not None:
        _service.drain()
