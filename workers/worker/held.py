"""The attempts that this worker holds, and until when it knows their leases to be its own.

One attempt of an execution is held at a time. Whoever asks names the attempt: a worker that stood still past its lease
may claim the next attempt of an execution while a call of the one before is still under way.
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
    leased_until: float  # by time.monotonic(), never later than the database's instant


class HeldAttempts:
    """For any thread. Its lock is held for a lookup or a change, never while something else is waited for."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._by_execution: dict[str, _Held] = {}
        self.bodies = HeldBodies()
        self._lock = threading.Lock()

    def hold(self, claimed: Iterable[Claimed]) -> list[Claimed]:
        """Hold what was just claimed. Returns older attempts of the same executions, which are held no longer."""
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
        """The claim that made this request, if it is still held."""
        held = self._by_execution.get(request.execution_id)
        return held.claimed if held is not None and held.run_id == request.run_id else None

    def of_execution(self, execution_id: str) -> Claimed | None:
        """The attempt of this execution that is held, whichever it is."""
        held = self._by_execution.get(execution_id)
        return held.claimed if held is not None else None

    def may_send(self, request: DeliveryRequest, now: float) -> bool:
        """Whether the request may still go out: it is held, and its lease can't have expired yet.

        False for what nobody renewed while this process stood still: the execution may be another worker's by now.
        """
        held = self._by_execution.get(request.execution_id)
        return held is not None and held.run_id == request.run_id and now < held.leased_until

    def all(self) -> dict[AttemptKey, Claimed]:
        """Every attempt that is held, with its claim."""
        with self._lock:
            return {one.claimed.attempt.key: one.claimed for one in self._by_execution.values()}

    def renewed(self, keys: Iterable[AttemptKey], *, asked_monotonic: float) -> None:
        """Their leases were renewed by a statement that was sent at `asked_monotonic`."""
        leased_until = asked_monotonic + self._lease_seconds
        with self._lock:
            for execution_id, number in keys:
                held = self._by_execution.get(execution_id)
                if held is not None and held.claimed.attempt.number == number:
                    held.leased_until = max(held.leased_until, leased_until)

    def forget(self, claimed: Iterable[Claimed]) -> None:
        """Hold these no longer. A later attempt of the same execution stays."""
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
