"""A worker's heartbeat: what it is doing, told every few seconds from a thread and a connection of its own."""

import threading

import structlog

from runs import heartbeats
from workers.connections import DatabaseAwayError, Link
from workers.service import DeliveryService

log = structlog.get_logger(__name__)


class WorkerPulse:
    """Tells of one delivery service until it is stopped. Without a database it tries again at its next beat."""

    def __init__(self, service: DeliveryService, *, name: str, capacity: int) -> None:
        self._service = service
        self._capacity = capacity
        self._process = heartbeats.Process.worker(name)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take the row away. Waits for a moment at most: a heartbeat is not worth a slow end."""
        self._stopping.set()
        self._thread.join(2)

    def _work(self) -> None:
        link = Link("pulse")
        while not self._stopping.is_set():
            self._tell(link)
            self._stopping.wait(heartbeats.PULSE_SECONDS)
        try:
            with link.transaction() as cursor:
                heartbeats.leave(cursor, self._process)
        except DatabaseAwayError:
            log.info("heartbeat_left_behind")
        link.close()

    def _tell(self, link: Link) -> None:
        news = heartbeats.Delivering(
            in_flight=self._service.in_flight_count,
            waiting=self._service.waiting_count,
            capacity=self._capacity,
            draining=self._service.draining,
        )
        try:
            with link.transaction() as cursor:
                heartbeats.tell(cursor, self._process, news)
        except DatabaseAwayError as error:
            log.warning("heartbeat_database_away", error=str(error))
