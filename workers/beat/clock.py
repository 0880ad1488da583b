"""The clock that every beat runs: fires what is due, requeues what waits, reaps what a dead worker held.

All instants are the database's, so that a beat whose own clock is wrong neither fires early nor late.
"""

import concurrent.futures
import datetime
import random
import time
import uuid

import structlog
from django.db import connection

from runs import counters
from runs.attempts import unreadable
from runs.attempts.reaping import reap_expired, require_renewable, seconds_since_database_start
from runs.clock.due_state import read_due_state
from runs.clock.fire import BATCH, Fired, fire_due
from runs.clock.reconcile import settle_due
from runs.clock.requeue import requeue_due, requeue_lost
from runs.monitoring import heartbeats
from runs.overlap import release_forgotten
from runs.queue import abort, enqueue

log = structlog.get_logger(__name__)

MAX_SLEEP_SECONDS = 0.5
#: Something due may be locked by another beat or by an edit; it is looked at again this soon.
MIN_SLEEP_SECONDS = 0.005
SWEEP_SECONDS = 5.0
#: A clock that is held says so this often.
HINT_SECONDS = 30.0
_MAX_BATCHES = 20
_MAX_UNSENT = 50


class Clock:
    """One beat's part of the firing. `lease_seconds` sets the heartbeat period that reaping waits after an outage.

    While the database is a copy it does nothing: `runs.restore_guard`.
    """

    def __init__(self, *, lease_seconds: int, user_agent: str) -> None:
        self._heartbeat_seconds = lease_seconds / 3
        # An outage that is long enough for a lease to expire is met by one sweep at least.
        self._sweep_seconds = min(SWEEP_SECONDS, self._heartbeat_seconds)
        # Counted from the last sweep that failed: the outage may have gone on until just before the next.
        self._distrust_seconds = self._heartbeat_seconds + self._sweep_seconds
        self._user_agent = user_agent
        self._chance = random.Random()  # noqa: S311 - jitter
        self._sender = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._unsent: set[concurrent.futures.Future[int]] = set()
        self._sweep_at = 0.0
        self._hint_at = 0.0
        self._ticked_at = time.monotonic()
        self._trusted_from = self._ticked_at + self._distrust_seconds

    def tick(self) -> float:
        """Do all that is due. Returns the seconds to sleep until something is, at most half a second."""
        started = time.monotonic()
        if started - self._ticked_at > self._heartbeat_seconds:
            self.distrust_leases()  # This process was stopped, or the database was: workers may just be coming back.
        self._ticked_at = started
        seen = read_due_state()
        if seen.is_copy:
            self._hold(started)
            return MAX_SLEEP_SECONDS
        if seen.settling_due:
            self._settle(seen.now)
        if seen.firing_due:
            self._fire(seen.now)
        if seen.retry_due:
            self._send(requeue_due(seen.now))
        if started >= self._sweep_at:
            self._sweep_at = started + self._sweep_seconds
            self._sweep(started)
        if seen.firing_due or seen.retry_due or seen.settling_due:
            seen = read_due_state()
        return min(MAX_SLEEP_SECONDS, max(MIN_SLEEP_SECONDS, seen.seconds_to_next))

    def distrust_leases(self) -> None:
        """Reap nothing for a heartbeat period: after an outage a lease may have expired for want of a database.

        A database that refuses to be written to is away as well: workers could not renew their leases.
        """
        self._trusted_from = time.monotonic() + self._distrust_seconds

    def stop(self) -> None:
        """Send what is still to be sent, then end."""
        self._sender.shutdown(wait=True)

    def _hold(self, now_monotonic: float) -> None:
        """Do nothing, and say again and again why not."""
        self.distrust_leases()
        if now_monotonic >= self._hint_at:
            self._hint_at = now_monotonic + HINT_SECONDS
            log.warning("clock_held", reason="the database was restored from a dump", see="manage.py restored")

    def _fire(self, now: datetime.datetime) -> None:
        for _ in range(_MAX_BATCHES):
            fired = fire_due(now)
            self._tell(fired)
            if fired.due < BATCH:
                return

    def _settle(self, now: datetime.datetime) -> None:
        for _ in range(_MAX_BATCHES):
            settled = settle_due(now)
            self._tell(settled)
            if not settled.due:
                return

    def _tell(self, fired: Fired) -> None:
        self._send(fired.execution_ids)
        if fired.aborted:
            self._sender.submit(abort, fired.aborted)
        if fired.skipped:
            log.warning("occurrences_skipped", **fired.skipped)

    def _sweep(self, tick_started: float) -> None:
        """The slower rounds: messages that were lost, slips that were counted, and leases that expired."""
        seen = read_due_state()
        self._send(requeue_lost(seen.now))
        unreadable.review()
        released = release_forgotten()
        if released:
            log.warning("queued_executions_released", count=released)
        with connection.cursor() as cursor:
            counters.fold(cursor)
            heartbeats.forget_dead(cursor)
        require_renewable()
        now = time.monotonic()
        if now - tick_started > self._heartbeat_seconds:
            self.distrust_leases()  # Something of this tick waited for a lock that workers may have waited for too.
        if now < self._trusted_from or seconds_since_database_start() < self._distrust_seconds:
            return
        reaped = reap_expired(user_agent=self._user_agent, chance=self._chance)
        if reaped:
            log.warning("executions_reaped", count=reaped)

    def _send(self, ids: list[uuid.UUID]) -> None:
        """Enqueue beside the clock: a Redis that hangs must not make anything fire late."""
        self._unsent = {future for future in self._unsent if not future.done()}
        if ids and len(self._unsent) < _MAX_UNSENT:
            self._unsent.add(self._sender.submit(enqueue, ids))
