"""Celery beat's scheduler: the clock for users' schedules, and django-celery-beat for the house's own chores."""

import contextlib
import time
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django_celery_beat.schedulers import DatabaseScheduler

from runs import heartbeats
from scheduler_project import USER_AGENT
from workers.clock import MAX_SLEEP_SECONDS, Clock
from workers.election import ChoreElection

log = structlog.get_logger(__name__)

CHORES_SECONDS = 5.0


class FiringScheduler(DatabaseScheduler):
    """Any number of beats may run. All of them fire users' schedules; one, by election, sends the chores."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = Clock(lease_seconds=settings.LEASE_SECONDS, user_agent=USER_AGENT)
        self._election = ChoreElection()
        self._chores_at = 0.0
        self._process = heartbeats.Process.beat()
        self._pulse_at = 0.0

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Do what is due. Returns the seconds to sleep until the next thing is, at most half a second.

        Outlives the database and the broker: without them it waits and looks again.
        """
        try:
            self._tick_chores()
            started = time.monotonic()
            seconds = self._clock.tick()
            self._tell(tick_seconds=time.monotonic() - started)
            return seconds
        except (DatabaseError, InterfaceError) as error:
            log.warning("clock_database_unreachable", error=str(error).strip())
            self._clock.distrust_leases()
            connection.close()
            return MAX_SLEEP_SECONDS

    def close(self) -> None:
        self._clock.stop()
        self._election.resign()
        with contextlib.suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
            heartbeats.leave(cursor, self._process)
        super().close()

    def _tick_chores(self) -> None:
        if time.monotonic() < self._chores_at:
            return
        self._chores_at = time.monotonic() + CHORES_SECONDS
        if self._election.is_elected():
            super().tick()

    def _tell(self, *, tick_seconds: float) -> None:
        if time.monotonic() < self._pulse_at:
            return
        self._pulse_at = time.monotonic() + heartbeats.PULSE_SECONDS
        news = heartbeats.Ticking(tick_ms=round(tick_seconds * 1000, 3), sends_chores=self._election.elected)
        with connection.cursor() as cursor:
            heartbeats.tell(cursor, self._process, news)
