"""A worker's part in callbacks: claims due ones, sends them with the engine, and records the attempts.

A thread of its own, with Django's connection, keeps a slow body or a slow database away from deliveries. The engine is
the one for all calls, so its guard, limits and fairness apply here too. A callback uses no quota.
"""

import contextlib
import datetime
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import DatabaseError, DataError, InterfaceError, connection, transaction

from core.failpoints import failpoint
from runs.callbacks.claim import ClaimedCallback, claim_callbacks
from runs.callbacks.record import (
    KEPT_BYTES,
    FinishedCallbackAttempt,
    UnsentCallback,
    give_callbacks_back,
    record_callbacks,
)
from runs.callbacks.waits import ATTEMPTS, wait_seconds
from runs.postgres_text import as_text
from runs.states import CallbackStatus
from workers.delivery.contract import Crowded, DeliveryRequest, DeliveryResult
from workers.delivery.engine import DeliveryEngine, EngineStopped
from workers.delivery.signing import Signature, SigningKey
from workers.worker.keyring import Keyring

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 15.0
#: How often an idle worker looks for due rows: most callbacks of its own executions wake it.
POLL_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_STOP_SECONDS = 5.0
#: Leaves a call its timeout, and the record of it some seconds.
_MIN_LEASE_SECONDS = 30.0
_RECORD_SECONDS = 5.0
_BATCH = 20
#: The most callbacks in progress in this process, of one workspace, and of their bodies.
_MOST, _MOST_OF_WORKSPACE, _MOST_BYTES = 100, 25, 16 * 1024 * 1024
#: A callback that was sent away unsent is tried again no earlier than this.
_MIN_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _CallbackInFlight:
    """A callback in progress. Its lease holds until `lost_at`, by `time.monotonic()`."""

    callback: ClaimedCallback
    request: DeliveryRequest
    claimed_monotonic: float
    lost_at: float


