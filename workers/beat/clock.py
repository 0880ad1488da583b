"""The clock that every beat runs: it fires due schedules, requeues executions and reaps those of dead workers.

All instants are the database's, so that a beat whose own clock is wrong fires neither early nor late.
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
from runs.workflows.wake import wake_due

log = structlog.get_logger(__name__)

MAX_SLEEP_SECONDS = 0.5
#: A due row may be locked by another beat or by an edit; the clock tries again this soon.
MIN_SLEEP_SECONDS = 0.005
SWEEP_SECONDS = 5.0
#: How often a held clock logs that it is held.
HINT_SECONDS = 30.0
_MAX_BATCHES = 20
_MAX_UNSENT = 50


class Clock:
    """One beat's clock. `lease_seconds` sets the heartbeat period that reaping waits after an outage.

    It does nothing while the database is a restored copy: see `runs.restore_guard`.
    """

    def __init__(self, *, lease_seconds: int, user_agent: str) -> None:
        self._heartbeat_seconds = lease_seconds / 3
        # At least one sweep falls into an outage that is long enough for a lease to expire.
        self._sweep_seconds = min(SWEEP_SECONDS, self._heartbeat_seconds)
        # Counted from the last failed sweep: the outage may have lasted until just before the next.
        self._distrust_seconds = self._heartbeat_seconds + self._sweep_seconds
        self._user_agent = user_agent
        self._rng = random.Random()  # noqa: S311 - jitter
        self._sender = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._unsent: set[concurrent.futures.Future[int]] = set()
        self._sweep_at = 0.0
        self._hint_at = 0.0
        self._ticked_at = time.monotonic()
        self._trusted_from = self._ticked_at + self._distrust_seconds

    def tick(self) -> float:
        """Do all that is due. Returns the seconds until the next due instant, at most half a second."""
        started = time.monotonic()
        if started - self._ticked_at > self._heartbeat_seconds:
            self.distrust_leases()  # This process or the database was stopped: workers may only now be coming back.
        self._ticked_at = started
        due_state = read_due_state()
        if due_state.is_copy:
            self._log_held(started)
            return MAX_SLEEP_SECONDS
        if due_state.settling_due:
            self._settle(due_state.now)
        if due_state.firing_due:
            self._fire(due_state.now)
        if due_state.retry_due:
            self._send(requeue_due(due_state.now))
        if due_state.waking_due:
            self._send(wake_due(due_state.now))
        if started >= self._sweep_at:
            self._sweep_at = started + self._sweep_seconds
            self._sweep(started)
        if due_state.is_due:
            due_state = read_due_state()
        return min(MAX_SLEEP_SECONDS, max(MIN_SLEEP_SECONDS, due_state.seconds_to_next))

    def distrust_leases(self) -> None:
        """Reap nothing for a heartbeat period: workers can't renew their leases while the database is away.

        A database that refuses writes counts as away.
        """
        self._trusted_from = time.monotonic() + self._distrust_seconds

    def stop(self) -> None:
        """Send the remaining messages, then end."""
        self._sender.shutdown(wait=True)

    def _log_held(self, monotonic: float) -> None:
        """Fire nothing, and log why every HINT_SECONDS."""
        self.distrust_leases()
        if monotonic >= self._hint_at:
            self._hint_at = monotonic + HINT_SECONDS
            log.warning("clock_held", reason="the database was restored from a dump", see="manage.py restored")

    def _fire(self, now: datetime.datetime) -> None:
        for _ in range(_MAX_BATCHES):
            fired = fire_due(now)
            self._dispatch(fired)
            if fired.due < BATCH:
                return

    def _settle(self, now: datetime.datetime) -> None:
        for _ in range(_MAX_BATCHES):
            settled = settle_due(now)
            self._dispatch(settled)
            if not settled.due:
                return

    def _dispatch(self, fired: Fired) -> None:
        self._send(fired.execution_ids)
        if fired.aborted:
            self._sender.submit(abort, fired.aborted)
        if fired.skipped:
            log.warning("occurrences_skipped", **fired.skipped)

    def _sweep(self, tick_started: float) -> None:
        """The slower work: lost messages, counters to fold, dead heartbeats, and expired leases."""
        due_state = read_due_state()
        self._send(requeue_lost(due_state.now))
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
            self.distrust_leases()  # This tick waited for a lock: workers may have waited for it too.
        if now < self._trusted_from or seconds_since_database_start() < self._distrust_seconds:
            return
        reaped = reap_expired(user_agent=self._user_agent, rng=self._rng)
        if reaped:
            log.warning("executions_reaped", count=reaped)

    def _send(self, ids: list[uuid.UUID]) -> None:
        """Enqueue on the sender's thread: a Redis that hangs must not delay the clock."""
        self._unsent = {future for future in self._unsent if not future.done()}
        if ids and len(self._unsent) < _MAX_UNSENT:
            self._unsent.add(self._sender.submit(enqueue, ids))
