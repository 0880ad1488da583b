"""A worker process's delivery service: ids come in, executions are claimed, delivered by the engine, and recorded.

Celery's threads only hand ids over and are held back while the service is full. One thread claims, one drives the
network, one records; none of them waits for a remote server.
"""

import collections
import contextlib
import random
import threading
import time
from collections.abc import Iterable, Sequence

import structlog

from jobs.egress import EgressPolicy
from runs.failures import FailureReason
from runs.tail import Change, finish_telling, tell
from scheduler_project.failpoints import failpoint
from workers.claim import Claimed, Claimer
from workers.connections import DatabaseAwayError, Link
from workers.delivery.contract import Crowded, DeliveryResult, InFlight
from workers.delivery.engine import DeliveryEngine, EngineStopped
from workers.delivery.transfer import unanswered
from workers.recorder import Recorder
from workers.testcalls import CallMaker

log = structlog.get_logger(__name__)

#: An idle worker asks Postgres itself this often: messages may be lost, rows are not.
IDLE_POLL_SECONDS = 2.0
_CLAIM_BATCH = 500
_SUBMIT_POLL_SECONDS = 0.5
_LOCKED_SECONDS = 0.1
_TELLING_SECONDS = 1.0
_NAMED = 20  # of the executions that a line of the log is about


class DrainingError(RuntimeError):
    """The service takes no more work; whoever asked should leave it to another worker."""


