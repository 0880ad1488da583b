"""Records what the engine delivered: collects results for a moment, then writes them in one transaction.

While PostgreSQL is away, results wait and are tried again. The same thread renews leases, so that the two statements
that touch this worker's executions can't deadlock.
"""

import collections
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg2
import structlog

from core.failpoints import failpoint
from runs.attempts.contract import AttemptKey, FinishedAttempt, Received, StepResult
from runs.attempts.recording import record
from runs.attempts.retry import GiveUp, RetryIn, StepCanceled, StepDone, Verdict
from runs.failures import FailureReason
from runs.live_tail.publish import publish
from workers.connections import DatabaseAwayError, Link
from workers.delivery.contract import DeliveryResult
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate
from workers.worker.held import HeldAttempts
from workers.worker.next_steps import NextSteps
from workers.worker.prepare import Preparation
from workers.worker.short_waits import Retry

log = structlog.get_logger(__name__)

BATCH = 500
#: The most bytes of bodies in one transaction.
BATCH_BYTES = 4 * 1024 * 1024
WINDOW_SECONDS = 0.020
_RETRY_SECONDS = 2.0
_EVALUATION_SECONDS = 1.0


class Recorder:
    """One thread with one connection. Renews the leases of `held` attempts, and passes what it wrote to `on_recorded`.

    `on_lost` gets the claims whose lease could not be renewed since they are no longer this worker's: reaped, canceled,
    or claimed again.
    """

    def __init__(
        self,
        *,
        worker: str,
        claimer: Claimer,
        lease_seconds: int,
        held: HeldAttempts,
        on_recorded: Callable[[list[Claimed]], None],
        on_lost: Callable[[Sequence[Claimed]], None],
        on_retries: Callable[[Sequence[Retry]], None] | None = None,
        next_steps: NextSteps | None = None,
    ) -> None:
        self._worker = worker
        self._claimer = claimer
        self._renew_every = lease_seconds / 3
        self._renew_at = 0.0
        # After an outage leases are renewed well before the reaper starts again: it waits a third of a lease.
        self._retry_seconds = min(_RETRY_SECONDS, lease_seconds / 12)
        self._held = held
        self._on_recorded = on_recorded
        self._on_lost = on_lost
        self._on_retries = on_retries
        self._next_steps = next_steps
        self._rng = random.Random()  # noqa: S311 - jitter
        self._waiting: collections.deque[tuple[Claimed, DeliveryResult]] = collections.deque()
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._give_up_at = float("inf")
        # Leases are renewed between batches, so no batch may wait for a lock for long.
        self._link = Link("recorder", lock_timeout_seconds=min(30.0, lease_seconds / 4))
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, claimed: Claimed, result: DeliveryResult) -> None:
        """Hand over the result of an attempt. Never blocks."""
        self._waiting.append((claimed, result))
        if not self._arrived.is_set():
            self._arrived.set()

    @property
    def backlog(self) -> int:
        """The attempts not yet recorded."""
        return len(self._waiting)

    @property
    def backlog_bytes(self) -> int:
        """The bytes of the backlog's response bodies; `HeldBodies` counts those of the requests."""
        return sum(body_bytes(None, result.response) for _, result in list(self._waiting))

    def stop(self, *, timeout_seconds: float) -> int:
        """Record the backlog within `timeout_seconds`. Returns how many attempts could not be recorded."""
        self._give_up_at = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._arrived.set()
        self._thread.join(timeout_seconds + 1)
        return len(self._waiting)

    def _work(self) -> None:
        self._renew_at = time.monotonic() + self._renew_every
        while not (self._stopping.is_set() and not self._waiting) and time.monotonic() < self._give_up_at:
            try:
                self._turn()
            except Exception:  # A bug must not end the recording of all others.
                log.exception("recorder_turn_failed", waiting=len(self._waiting))
                time.sleep(1.0)
        self._link.close()

    def _turn(self) -> None:
        if self._arrived.wait(timeout=max(0.0, self._renew_at - time.monotonic())):
            self._collect()
            self._record_batch()
        if time.monotonic() >= self._renew_at:
            wait_seconds = self._renew_every if self._renew_leases() else self._retry_seconds
            self._renew_at = time.monotonic() + wait_seconds

    def _collect(self) -> None:
        """Let a batch grow for WINDOW_SECONDS, or until it is full."""
        if self._next_steps is not None and self._waiting and self._waiting[0][0].step is not None:
            return  # Its workflow goes on in this transaction: a window would delay every step.
        until = time.monotonic() + WINDOW_SECONDS
        while len(self._waiting) < BATCH and time.monotonic() < until and not self._stopping.is_set():
            time.sleep(0.004)

    def _record_batch(self) -> None:
        self._arrived.clear()
        batch = self._evaluated_batch()
        if batch:
            self._persist(batch)
        if self._waiting:
            self._arrived.set()

    def _pass_on(self, batch: Sequence[FinishedAttempt], claim: Preparation | None) -> None:
        """Tell the others what was recorded: the first ones that wait, in their order. Deliver what was claimed."""
        delivered = [self._waiting.popleft() for _ in batch]
        self._on_recorded([claimed for claimed, _ in delivered])
        claimed_ids = claim.execution_ids if claim is not None else ()
        retries = [
            Retry(result.finished_monotonic + delay_ms / 1000, item.attempt.execution_id)
            for item, (_, result) in zip(batch, delivered, strict=True)
            if (delay_ms := _goes_on_in_ms(item.ending.verdict)) is not None
            and item.attempt.execution_id not in claimed_ids
        ]
        if retries and self._on_retries is not None:
            self._on_retries(retries)
        if claim is not None and self._next_steps is not None:
            self._next_steps.deliver(claim)

    def _evaluated_batch(self) -> list[FinishedAttempt]:
        """Evaluate the next batch. It ends early if that takes long, since this thread also renews leases.

        It also ends early at BATCH_BYTES: writing takes several times the bodies' size in memory.
        """
        until = time.monotonic() + _EVALUATION_SECONDS
        left_bytes = BATCH_BYTES
        batch: list[FinishedAttempt] = []
        for index in range(min(BATCH, len(self._waiting))):
            item = evaluate(*self._waiting[index], worker=self._worker, rng=self._rng)
            batch.append(item)
            left_bytes -= body_bytes(item.sent.body, item.received)
            if left_bytes < 0 or time.monotonic() > until:
                break
        return batch

    def _persist(self, batch: Sequence[FinishedAttempt], *, claims: bool = True) -> bool:
        """Record a batch, whole or in halves, and pass each on. False if the database is away: the rest still waits."""
        try:
            moved, claim = self._transaction(batch, claims=claims)
            failpoint("record.committed")
        except DatabaseAwayError as error:
            log.warning("recorder_database_away", error=str(error), waiting=len(self._waiting))
            self._stopping.wait(self._rng.uniform(0.1, 1.0) * self._retry_seconds)
            return False
        except Exception as error:
            if claims and any(isinstance(item.ending.verdict, StepDone) for item in batch):
                log.exception("next_steps_not_claimed", count=len(batch))
                return self._persist(batch, claims=False)  # A fault in what follows must cost no record.
            if not isinstance(error, psycopg2.Error | ValueError):  # unstorable data: see Link.transaction
                raise
            return self._persist_halves(batch, error)
        publish((item.attempt.workspace_id, item.attempt.execution_id) for item in batch)
        for item in batch:
            if len(moved) < len(batch) and item.attempt.key not in moved:
                log.warning(
                    "delivery_fenced",
                    execution_id=item.attempt.execution_id,
                    attempt=item.attempt.number,
                    job_id=item.attempt.job_id,
                    failure_reason=item.ending.failure_reason,
                )
        self._pass_on(batch, claim)
        return True

    def _persist_halves(self, batch: Sequence[FinishedAttempt], error: Exception) -> bool:
        """Split off the attempt that can't be stored, for the others' sake, and record it without its exchange."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return self._persist(batch[:middle]) and self._persist(batch[middle:])
        (item,) = batch
        log.error(
            "attempt_not_storable",
            execution_id=item.attempt.execution_id,
            attempt=item.attempt.number,
            job_id=item.attempt.job_id,
            error=str(error).partition("\n")[0],  # further lines quote the row
        )
        if item.received is None and item.ending.failure_reason is FailureReason.UNKNOWN:
            self._pass_on(
                batch, None
            )  # Not even its bare ending can be stored: its lease will expire, and it is reaped.
            return True
        return self._persist([_bare(item)])

    def _transaction(
        self, batch: Sequence[FinishedAttempt], *, claims: bool
    ) -> tuple[set[AttemptKey], Preparation | None]:
        """Returns the attempts that moved their execution, and what was claimed of those that go on."""
        with self._link.transaction() as cursor:
            moved = record(cursor, batch)
            failpoint("record.written")
            claim = self._claim_next(cursor, batch, moved) if claims else None
        return moved, claim

    def _claim_next(self, cursor: Any, batch: Sequence[FinishedAttempt], moved: set[AttemptKey]) -> Preparation | None:
        """Claim workflows that go on, in the transaction that ends their steps: a step then costs one commit."""
        if self._next_steps is None:
            return None
        ids = [
            item.attempt.execution_id
            for item in batch
            if isinstance(item.ending.verdict, StepDone) and item.attempt.key in moved
        ]
        return self._next_steps.claim(cursor, ids) if ids else None

    def _renew_leases(self) -> bool:
        """Renew the leases of all held attempts. False if the database is away."""
        held = self._held.all()
        if not held:
            return True
        asked = time.monotonic()
        try:
            renewed = self._claimer.extend(self._link, sorted(held))
            self._held.renewed(renewed, asked_monotonic=asked)
            unrenewed = [attempt for attempt in held if attempt not in renewed]
            lost = self._claimer.lost(self._link, unrenewed) if unrenewed else ()
        except DatabaseAwayError as error:
            log.warning("leases_not_renewed", error=str(error), held=len(held))
            return False
        if lost:
            self._on_lost([held[attempt] for attempt in sorted(lost)])
        return True


def _goes_on_in_ms(verdict: Verdict) -> int | None:
    """When its execution can be claimed again: after a retry's delay, or at once where a workflow goes on."""
    match verdict:
        case RetryIn(delay_ms):
            return delay_ms
        case StepDone() | StepCanceled():
            return 0
    return None


def body_bytes(sent: bytes | None, received: Received | None) -> int:
    """The size of an attempt's bodies."""
    return len(sent or b"") + (len(received.body) if received else 0)


def _bare(item: FinishedAttempt) -> FinishedAttempt:
    reason = FailureReason.UNKNOWN
    verdict = GiveUp(reason) if item.step is None else StepDone(reason)
    ending = item.ending._replace(verdict=verdict, failure_reason=reason, error="The exchange could not be stored.")
    step = item.step and StepResult(item.step.next_step, item.step.counted_runs)
    sent = item.sent._replace(headers="{}", body=None)
    return item._replace(sent=sent, received=None, remote_ip=None, ending=ending, step=step)
