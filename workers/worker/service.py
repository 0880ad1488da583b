"""A worker process's delivery service: claims executions by their ids, delivers them with the engine, and records them.

Celery's threads only hand ids over, and block while the service is full. One thread claims, one drives the network, one
records; none of them waits for a remote server.
"""

import collections
import contextlib
import functools
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import structlog

from core.failpoints import failpoint
from jobs.egress import EgressPolicy
from runs.failures import FailureReason
from runs.live_tail.publish import finish_publishing
from workers.connections import DatabaseAwayError, Link
from workers.delivery.contract import Crowded, DeliveryRequest, DeliveryResult, InFlight
from workers.delivery.engine import DeliveryEngine, EngineStopped
from workers.delivery.transfer import unanswered
from workers.worker.callbacks import CallbackRunner
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed, listed, publish_changes
from workers.worker.give_back import GiveBack
from workers.worker.held import HeldAttempts
from workers.worker.held_bodies import MAX_BODIES_BYTES
from workers.worker.next_steps import NextSteps
from workers.worker.prepare import Preparer
from workers.worker.recorder import Recorder
from workers.worker.short_waits import Retry, ShortWaits
from workers.worker.testcalls import CallRunner
from workers.worker.unsent import UnsentAttempts

log = structlog.get_logger(__name__)

#: How often an idle worker looks for due rows in PostgreSQL: messages may be lost, rows are not.
IDLE_POLL_SECONDS = 2.0
_MEASURE_SECONDS = 0.25
_CLAIM_BATCH = 500
_SUBMIT_POLL_SECONDS = 0.5
#: While few slots are free and more ids wait, a claim waits this long for more slots: claiming 100 costs little more
#: than claiming 2.
_LINGER_SECONDS = 0.01
_FEW_SLOTS = 1 / 8  # of all slots
_LOCKED_SECONDS = 0.1
#: How long an execution that there is no memory for stays pending before a worker with room claims it.
_HEAVY_WAIT_SECONDS = 2.0
_PUBLISH_SECONDS = 1.0


class DrainingError(RuntimeError):
    """The service takes no more work: leave it to another worker."""


