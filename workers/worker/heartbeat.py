"""A worker's heartbeat: writes its status every few seconds, from a thread and a connection of its own."""

import threading
from collections.abc import Callable

import structlog
from django.db import connection

from core.version import __version__
from runs.monitoring import heartbeats
from runs.monitoring.agreement import SettingsAgreement
from workers.connections import DatabaseAwayError, Link
from workers.sharing import ask
from workers.worker.service import DeliveryService

log = structlog.get_logger(__name__)

_FIRST_SECONDS = 5.0


class WorkerHeartbeat:
    """Reports one delivery service until it is stopped. Without a database it tries again at the next heartbeat."""

    def __init__(
        self,
        service: DeliveryService,
        *,
        process: heartbeats.Process,
        capacity: int,
        agreement: SettingsAgreement,
        on_change: Callable[[bool], None],
    ) -> None:
        """`on_change` is called with whether the worker may take work, each time that changes."""
        self._service = service
        self._agreement = agreement
        self._on_change = on_change
        self._has_twins = False
        self._capacity = capacity
        self._process = process
        self._stopping = threading.Event()
        self._first_written = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pulse", daemon=True)

    def start(self) -> None:
        """Start, and wait until the database says whether this worker may take work, up to _FIRST_SECONDS.

        Until then the worker refuses remote control commands, which are not repeated.
        """
        self._thread.start()
        self._first_written.wait(_FIRST_SECONDS)

    def stop(self) -> None:
        """Delete the heartbeat's row. Waits two seconds at most, so that it does not delay the shutdown."""
        self._stopping.set()
        self._thread.join(2)

    def _work(self) -> None:
        link = Link("pulse")
        while not self._stopping.is_set():
            self._write(link)
            self._first_written.set()
            self._stopping.wait(heartbeats.PULSE_SECONDS)
        try:
            with link.transaction() as cursor:
                heartbeats.leave(cursor, self._process)
        except DatabaseAwayError:
            log.info("heartbeat_left_behind")
        link.close()

    def _write(self, link: Link) -> None:
        status = heartbeats.WorkerReport(
            in_flight=self._service.in_flight_count,
            waiting=self._service.waiting_count,
            capacity=self._capacity,
            draining=self._service.draining,
        )
        try:
            before = self._agreement.allowed
            with link.transaction() as cursor:
                differs = ask(self._agreement, cursor)
                heartbeats.report(cursor, self._process, status, differs=differs, release=__version__)
                twins = heartbeats.twins(cursor, self._process)
            if twins and not self._has_twins:
                log.error("node_name_taken", name=self._process.name, others=twins, see="--hostname NAME@%h")
            self._has_twins = bool(twins)
            if self._agreement.allowed is not before:
                self._on_change(self._agreement.allowed)
        except DatabaseAwayError as error:
            log.warning("heartbeat_database_away", error=str(error))
        finally:
            connection.close()  # Django's connection of this thread: only the check of encryption keys opens it
