"""The attempts that this worker holds, and until when their leases are certainly its own.

It holds one attempt of an execution at a time. All look-ups name the attempt: a worker that was suspended past its
lease may claim an execution's next attempt while the call of the previous one is still in flight.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from runs.attempts.contract import AttemptKey
from workers.delivery.contract import DeliveryRequest
from workers.worker.claimed import Claimed
from workers.worker.held_bodies import HeldBodies


@dataclass(slots=True)
class _Held:
    claimed: Claimed
    run_id: str
    leased_until: float  # by time.monotonic(), never later than in the database


class HeldAttempts:
    """Thread-safe. Never waits for anything while it holds its lock."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._by_execution: dict[str, _Held] = {}
        self.bodies = HeldBodies()
        self._lock = threading.Lock()

    def hold(self, claimed: Iterable[Claimed]) -> list[Claimed]:
        """Hold new claims. Returns older attempts of the same executions, which are no longer held."""
        older = []
        with self._lock:
            for item in claimed:
                before = self._by_execution.get(item.attempt.execution_id)
                if before is not None:
                    older.append(before.claimed)
                    self.bodies.remove(item.attempt.workspace_id, *before.claimed.bodies)
                leased_until = item.asked_monotonic + self._lease_seconds
                self.bodies.add(item.attempt.workspace_id, *item.bodies)
                self._by_execution[item.attempt.execution_id] = _Held(item, item.attempt.run_id, leased_until)
        return older

    def of(self, request: DeliveryRequest) -> Claimed | None:
        """The claim of this request, if it is still held."""
        held = self._by_execution.get(request.execution_id)
        return held.claimed if held is not None and held.run_id == request.run_id else None

    def of_execution(self, execution_id: str) -> Claimed | None:
        """The held attempt of this execution, whatever its number."""
        held = self._by_execution.get(execution_id)
        return held.claimed if held is not None else None

    def may_send(self, request: DeliveryRequest, now: float) -> bool:
        """Whether the request may still be sent: it is held, and its lease can't have expired.

        After a suspension of this process the execution may be another worker's.
        """
        held = self._by_execution.get(request.execution_id)
        return held is not None and held.run_id == request.run_id and now < held.leased_until

    def all(self) -> dict[AttemptKey, Claimed]:
        """All held attempts, with their claims."""
        with self._lock:
            return {held.claimed.attempt.key: held.claimed for held in self._by_execution.values()}

    def renewed(self, keys: Iterable[AttemptKey], *, asked_monotonic: float) -> None:
        """Note that a statement sent at `asked_monotonic` renewed these leases."""
        leased_until = asked_monotonic + self._lease_seconds
        with self._lock:
            for execution_id, number in keys:
                held = self._by_execution.get(execution_id)
                if held is not None and held.claimed.attempt.number == number:
                    held.leased_until = max(held.leased_until, leased_until)

    def forget(self, claimed: Iterable[Claimed]) -> None:
        """Stop holding these attempts. A later attempt of the same execution stays."""
        with self._lock:
            for item in claimed:
                self._pop(item)

    def _pop(self, item: Claimed) -> bool:
        held = self._by_execution.get(item.attempt.execution_id)
        if held is None or held.run_id != item.attempt.run_id:
            return False
        del self._by_execution[item.attempt.execution_id]
        self.bodies.remove(item.attempt.workspace_id, *held.claimed.bodies)
        return True