class DeliveryService:
    """Claims, delivers and records for one worker process. History shows `name`; `owner` fences its leases."""

    def __init__(
        self,
        *,
        name: str,
        owner: str,
        policy: EgressPolicy,
        max_in_flight: int,
        max_per_host: int,
        max_per_workspace: int,
        lease_seconds: int,
        user_agent: str,
        permission: Callable[[], bool] = lambda: True,
    ) -> None:
        """While `permission` returns False, the service takes nothing more; attempts that it holds end as usual."""
        self._permission = permission
        self._capacity = max_in_flight
        self._few = max_in_flight * _FEW_SLOTS
        self._held = HeldAttempts(lease_seconds)
        new_claimer = functools.partial(
            Claimer, owner=owner, lease_seconds=lease_seconds, user_agent=user_agent, held_bodies=self._held.bodies
        )
        self._claimer = new_claimer()
        self._engine = DeliveryEngine(
            policy=policy,
            on_result=self._finished,
            on_crowded=self._sent_away,
            may_send=self._may_send,
            max_in_flight=max_in_flight,
            max_per_host=max_per_host,
            max_per_workspace=max_per_workspace,
        )
        self._recorder = Recorder(
            worker=name,
            claimer=self._claimer,
            lease_seconds=lease_seconds,
            held=self._held,
            on_recorded=self._recorded,
            on_lost=self._abort_lost,
            on_retries=self._add_retries,
            next_steps=NextSteps(new_claimer(), may_claim=lambda: self._takes_steps, deliver=self._deliver),
        )
        self._calls = CallRunner(
            worker=name,
            preparer=Preparer(owner=owner, user_agent=user_agent),
            engine=self._engine,
        )
        self._callbacks = CallbackRunner(
            worker=name,
            owner=owner,
            user_agent=user_agent,
            engine=self._engine,
            lease_seconds=lease_seconds,
            may_take=lambda: not self._draining.is_set() and self._permission(),
        )
        self._rng = random.Random()  # noqa: S311 - jitter
        self._ids: collections.deque[str] = collections.deque()
        self._unsent = UnsentAttempts()
        self._give_back = GiveBack(self._claimer, self._unsent, forget=self._forget, on_canceled=self._record_canceled)
        self._freed_jobs: set[str] = set()
        self._short_waits = ShortWaits(capacity=max_in_flight)
        self._measure_at = 0.0
        self._too_heavy = False
        self._starved = False
        self._changed = threading.Condition()
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._claim_forever, name="claimer", daemon=True)

    def start(self) -> None:
        self._engine.start()
        self._recorder.start()
        self._calls.start()
        self._callbacks.start()
        self._thread.start()

    # -- from Celery's threads -----------------------------------------------------------------------------------------

    def submit(self, execution_ids: Iterable[str]) -> None:
        """Take ids to deliver. Blocks while the service is full. Raises DrainingError if it takes no more work."""
        ids = list(execution_ids)
        if not self._permission():
            raise DrainingError
        with self._changed:
            while len(self._ids) >= self._capacity and not self._draining.is_set():
                self._changed.wait(_SUBMIT_POLL_SECONDS)
            if self._draining.is_set():
                raise DrainingError
            self._ids.extend(ids)
            self._changed.notify_all()

    def drain(self) -> None:
        """Take no more work. Safe in a signal handler: only sets a flag."""
        self._draining.set()

    @property
    def draining(self) -> bool:
        """Whether the service takes no more work."""
        return self._draining.is_set()

    @property
    def waiting_count(self) -> int:
        """Executions that this worker holds and that wait for a slot."""
        return self._engine.queued_count

    @property
    def in_flight_count(self) -> int:
        """Transfers in flight."""
        return self._engine.in_flight_count

    def in_flight(self) -> list[InFlight]:
        """A snapshot of the transfers in flight."""
        return self._engine.in_flight()

    def make_call(self, call_id: str) -> bool:
        """Try to take a test call before another worker does. False if this one takes no work. Never blocks."""
        if self._draining.is_set() or not self._permission():
            return False
        self._calls.put(call_id)
        return True

    def abort(self, execution_id: str, attempt: int | None = None) -> bool:
        """Abort this execution's transfer, or that of one attempt, which is recorded as canceled.

        False if this worker has none.
        """
        with self._changed:
            claimed = self._held.of_execution(execution_id)
            if claimed is None or attempt not in (None, claimed.attempt.number):
                return False
            return self._abort(claimed)

    def _abort(self, claimed: Claimed) -> bool:
        """End a held attempt, sent or not. False if its result is already being recorded."""
        if claimed.attempt.key not in self._unsent:
            return self._engine.abort(claimed.attempt.key)
        if self._unsent.cancel(claimed.attempt.key):
            self._record_canceled(claimed)
        return True

    def _record_canceled(self, claimed: Claimed) -> None:
        """Record an attempt that was canceled before it was sent."""
        self._recorder.put(claimed, unanswered(claimed.request, FailureReason.UNKNOWN, "canceled", aborted=True))

    def stop(self, *, grace_seconds: float) -> None:
        """Give transfers `grace_seconds` to end, record them, and give back the attempts that were never sent."""
        started = time.monotonic()
        self._draining.set()
        self._stopping.set()
        self._thread.join(grace_seconds + 5)
        returned = self._engine.stop(grace_seconds=grace_seconds)
        unsent = [claimed for request in returned if (claimed := self._held.of(request))]
        self._give_back.at_once(unsent + self._unsent.all())
        left = self._recorder.stop(timeout_seconds=max(5.0, grace_seconds))
        self._calls.stop()
        self._callbacks.stop()
        finish_publishing(_PUBLISH_SECONDS)
        log.info(
            "delivery_service_stopped",
            given_back=len(unsent) + len(self._unsent),
            unrecorded=left,
            seconds=round(time.monotonic() - started, 2),
        )

    # -- the claimer's thread ------------------------------------------------------------------------------------------

    def _claim_forever(self) -> None:
        link = Link("claimer")
        while not self._draining.is_set():
            try:
                self._claim_batch(link)
            except Exception:  # A bug must not leave a worker that looks alive and claims nothing.
                log.exception("claimer_turn_failed")
                self._draining.wait(1.0)
        self._release_ids(link)
        while not self._stopping.wait(_SUBMIT_POLL_SECONDS):
            with contextlib.suppress(DatabaseAwayError):
                self._give_back.next_batch(link)
        link.close()

    def _claim_batch(self, link: Link) -> None:
        ids, limit = self._next_batch()
        try:
            self._give_back.next_batch(link)
            self._claim_of_jobs(link, [self._freed_jobs.pop() for _ in range(len(self._freed_jobs))])
            if limit > 0:
                self._claim(link, ids, limit=limit)
        except DatabaseAwayError as error:
            log.warning("claimer_database_away", error=str(error), ids=len(ids))
            self._ids.extendleft(reversed(ids))
            self._draining.wait(self._rng.uniform(0.1, 1.0))

    def _claim(self, link: Link, ids: list[str], *, limit: int) -> None:
        """Claim `ids`, or without any whatever is due; then the executions of jobs with a concurrency limit."""
        claimed = self._claimer.claim(link, ids, limit=limit) if ids else self._claimer.claim_any(link, limit=limit)
        self._deliver(claimed)
        if len(claimed) < (len(ids) or limit):
            self._claim_of_jobs(link, self._claimer.limited_jobs(link, ids or None))

    def _claim_of_jobs(self, link: Link, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            if (room := self._room()) <= 0:
                continue
            claimed, has_moved = self._claimer.claim_of_job(link, job_id, limit=min(room, _CLAIM_BATCH))
            self._deliver(claimed)
            if has_moved:  # A workflow that waits or has ended leaves its place to the next.
                self._freed_jobs.add(job_id)

    def _next_batch(self) -> tuple[list[str], int]:
        """Wait for room and ids, at most an idle poll. Returns the ids to claim (none: anything due), and how many.

        Returns at once, with a limit of 0, if attempts are to be given back or a limited job has a free slot.
        """
        idle_seconds = _LOCKED_SECONDS if self._unsent else IDLE_POLL_SECONDS
        idle_until = time.monotonic() + self._rng.uniform(0.75, 1.25) * idle_seconds
        lingered = False
        with self._changed:
            while not self._draining.is_set() and not self._unsent.untried and not self._freed_jobs:
                now = time.monotonic()
                self._ids.extend(self._short_waits.due(now))
                room = self._room()
                if 0 < room < min(len(self._ids), self._few) and not lingered:
                    lingered = True
                    self._changed.wait(_LINGER_SECONDS)
                    continue
                if room > 0 and self._ids:
                    limit = min(room, _CLAIM_BATCH)
                    ids = [self._ids.popleft() for _ in range(min(limit, len(self._ids)))]
                    self._changed.notify_all()
                    return ids, limit
                wait = idle_until - now
                if wait <= 0:
                    return [], min(room, _CLAIM_BATCH)
                self._starved = room <= 0
                self._changed.wait(min(wait, self._short_waits.seconds_to_next(now), _SUBMIT_POLL_SECONDS))
                self._starved = False
        return [], 0

    def _room(self) -> int:
        """How many executions may be claimed now.

        None while the recorder can't keep up or has no database, bodies take too much memory, or this worker may take
        no work.
        """
        if self._recorder.backlog > self._capacity or self._is_too_heavy() or not self._permission():
            return 0
        return self._engine.free

    def _is_too_heavy(self) -> bool:
        """Whether the bodies to send and to record take too much memory. A call in flight adds some 100 KiB.

        Measured four times a second: it visits each waiting response.
        """
        now = time.monotonic()
        if now >= self._measure_at:
            self._measure_at = now + _MEASURE_SECONDS
            self._too_heavy = self._held.bodies.total + self._recorder.backlog_bytes > MAX_BODIES_BYTES
        return self._too_heavy

    @property
    def _takes_steps(self) -> bool:
        """Whether the recorder may claim the next steps of workflows, whose calls have just ended."""
        return not self._draining.is_set() and not self._too_heavy and self._permission()

    def _deliver(self, claimed: Sequence[Claimed]) -> None:
        """Send what was claimed, or give it back if the engine has stopped."""
        if not claimed:
            return
        publish_changes(claimed)
        heavy = [item for item in claimed if item.is_too_heavy]
        try:
            with self._changed:  # Atomic, so that `abort` finds an attempt with the engine or not at all.
                self._drop(self._held.hold(claimed))
                sent = (item for item in claimed if item.refusal is None and not item.is_too_heavy)
                self._engine.submit([item.request for item in sent])
                for item in heavy:
                    self._unsent.add(item, _HEAVY_WAIT_SECONDS)
            failpoint("send.submitted")
        except EngineStopped:
            self._give_back.at_once(claimed)
            return
        for item in claimed:
            if item.refusal is not None and not item.is_too_heavy:
                self._recorder.put(item, unanswered(item.request, *item.refusal))

    def _drop(self, older: Sequence[Claimed]) -> None:
        """Drop older attempts of executions that this worker claimed again after a suspension past their leases."""
        for item in older:
            self._unsent.drop(item.attempt.key)
            self._engine.abort(item.attempt.key)
        if older:
            log.info("leases_lost", count=len(older), execution_ids=listed(older))

    def _release_ids(self, link: Link) -> None:
        """Let the clock enqueue the ids that were not claimed at once, rather than as lost messages."""
        ids = list(self._ids)
        self._ids.clear()
        try:
            if ids:
                self._claimer.release(link, ids)
        except DatabaseAwayError as error:
            log.warning("ids_not_released", error=str(error), ids=len(ids))

    # -- from the engine's thread and the recorder's -------------------------------------------------------------------

    def _finished(self, result: DeliveryResult) -> None:
        """Pass a transfer's result on. Runs on the engine's thread."""
        claimed = self._held.of(result.request)
        if claimed is None:
            self._runner_of(result.request).put(result)
            return
        self._recorder.put(claimed, result)
        if self._starved:
            self._starved = False
            with self._changed:
                self._changed.notify_all()

    def _sent_away(self, crowded: list[Crowded]) -> None:
        """Note requests that the engine did not send: host or workspace full, or late. Runs on the engine's thread."""
        late = []
        with self._changed:
            for unsent in crowded:
                claimed = self._held.of(unsent.request)
                if claimed is None:
                    self._runner_of(unsent.request).put(unsent)
                    continue
                self._unsent.add(claimed, unsent.wait_seconds)
                if not unsent.wait_seconds:
                    late.append(claimed)
            self._changed.notify_all()
        if late:
            log.warning("claims_stale", count=len(late), execution_ids=listed(late))

    def _may_send(self, request: DeliveryRequest, now: float) -> bool:
        """Whether a request may still be sent: this worker holds its lease, or it is a test call."""
        return (
            self._held.may_send(request, now)
            or self._calls.is_in_progress(request)
            or self._callbacks.may_send(request, now)
        )

    def _runner_of(self, request: DeliveryRequest) -> CallRunner | CallbackRunner:
        """Who submitted a request that belongs to no execution."""
        return self._callbacks if self._callbacks.is_in_progress(request) else self._calls

    def _add_retries(self, retries: Sequence[Retry]) -> None:
        with self._changed:
            self._short_waits.add(retries, now=time.monotonic())
            self._changed.notify_all()

    def _recorded(self, recorded: Sequence[Claimed]) -> None:
        self._freed_jobs.update(item.attempt.job_id for item in recorded if item.is_limited)
        if any(item.whole.has_callback for item in recorded):
            self._callbacks.wake()
        self._forget(recorded)

    def _abort_lost(self, lost: Sequence[Claimed]) -> None:
        """End attempts that are no longer this worker's: reaped, or canceled. Their results are fenced off.

        One may have been given back and claimed again under the same number, so each is looked up by its run.
        """
        with self._changed:
            for claimed in lost:
                if self._held.of(claimed.request) is None:
                    continue
                if self._unsent.is_in_doubt(claimed.attempt.key):
                    self._unsent.drop(claimed.attempt.key)
                    self._held.forget([claimed])
                else:
                    self._abort(claimed)
        log.info("leases_lost", count=len(lost), execution_ids=listed(lost))

    def _forget(self, claimed: Iterable[Claimed]) -> None:
        self._held.forget(claimed)
        with self._changed:
            self._changed.notify_all()
