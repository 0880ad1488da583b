"""Celery beat's scheduler: the clock for users' schedules, and django-celery-beat for maintenance tasks."""

import contextlib
import time
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django_celery_beat.schedulers import DatabaseScheduler

from core.version import USER_AGENT, __version__
from runs.monitoring import heartbeats
from runs.restore.release import is_copy
from workers.beat.clock import MAX_SLEEP_SECONDS, Clock
from workers.beat.maintenance import MaintenanceSender
from workers.sharing import ask, own_agreement

log = structlog.get_logger(__name__)

_MAX_TASKS = 100


class FiringScheduler(DatabaseScheduler):
    """Any number of beats may run. All fire users' schedules; the elected one sends the maintenance tasks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Lazy, since the set-up reads the database, which may be away when a beat starts.
        super().__init__(*args, **{**kwargs, "lazy": True})
        self._is_set_up = False
        self._clock = Clock(lease_seconds=settings.LEASE_SECONDS, user_agent=USER_AGENT)
        self._maintenance = MaintenanceSender(self._send_maintenance)
        self._process = heartbeats.Process.beat()
        self._agreement = own_agreement(process_id=self._process.id)
        self._heartbeat_at = 0.0

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Do what is due. Returns the seconds to sleep, at most half a second.

        Never raises: without the database or the broker it waits and tries again.
        """
        self._maintenance.start()
        try:
            if not self._agreement.allowed:
                self._clock.distrust_leases()
                self._send_heartbeat(tick_seconds=0.0)
                return 0.0 if self._agreement.allowed else MAX_SLEEP_SECONDS
            started = time.monotonic()
            seconds = self._clock.tick()
            self._send_heartbeat(tick_seconds=time.monotonic() - started)
            return seconds
        except (DatabaseError, InterfaceError) as error:
            log.warning("clock_database_away", error=str(error).strip())
            self._clock.distrust_leases()
            connection.close()
            return MAX_SLEEP_SECONDS
        except Exception:  # A bug must not end the clock: it tries again.
            log.exception("clock_turn_failed")
            return MAX_SLEEP_SECONDS

    def should_sync(self) -> bool:
        """Never on the clock's thread: the maintenance thread stores when its tasks ran."""
        return False

    def close(self) -> None:
        self._clock.stop()
        self._maintenance.stop()
        with contextlib.suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
            heartbeats.leave(cursor, self._process)
        super().close()

    def _send_maintenance(self) -> None:
        """Send all due tasks; a tick of django-celery-beat sends one. A restored copy of a database sends none."""
        if not self._agreement.allowed or is_copy():
            return
        if not self._is_set_up:
            self.setup_schedule()
            self._is_set_up = True
        for _ in range(_MAX_TASKS):
            if super().tick() > 0:
                break
        if super().should_sync():
            self._do_sync()

    def _send_heartbeat(self, *, tick_seconds: float) -> None:
        if time.monotonic() < self._heartbeat_at:
            return
        self._heartbeat_at = time.monotonic() + heartbeats.PULSE_SECONDS
        status = heartbeats.BeatReport(tick_ms=round(tick_seconds * 1000, 3), sends_chores=self._maintenance.elected)
        with connection.cursor() as cursor:
            differs = ask(self._agreement, cursor)
            heartbeats.report(cursor, self._process, status, differs=differs, release=__version__)
