"""The delivery engine: one thread that drives up to a thousand HTTP exchanges at once.

libcurl's multi interface says which sockets it waits for and when to call it; epoll does the waiting. The cost of a
turn depends on the number of events, not of exchanges in flight. The thread waits for epoll only, and network errors
never raise: they become a `DeliveryResult`.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache, partial

import pycurl

from jobs.egress import EgressPolicy, Target
from runs.attempts.contract import AttemptKey
from runs.failures import FailureReason
from workers.delivery.connections import Connections
from workers.delivery.contract import Crowded, DeliveryRequest, DeliveryResult, InFlight
from workers.delivery.fairness import PATIENCE_SECONDS, Lane, Lanes
from workers.delivery.guard import check_url
from workers.delivery.outcome import timed_out, unresolved
from workers.delivery.readiness import Readiness
from workers.delivery.resolver import Addresses, Resolver
from workers.delivery.transfer import Transfer, unanswered
from workers.delivery.wire import InvalidRequest

logger = logging.getLogger(__name__)

#: The most exchanges that a turn starts, so that those in flight do not starve.
STARTS_PER_TURN = 100
IDLE_SECONDS = 5.0


class EngineStopped(RuntimeError):  # noqa: N818 - a state, not a fault
    """The engine takes no more requests."""


class DeliveryEngine:
    """Takes requests, makes the exchanges, and hands each result to `on_result` on its own thread.

    At most `max_per_host` and `max_per_workspace` are in flight at once (None: no separate limit). Requests that would
    wait too long for their share go back unsent to `on_crowded`; without it they wait here. `may_send` is called with
    the request and `time.monotonic()` once connected, right before sending; a request that it refuses goes to
    `on_crowded` too. Callbacks must be quick and must not block. Any thread may call `submit`, `abort`, `in_flight`,
    `stop` and the counters.
    """

    def __init__(
        self,
        *,
        policy: EgressPolicy,
        on_result: Callable[[DeliveryResult], None],
        on_crowded: Callable[[list[Crowded]], None] | None = None,
        may_send: Callable[[DeliveryRequest, float], bool] | None = None,
        max_in_flight: int = 1000,
        max_per_host: int | None = None,
        max_per_workspace: int | None = None,
        user_agent: str = "Hourhand",
    ) -> None:
        self._on_result = on_result
        self._on_crowded = on_crowded
        self._review_at = 0.0
        self._max_in_flight = max_in_flight
        self._check_url = lru_cache(maxsize=4096)(partial(check_url, policy))
        self._inbox: deque[DeliveryRequest] = deque()  # written by any thread
        self._aborts: deque[AttemptKey] = deque()
        self._gate = threading.Lock()  # serializes submit and stop; the engine's thread never takes it
        self._stop_at: float | None = None
        self._ended = threading.Event()
        # Only the engine's thread uses the rest.
        self._lanes = Lanes(per_host=max_per_host or max_in_flight, per_workspace=max_per_workspace or max_in_flight)
        self._active: dict[Transfer, Lane] = {}
        self._readiness = Readiness()
        self._make_transfer = partial(
            Transfer, policy, Connections(), user_agent, self._readiness.opened, may_send or _always
        )
        self._pool: list[Transfer] = []
        self._resolver: Resolver[Transfer] = Resolver(self._wake)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._readiness.add(self._wake_fd)
        self._call_at: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_in_flight)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._readiness.on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._thread = threading.Thread(target=self._run, name="delivery-engine", daemon=True)

    # -- for other threads
    # ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def submit(self, requests: Iterable[DeliveryRequest]) -> None:
        """Queue `requests` without blocking. Raises EngineStopped after `stop`."""
        batch = list(requests)
        with self._gate:
            if self._stop_at is not None:
                raise EngineStopped("the delivery engine is stopping")
            self._inbox.extend(batch)
        self._wake()

    def abort(self, attempt: AttemptKey) -> bool:
        """Cancel the attempt's exchange, queued or in flight; its result is `aborted`. False if the engine has none."""
        requests = [transfer.request for transfer in list(self._active)] + self._lanes.requests() + list(self._inbox)
        if all(request.key != attempt for request in requests):
            return False
        self._aborts.append(attempt)
        self._wake()
        return True

    def in_flight(self) -> list[InFlight]:
        """A snapshot of the exchanges in flight."""
        return [
            InFlight(
                transfer.request.execution_id,
                transfer.request.attempt,
                transfer.target.host,
                transfer.started_monotonic,
            )
            for transfer in list(self._active)
        ]

    def stop(self, *, grace_seconds: float) -> list[DeliveryRequest]:
        """Take no more requests, give exchanges `grace_seconds` to end, then report the rest as `worker_lost`.

        Returns the requests that were never sent, after the results of all others have been handed over.
        """
        with self._gate:
            self._stop_at = time.monotonic() + grace_seconds
        if self._thread.is_alive():
            self._wake()
            self._ended.wait()
        unsent = [*self._lanes.requests(), *self._inbox]
        self._lanes.remove({request.key for request in unsent})
        self._inbox.clear()
        return unsent

    @property
    def in_flight_count(self) -> int:
        """Exchanges in flight."""
        return len(self._active)

    @property
    def queued_count(self) -> int:
        """Requests that wait for a slot."""
        return len(self._inbox) + self._lanes.count

    @property
    def free(self) -> int:
        """The free slots. Requests that wait for a crowded host or workspace take none."""
        return max(0, self._max_in_flight - self.in_flight_count - self.queued_count + self._lanes.crowded_count)

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)

    # -- the loop
    # -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        logger.info("delivery_engine_started", extra={"max_in_flight": self._max_in_flight})
        while not self._finished():
            try:
                self._turn()
            except Exception:
                logger.exception("delivery_turn_failed")
                time.sleep(0.01)  # a fault that recurs at once must not occupy a whole core
        self._withdraw_unresolved()
        for transfer in list(self._active):
            self._end(
                transfer, transfer.give_up(FailureReason.WORKER_LOST, "the worker stopped before the answer came")
            )
        logger.info("delivery_engine_stopped")
        self._ended.set()
        self._close()

    def _finished(self) -> bool:
        return self._stop_at is not None and (not self._active or time.monotonic() >= self._stop_at)

    def _turn(self) -> None:
        self._take_in()
        self._start_queued()
        for fd, events in self._readiness.wait(self._wait_seconds()):
            if fd == self._wake_fd:
                os.eventfd_read(fd)
            else:
                self._multi.socket_action(fd, events)
        if self._resolver.busy:
            self._take_addresses()
        if self._call_at is not None and time.monotonic() >= self._call_at:
            self._call_libcurl()
        self._collect()

    def _take_in(self) -> None:
        inbox, now = self._inbox, time.monotonic()
        crowded: list[Crowded] = []
        while inbox:
            request = inbox.popleft()
            target = self._check_url(request.url)
            if not isinstance(target, Target):
                self._report(unanswered(request, target[0] or FailureReason.UNKNOWN, target[1] or ""))
            elif (wait_seconds := self._lanes.add(request, target, now)) is not None:
                crowded.append(Crowded(request, wait_seconds))
        if self._on_crowded is not None and self._lanes.count and now >= self._review_at and self._stop_at is None:
            self._review_at = now + PATIENCE_SECONDS
            crowded += self._lanes.review(now)
        if crowded:
            self._turn_away(crowded)
        if self._aborts:
            self._abort({self._aborts.popleft() for _ in range(len(self._aborts))})

    def _start_queued(self) -> None:
        if self._stop_at is not None:
            self._withdraw_unresolved()
            return
        started = 0
        while len(self._active) < self._max_in_flight and started < STARTS_PER_TURN:
            turn = self._lanes.take()
            if turn is None:
                break
            lane, waiting = turn
            self._begin(waiting.request.signed_for(time.monotonic()), waiting.target, lane)
            started += 1
        if started:
            self._call_libcurl()
            self._collect()  # some end at once: refused, or answered within the call

    def _begin(self, request: DeliveryRequest, target: Target, lane: Lane) -> None:
        """Hand `request` to libcurl once its name is resolved, or report at once why it cannot be sent."""
        try:
            transfer = self._pool.pop() if self._pool else self._make_transfer()
            transfer.prepare(request, target)
        except InvalidRequest as invalid:
            self._pool.append(transfer)
            self._lanes.leave(lane)
            self._report(unanswered(request, FailureReason.TEMPLATE_ERROR, str(invalid)))
        except Exception as error:
            logger.exception(
                "delivery_begin_failed", extra={"execution_id": request.execution_id, "attempt": request.attempt}
            )
            self._lanes.leave(lane)
            self._report(unanswered(request, FailureReason.UNKNOWN, f"could not be sent: {error}"))
        else:
            self._active[transfer] = lane
            if target.address is not None:
                self._dial(transfer)
                return
            now = transfer.started_monotonic
            addresses = self._resolver.ask(target.name, transfer, deadline=transfer.deadline, now=now)
            if addresses is not None:
                self._on_resolved(transfer, addresses, waited_seconds=0.0)

    def _on_resolved(self, transfer: Transfer, addresses: Addresses, *, waited_seconds: float) -> None:
        """Dial, or fail if the name has no addresses."""
        transfer.resolved(addresses, waited_seconds=waited_seconds)
        if addresses:
            self._dial(transfer)
        else:
            self._end(transfer, transfer.give_up(*unresolved(transfer.target)))

    def _dial(self, transfer: Transfer) -> None:
        try:
            self._multi.add_handle(transfer.curl)
            transfer.dialled = True
        except pycurl.error as error:
            logger.exception(
                "delivery_dial_failed",
                extra={"execution_id": transfer.request.execution_id, "attempt": transfer.request.attempt},
            )
            self._end(transfer, transfer.give_up(FailureReason.UNKNOWN, f"could not be sent: {error}"))

    def _take_addresses(self) -> None:
        """Continue the transfers whose names have been resolved, and end those whose deadline has passed."""
        now = time.monotonic()
        for transfer, addresses in self._resolver.answered(now):
            self._on_resolved(transfer, addresses, waited_seconds=now - transfer.started_monotonic)
        for transfer in self._resolver.late(now):
            self._end(transfer, transfer.give_up(*timed_out(transfer.request.timeout_seconds)))

    def _withdraw_unresolved(self) -> None:
        """Unsend the transfers whose names are being resolved: `stop` returns their requests."""
        for transfer in self._resolver.waiters():
            self._inbox.append(transfer.request)
            self._leave(transfer)

    def _wait_seconds(self) -> float:
        if self._lanes.has_turns and len(self._active) < self._max_in_flight and self._stop_at is None:
            return 0.0
        now = time.monotonic()
        wait_until = now + (PATIENCE_SECONDS if self._lanes.count else IDLE_SECONDS)
        if self._call_at is not None:
            wait_until = min(wait_until, self._call_at)
        wait_until = min(wait_until, self._resolver.next_deadline)
        if self._stop_at is not None:
            wait_until = min(wait_until, self._stop_at)
        return max(0.0, wait_until - now)

    def _call_libcurl(self) -> None:
        self._call_at = None
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _collect(self) -> None:
        """Report the exchanges that ended."""
        waiting = 1
        while waiting:
            waiting, complete, failed = self._multi.info_read()
            for curl in complete:
                self._conclude(curl.transfer, pycurl.E_OK, "")
            for curl, code, message in failed:
                self._conclude(curl.transfer, code, message)

    def _conclude(self, transfer: Transfer, code: int, message: str) -> None:
        if transfer.stale:
            self._multi.remove_handle(transfer.curl)
            transfer.rewind()
            self._multi.add_handle(transfer.curl)
            return
        if transfer.late:
            request = transfer.request
            self._leave(transfer)
            self._turn_away([Crowded(request, 0.0)])
            return
        try:
            result = transfer.finish(code, message)
        except Exception as error:
            logger.exception(
                "delivery_finish_failed",
                extra={"execution_id": transfer.request.execution_id, "attempt": transfer.request.attempt},
            )
            result = unanswered(
                transfer.request, FailureReason.UNKNOWN, f"the result could not be read: {error}", sent=True
            )
        self._end(transfer, result)

    def _end(self, transfer: Transfer, result: DeliveryResult) -> None:
        self._leave(transfer)
        self._report(result)

    def _leave(self, transfer: Transfer) -> None:
        if transfer.dialled:
            self._multi.remove_handle(transfer.curl)
        else:
            self._resolver.forget(transfer)
        self._lanes.leave(self._active.pop(transfer))
        transfer.release()
        if transfer.pooled:
            self._pool.append(transfer)
        else:
            transfer.curl.close()

    def _report(self, result: DeliveryResult) -> None:
        try:
            self._on_result(result)
        except Exception:
            logger.exception(
                "delivery_report_failed",
                extra={"execution_id": result.request.execution_id, "attempt": result.request.attempt},
            )

    def _turn_away(self, crowded: list[Crowded]) -> None:
        if self._on_crowded is not None:
            self._on_crowded(crowded)

    def _abort(self, attempts: set[AttemptKey]) -> None:
        error = "canceled"
        for transfer in [transfer for transfer in self._active if transfer.request.key in attempts]:
            self._end(transfer, transfer.give_up(FailureReason.UNKNOWN, error, aborted=True))
        for request in self._lanes.remove(attempts):
            self._report(unanswered(request, FailureReason.UNKNOWN, error, aborted=True))

    def _close(self) -> None:
        self._pool.clear()
        self._multi.close()
        self._readiness.close()

    def _on_timer(self, milliseconds: int) -> None:
        """libcurl's timer callback."""
        self._call_at = time.monotonic() + milliseconds / 1000 if milliseconds >= 0 else None


def _always(_request: DeliveryRequest, _now: float) -> bool:
    return True