class DeliveryService:
    """Claims, delivers and records for one worker process. `name` is what history shows; `owner` fences its leases."""

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
    ) -> None:
        self._lease_seconds = lease_seconds
        self._capacity = max_in_flight
        self._claimer = Claimer(owner=owner, lease_seconds=lease_seconds, user_agent=user_agent)
        self._engine = DeliveryEngine(
            policy=policy,
            on_result=self._finished,
            on_crowded=self._sent_away,
            max_in_flight=max_in_flight,
            max_per_host=max_per_host,
            max_per_workspace=max_per_workspace,
        )
        self._recorder = Recorder(
            worker=name,
            claimer=self._claimer,
            lease_seconds=lease_seconds,
            held=self._held_ids,
            on_recorded=self._recorded,
            on_lost=self._abort_lost,
        )
        self._calls = CallMaker(
            worker=name,
            claimer=Claimer(owner=owner, lease_seconds=lease_seconds, user_agent=user_agent),
            engine=self._engine,
        )
        self._chance = random.Random()  # noqa: S311 - jitter
        self._wanted: collections.deque[str] = collections.deque()
        self._crowded: collections.deque[Crowded] = collections.deque()
        self._freed_jobs: set[str] = set()
        self._held: dict[str, Claimed] = {}
        self._starved = False
        self._changed = threading.Condition()
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._claim_forever, name="claimer", daemon=True)

    def start(self) -> None:
        self._engine.start()
        self._recorder.start()
        self._calls.start()
        self._thread.start()

    # -- from Celery's threads -----------------------------------------------------------------------------------------

    def submit(self, execution_ids: Iterable[str]) -> None:
        """Take ids to deliver. Blocks while the service is full; raises DrainingError once it takes no more."""
        ids = list(execution_ids)
        with self._changed:
            while len(self._wanted) >= self._capacity and not self._draining.is_set():
                self._changed.wait(_SUBMIT_POLL_SECONDS)
            if self._draining.is_set():
                raise DrainingError
            self._wanted.extend(ids)
            self._changed.notify_all()

    def drain(self) -> None:
        """Take no more work. Safe in a signal's path: sets a flag and nothing else."""
        self._draining.set()

    @property
    def draining(self) -> bool:
        """If the service takes no more work."""
        return self._draining.is_set()

    @property
    def waiting_count(self) -> int:
        """Executions that this worker holds and that wait for a place."""
        return self._engine.queued_count

    @property
    def in_flight_count(self) -> int:
        """Transfers under way."""
        return self._engine.in_flight_count

    def in_flight(self) -> list[InFlight]:
        """A snapshot of the transfers that are under way."""
        return self._engine.in_flight()

    def make_call(self, call_id: str) -> bool:
        """Take a test call, if no other worker does. False where this one takes no more work. Never blocks."""
        if self._draining.is_set():
            return False
        self._calls.hear(call_id)
        return True

    def abort(self, execution_id: str) -> bool:
        """Abort this execution's transfer; it is recorded as canceled. False where this worker has none."""
        return self._engine.abort(execution_id) or self._abort_crowded(execution_id)

    def _abort_crowded(self, execution_id: str) -> bool:
        """End one that waits to be given back. False where there is none, or where it is given back just now."""
        request = next((one.request for one in list(self._crowded) if one.request.execution_id == execution_id), None)
        if request is None:
            return False
        with self._changed:
            held = self._held.pop(execution_id, None)
        if held is None:
            return False
        self._recorder.put(held, unanswered(request, FailureReason.UNKNOWN, "canceled", aborted=True))
        return True

    def stop(self, *, grace_seconds: float) -> None:
        """Let transfers end for a grace time, record them, and give back what was never sent."""
        started = time.monotonic()
        self._draining.set()
        self._stopping.set()
        self._thread.join(grace_seconds + 5)
        unsent = self._engine.stop(grace_seconds=grace_seconds)
        unsent += [crowded.request for crowded in self._crowded]
        self._give_back([held for request in unsent if (held := self._held.get(request.execution_id))])
        left = self._recorder.stop(timeout_seconds=max(5.0, grace_seconds))
        self._calls.stop()
        finish_telling(_TELLING_SECONDS)
        log.info(
            "delivery_service_stopped",
            given_back=len(unsent),
            unrecorded=left,
            seconds=round(time.monotonic() - started, 2),
        )

    # -- the claimer's thread ------------------------------------------------------------------------------------------

    def _claim_forever(self) -> None:
        link = Link("claimer")
        while not self._draining.is_set():
            try:
                self._claim_batch(link)
            except Exception:  # A fault of ours must not leave a worker that looks alive and claims nothing.
                log.exception("claimer_turn_failed")
                self._draining.wait(1.0)
        self._release_wanted(link)
        while not self._stopping.wait(_SUBMIT_POLL_SECONDS):
            with contextlib.suppress(DatabaseAwayError):
                self._return_crowded(link)
        link.close()

    def _claim_batch(self, link: Link) -> None:
        ids, limit = self._next_batch()
        try:
            self._return_crowded(link)
            self._claim_of_jobs(link, [self._freed_jobs.pop() for _ in range(len(self._freed_jobs))])
            if limit > 0:
                self._claim(link, ids, limit=limit)
        except DatabaseAwayError as error:
            log.warning("claimer_database_away", error=str(error), ids=len(ids))
            self._wanted.extendleft(reversed(ids))
            self._draining.wait(self._chance.uniform(0.1, 1.0))

    def _claim(self, link: Link, ids: list[str], *, limit: int) -> None:
        """Claim these, or (none given) whatever is due. What a plain claim leaves may belong to jobs with a limit."""
        claimed = self._claimer.claim(link, ids, limit=limit) if ids else self._claimer.claim_any(link, limit=limit)
        self._deliver(claimed)
        if len(claimed) < (len(ids) or limit):
            self._claim_of_jobs(link, self._claimer.limited_jobs(link, ids or None))

    def _claim_of_jobs(self, link: Link, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            if (room := self._room()) > 0:
                self._deliver(self._claimer.claim_of_job(link, job_id, limit=min(room, _CLAIM_BATCH)))

    def _next_batch(self) -> tuple[list[str], int]:
        """Wait for room and ids, at most an idle poll. Returns the ids to claim (none: anything due), and how many.

        Returns at once, with room for none, when something is to be given back or a place of a limited job is free.
        """
        idle_until = time.monotonic() + self._chance.uniform(0.75, 1.25) * IDLE_POLL_SECONDS
        with self._changed:
            while not self._draining.is_set() and not self._crowded and not self._freed_jobs:
                room = self._room()
                if room > 0 and self._wanted:
                    limit = min(room, _CLAIM_BATCH)
                    ids = [self._wanted.popleft() for _ in range(min(limit, len(self._wanted)))]
                    self._changed.notify_all()
                    return ids, limit
                wait = idle_until - time.monotonic()
                if wait <= 0:
                    return [], min(room, _CLAIM_BATCH)
                self._starved = room <= 0
                self._changed.wait(min(wait, _SUBMIT_POLL_SECONDS))
                self._starved = False
        return [], 0

    def _room(self) -> int:
        """How many executions may be claimed now. A recorder that can't keep up, or has no database, leaves none."""
        if self._recorder.backlog > self._capacity:
            return 0
        return self._engine.free

    def _deliver(self, claimed: Sequence[Claimed]) -> None:
        if not claimed:
            return
        tell((item.attempt.workspace_id, item.attempt.execution_id) for item in claimed)
        # A process that was stopped in between may come back when its leases are another's.
        if time.monotonic() - claimed[0].claimed_monotonic > self._lease_seconds / 2:
            log.warning("claims_stale", count=len(claimed), execution_ids=_named(claimed))
            self._give_back(claimed)
            return
        with self._changed:
            self._held.update((item.attempt.execution_id, item) for item in claimed)
        try:
            self._engine.submit([item.request for item in claimed if item.refusal is None])
            failpoint("send.submitted")
        except EngineStopped:
            self._give_back(claimed)
            return
        for item in claimed:
            if item.refusal is not None:
                self._recorder.put(item, unanswered(item.request, *item.refusal))

    def _release_wanted(self, link: Link) -> None:
        """Let the clock send the ids that were handed over and not claimed, at once rather than as lost ones."""
        ids = list(self._wanted)
        self._wanted.clear()
        try:
            if ids:
                self._claimer.release(link, ids)
        except DatabaseAwayError as error:
            log.warning("ids_not_released", error=str(error), ids=len(ids))

    def _give_back(self, claimed: Sequence[Claimed]) -> None:
        if not claimed:
            return
        changes = [(item.attempt.workspace_id, item.attempt.execution_id) for item in claimed]
        self._forget([execution_id for _, execution_id in changes])
        link = Link("claimer")
        try:
            self._claimer.give_back(link, claimed)
            tell(changes)
        except DatabaseAwayError as error:
            log.warning("claims_not_given_back", error=str(error), count=len(claimed), execution_ids=_named(claimed))
        finally:
            link.close()

    def _return_crowded(self, link: Link) -> None:
        """Give back what the engine sent away. What can't be moved now stays held, and is tried again."""
        given = [self._crowded[index] for index in range(min(len(self._crowded), _CLAIM_BATCH))]
        if not given:
            return
        waits = {one.request.execution_id: round(one.wait_seconds * 1000 * self._spread()) for one in given}
        held = [claimed for execution_id in waits if (claimed := self._held.get(execution_id))]
        moved = self._claimer.give_back(link, held, wait_ms=waits)
        for one in given:
            self._crowded.popleft()
            if one.request.execution_id not in moved and one.request.execution_id in self._held:
                self._crowded.append(one)
        tell(self._changes(moved))
        self._forget(list(moved))
        log.info("executions_sent_away", count=len(moved), execution_ids=sorted(moved)[:_NAMED])
        if len(moved) < len(given):
            self._draining.wait(_LOCKED_SECONDS)

    def _spread(self) -> float:
        return self._chance.uniform(0.75, 1.25)

    # -- from the engine's thread and the recorder's -------------------------------------------------------------------

    def _finished(self, result: DeliveryResult) -> None:
        """The engine's report of one transfer. On the engine's thread, so it does no more than hand it on."""
        held = self._held.get(result.request.execution_id)
        if held is None:
            self._calls.hear(result)
            return
        self._recorder.put(held, result)
        if self._starved:
            with self._changed:
                self._changed.notify_all()

    def _sent_away(self, crowded: list[Crowded]) -> None:
        """The engine keeps no more for a host or workspace that is full. On the engine's thread."""
        for one in crowded:
            if one.request.execution_id in self._held:
                self._crowded.append(one)
            else:
                self._calls.hear(one)
        with self._changed:
            self._changed.notify_all()

    def _recorded(self, execution_ids: list[str]) -> None:
        held = (self._held.get(execution_id) for execution_id in execution_ids)
        self._freed_jobs.update(one.attempt.job_id for one in held if one and one.definition.concurrency is not None)
        self._forget(execution_ids)

    def _abort_lost(self, execution_ids: list[str]) -> None:
        """Executions that are not this worker's any more: reaped, or canceled. What comes of them moves nothing."""
        for execution_id in execution_ids:
            self.abort(execution_id)
        log.info("leases_lost", count=len(execution_ids), execution_ids=execution_ids[:_NAMED])

    def _changes(self, execution_ids: Iterable[str]) -> list[Change]:
        """What to tell listeners of executions that are held."""
        held = (self._held.get(execution_id) for execution_id in execution_ids)
        return [(one.attempt.workspace_id, one.attempt.execution_id) for one in held if one is not None]

    def _held_ids(self) -> list[str]:
        with self._changed:
            return list(self._held)

    def _forget(self, execution_ids: list[str]) -> None:
        with self._changed:
            for execution_id in execution_ids:
                self._held.pop(execution_id, None)
            self._changed.notify_all()


def _named(claimed: Sequence[Claimed]) -> list[str]:
    return [item.attempt.execution_id for item in claimed[:_NAMED]]
