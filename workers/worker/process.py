"""One delivery service per worker process, started and stopped with Celery's own steps."""

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
from workers.worker.heartbeat import WorkerPulse
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
    """Runs the delivery service for as long as the Celery worker runs."""

    requires = ("celery.worker.components:Timer",)

    def include_if(self, parent: Any) -> bool:
        return DELIVERIES_QUEUE in parent.app.amqp.queues.consume_from

    def start(self, parent: Any) -> None:
        global _service  # noqa: PLW0603 - one per process, as the engine is
        _make_room(settings.MAX_IN_FLIGHT)
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
        self._pulse = WorkerPulse(
            _service,
            process=process,
            capacity=settings.MAX_IN_FLIGHT,
            agreement=agreement,
            on_change=partial(_consume_deliveries, parent),
        )
        self._pulse.start()
        parent.deliveries = _service  # for remote control

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        if _service is not None:
            _service.stop(grace_seconds=settings.SHUTDOWN_GRACE_SECONDS)
            self._pulse.stop()

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


def _consume_deliveries(worker: Any, wanted: bool) -> None:
    """Leave the messages to others while this worker takes no work, and take them again after."""
    consumer = getattr(worker, "consumer", None)
    if consumer is None or getattr(consumer, "task_consumer", None) is None:
        return  # It is still starting: what comes meanwhile is refused one by one, and found by others.
    change = consumer.add_task_queue if wanted else consumer.cancel_task_queue
    consumer.call_soon(change, DELIVERIES_QUEUE)


def files_wanted(max_in_flight: int) -> int:
    """How many files a worker may have open: sockets of all calls under way and of as many kept connections."""
    return _FILES_BESIDES_SOCKETS + 2 * max_in_flight


def _make_room(max_in_flight: int) -> None:
    """Prepare the process: sockets for all calls under way and all kept connections, quick turns of its threads."""
    wanted = files_wanted(max_in_flight)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < wanted:
            log.warning("files_limited", allowed=most, wanted=wanted)
    # The engine's thread works in short turns; by default it would wait 5 ms for each of them beside a busy thread.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What a run needs is freed by counting. Cycles are rare: looking for them after every few runs costs a twelfth.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    if _service is not None:
        _service.drain()