class CallbackRunner:
    """Sends callbacks on a thread of its own. The owner passes it the engine's results of its requests."""

    def __init__(
        self,
        *,
        worker: str,
        owner: str,
        user_agent: str,
        engine: DeliveryEngine,
        lease_seconds: float,
        may_take: Callable[[], bool],
        wait_seconds: Callable[[int, random.Random], float] = wait_seconds,
    ) -> None:
        """While `may_take` returns False, nothing more is claimed. `wait_seconds` is between two attempts."""
        self._worker = worker
        self._owner = owner
        self._user_agent = user_agent
        self._engine = engine
        self._lease_seconds = max(lease_seconds, _MIN_LEASE_SECONDS)
        self._may_take = may_take
        self._wait_seconds = wait_seconds
        self._rng = random.Random()  # noqa: S311 - jitter
        self._keyring = Keyring(settings.ENCRYPTION_KEYS)
        self._inbox: queue.SimpleQueue[DeliveryResult | Crowded | None] = queue.SimpleQueue()
        self._in_progress: dict[str, _CallbackInFlight] = {}
        self._unwritten: list[FinishedCallbackAttempt | UnsentCallback] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="callbacks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look for due callbacks now. Thread-safe; never blocks."""
        self._inbox.put(None)

    def put(self, event: DeliveryResult | Crowded) -> None:
        """Queue the engine's result of a callback. Thread-safe; never blocks."""
        self._inbox.put(event)

    def is_in_progress(self, request: DeliveryRequest) -> bool:
        """Whether this is the request of a callback in progress. Thread-safe."""
        held = self._in_progress.get(request.execution_id)
        return held is not None and held.request.attempt == request.attempt

    def may_send(self, request: DeliveryRequest, now: float) -> bool:
        """Whether a callback's lease holds long enough to send it and record the answer. Thread-safe."""
        held = self._in_progress.get(request.execution_id)
        return (
            held is not None
            and held.request.attempt == request.attempt
            and now + TIMEOUT_SECONDS + _RECORD_SECONDS <= held.lost_at
        )

    def stop(self) -> None:
        """Record what has ended, and give back what was never sent, after the engine has stopped."""
        self._stopping = True
        self._inbox.put(None)
        self._thread.join(_STOP_SECONDS)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = POLL_SECONDS
        while True:
            stopping = self._stopping  # before the inbox is emptied: results come before `stop` is called
            for event in self._events(pause if not stopping else 0):
                self._take_in(event)
            if stopping:
                self._withdraw_unsent()
            pause = self._turn()
            if stopping:
                break
        connection.close()

    def _events(self, seconds: float) -> list[DeliveryResult | Crowded]:
        """Wait for an event, and take all that have come."""
        events = []
        with contextlib.suppress(queue.Empty):
            if seconds > 0:
                events.append(self._inbox.get(timeout=self._rng.uniform(0.75, 1.25) * seconds))
            while True:
                events.append(self._inbox.get_nowait())
        return [event for event in events if event is not None]

    def _turn(self) -> float:
        """Write what has ended, and claim what is due. Returns the seconds to wait for events before the next turn."""
        try:
            self._write()
            return 0.0 if self._claim() else POLL_SECONDS
        except DataError:  # What can't be stored must not stay in the way of all others: its lease expires.
            log.exception("callbacks_turn_failed")
            self._unwritten.clear()
        except (DatabaseError, InterfaceError) as error:
            log.warning("callbacks_database_away", error=str(error).partition("\n")[0], unwritten=len(self._unwritten))
        except Exception:  # A bug must not end all callbacks.
            log.exception("callbacks_turn_failed")
        connection.close()
        return _RETRY_SECONDS

    def _take_in(self, event: DeliveryResult | Crowded) -> None:
        held = self._in_progress.pop(event.request.execution_id, None)
        if held is None:
            return
        if isinstance(event, Crowded):
            self._return(held, event.wait_seconds)
        elif event.aborted and not event.sent:
            self._return(held, 0)
        else:
            self._unwritten.append(self._finished(held, event))

    def _return(self, held: _CallbackInFlight, seconds: float) -> None:
        wait = max(seconds, _MIN_WAIT_SECONDS) * self._rng.uniform(1, 1.25)
        self._unwritten.append(UnsentCallback(held.callback.callback_id, held.callback.number, wait))

    def _withdraw_unsent(self) -> None:
        """Give back what the stopped engine has not sent. Another worker takes it at once."""
        for held in self._in_progress.values():
            self._unwritten.append(UnsentCallback(held.callback.callback_id, held.callback.number, 0))
        self._in_progress.clear()

    def _finished(self, held: _CallbackInFlight, result: DeliveryResult) -> FinishedCallbackAttempt:
        callback, response = held.callback, result.response
        failed = result.failure_reason is not None
        position = callback.number - (callback.attempt_limit - ATTEMPTS)  # in the series since it was last sent again
        last = callback.number >= callback.attempt_limit
        started = callback.claimed_at + datetime.timedelta(seconds=result.started_monotonic - held.claimed_monotonic)
        return FinishedCallbackAttempt(
            callback_id=callback.callback_id,
            number=callback.number,
            delivered=not failed,
            wait_seconds=self._wait_seconds(max(1, position), self._rng) if failed and not last else None,
            started_at=started,
            duration_ms=max(0, round((result.finished_monotonic - result.started_monotonic) * 1000)),
            status_code=response.status_code if response else None,
            response_body=as_text(response.body[:KEPT_BYTES])[0] if response else None,
            error=(result.error or str(result.failure_reason)) if failed else "",
            remote_ip=result.remote_ip,
            worker=self._worker,
        )

    def _write(self) -> None:
        """Write the ends of attempts. They stay here until that has succeeded."""
        finished = [item for item in self._unwritten if isinstance(item, FinishedCallbackAttempt)]
        unsent = [item for item in self._unwritten if isinstance(item, UnsentCallback)]
        if not finished and not unsent:
            return
        with transaction.atomic(), connection.cursor() as cursor:
            moved = record_callbacks(cursor, finished, owner=self._owner) if finished else set()
            if unsent:
                give_callbacks_back(cursor, unsent, owner=self._owner)
        self._unwritten.clear()
        for item in finished:
            if item.status is CallbackStatus.FAILED and (item.callback_id, item.number) in moved:
                log.warning("callback_failed", callback_id=item.callback_id, attempts=item.number, error=item.error)

    def _claim(self) -> bool:
        """Claim and submit a batch. Returns whether more may be due."""
        room = self._room()
        if room <= 0:
            return False
        asked = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            claim = claim_callbacks(
                cursor, owner=self._owner, lease_seconds=self._lease_seconds, limit=room, full=self._full_workspaces()
            )
            keys = self._keyring.keys_of(cursor, {callback.workspace_id for callback in claim.callbacks})
        if not claim.callbacks and not claim.given_up:
            return False
        failpoint("callbacks.claimed")
        self._submit(claim.callbacks, keys, asked)
        if claim.given_up:
            log.warning("callbacks_given_up", count=claim.given_up)
        return True

    def _room(self) -> int:
        if self._stopping or not self._may_take():
            return 0
        held = list(self._in_progress.values())
        if sum(len(item.callback.body) for item in held) > _MOST_BYTES:
            return 0
        return min(_BATCH, _MOST - len(held))

    def _full_workspaces(self) -> list[str]:
        counts = Counter(held.callback.workspace_id for held in self._in_progress.values())
        return [workspace_id for workspace_id, count in counts.items() if count >= _MOST_OF_WORKSPACE]

    def _submit(
        self, callbacks: Sequence[ClaimedCallback], keys: Mapping[str, tuple[SigningKey, ...]], asked: float
    ) -> None:
        now = time.monotonic()
        for callback in callbacks:
            request = self._request(callback, keys.get(callback.workspace_id, ()), now)
            lost_at = asked + self._lease_seconds
            self._in_progress[callback.callback_id] = _CallbackInFlight(callback, request, now, lost_at)
        try:
            self._engine.submit([self._in_progress[callback.callback_id].request for callback in callbacks])
        except EngineStopped:
            self._withdraw_unsent()

    def _request(self, callback: ClaimedCallback, keys: tuple[SigningKey, ...], monotonic: float) -> DeliveryRequest:
        signature = Signature.create(
            keys,
            message_id=callback.callback_id,
            body=callback.body,
            at=callback.claimed_at,
            monotonic=monotonic,
        )
        headers = (
            ("Content-Type", "application/json"),
            ("User-Agent", self._user_agent),
            ("X-Hourhand-Event", callback.event),
            ("X-Hourhand-Execution-Id", str(callback.execution_id)),
            ("X-Hourhand-Depth", str(callback.depth)),
            *(signature.headers or (("webhook-id", callback.callback_id),)),
        )
        return DeliveryRequest(
            run_id=callback.callback_id,
            execution_id=callback.callback_id,
            attempt=callback.number,
            workspace_id=callback.workspace_id,
            method="POST",
            url=callback.url,
            headers=headers,
            body=callback.body,
            timeout_seconds=TIMEOUT_SECONDS,
            signature=signature if signature.headers else None,
        )
