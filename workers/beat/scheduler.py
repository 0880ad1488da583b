"""Celery beat's scheduler: the clock for users' schedules, and django-celery-beat for the house's own chores."""

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
from workers.beat.maintenance import ChoreSender
from workers.sharing import ask, own_agreement

log = structlog.get_logger(__name__)

_CHORES_AT_ONCE = 100


class FiringScheduler(DatabaseScheduler):
    """Any number of beats may run. All of them fire users' schedules; one, by election, sends the chores."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Setting up the chores asks the database, which may be away as a beat starts; the clock waits for it.
        super().__init__(*args, **{**kwargs, "lazy": True})
        self._chores_are_set_up = False
        self._clock = Clock(lease_seconds=settings.LEASE_SECONDS, user_agent=USER_AGENT)
        self._chores = ChoreSender(self._send_chores)
        self._process = heartbeats.Process.beat()
        self._agreement = own_agreement(process_id=self._process.id)
        self._pulse_at = 0.0

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Do what is due. Returns the seconds to sleep until the next thing is, at most half a second.

        Outlives the database and the broker: without them it waits and looks again.
        """
        self._chores.start()
        try:
            if not self._agreement.allowed:
                self._clock.distrust_leases()
                self._tell(tick_seconds=0.0)
                return 0.0 if self._agreement.allowed else MAX_SLEEP_SECONDS
            started = time.monotonic()
            seconds = self._clock.tick()
            self._tell(tick_seconds=time.monotonic() - started)
            return seconds
        except (DatabaseError, InterfaceError) as error:
            log.warning("clock_database_away", error=str(error).strip())
            self._clock.distrust_leases()
            connection.close()
            return MAX_SLEEP_SECONDS
        except Exception:  # A fault of ours must not end the clock of all: it looks again.
            log.exception("clock_turn_failed")
            return MAX_SLEEP_SECONDS

    def should_sync(self) -> bool:
        """Never, on the clock's thread: the chores' one writes down when chores ran."""
        return False

    def close(self) -> None:
        self._clock.stop()
        self._chores.stop()
        with contextlib.suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
            heartbeats.leave(cursor, self._process)
        super().close()

    def _send_chores(self) -> None:
        """Send all that are due: django-celery-beat's tick sends one. None of a database that nobody released yet."""
        if not self._agreement.allowed or is_copy():
            return
        if not self._chores_are_set_up:
            self.setup_schedule()
            self._chores_are_set_up = True
        for _ in range(_CHORES_AT_ONCE):
            if super().tick() > 0:
                break
        if super().should_sync():
            self._do_sync()

    def _tell(self, *, tick_seconds: float) -> None:
        if time.monotonic() < self._pulse_at:
            return
        self._pulse_at = time.monotonic() + heartbeats.PULSE_SECONDS
        news = heartbeats.Ticking(tick_ms=round(tick_seconds * 1000, 3), sends_chores=self._chores.elected)
        with connection.cursor() as cursor:
            differs = ask(self._agreement, cursor)
            heartbeats.tell(cursor, self._process, news, differs=differs, release=__version__)
