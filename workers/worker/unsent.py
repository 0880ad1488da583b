"""Claimed attempts that the engine did not send, to be given back to the database."""

import itertools
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from runs.attempts.contract import AttemptKey
from workers.worker.claimed import Claimed


@dataclass(slots=True)
class Unsent:
    """An attempt to be given back, and to be due again in `wait_seconds`.

    `in_doubt`: the database was asked to take it back and has not answered. It may have done so, and the attempt's
    number may be in use again, so nothing may be recorded of it. `unanswered`: an earlier request to take it back got
    no answer. `canceled`: it was canceled meanwhile.
    """

    claimed: Claimed
    wait_seconds: float
    in_doubt: bool = False
    unanswered: bool = False
    canceled: bool = False


class UnsentAttempts:
    """Thread-safe: the engine's thread adds, the claimer's gives back, others cancel and drop."""

    def __init__(self) -> None:
        self._waiting: dict[AttemptKey, Unsent] = {}
        self._untried = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, attempt: AttemptKey) -> bool:
        return attempt in self._waiting

    @property
    def untried(self) -> bool:
        """Whether some have not been tried yet."""
        return self._untried

    def add(self, claimed: Claimed, wait_seconds: float) -> None:
        with self._lock:
            self._waiting[claimed.attempt.key] = Unsent(claimed, wait_seconds)
            self._untried = True

    def begin(self, limit: int) -> list[Unsent]:
        """Mark at most `limit` attempts as in doubt, for the caller to give back, and then to `settle`."""
        with self._lock:
            batch = list(itertools.islice(self._waiting.values(), limit))
            for unsent in batch:
                unsent.unanswered = unsent.in_doubt
                unsent.in_doubt = True
            self._untried = len(batch) < len(self._waiting)
            return batch

    def settle(self, batch: Iterable[Unsent], moved: Collection[AttemptKey]) -> list[Claimed]:
        """Apply the database's answer. Returns those canceled meanwhile, for the caller to record.

        An attempt that did not move is locked, or no longer this worker's; it goes to the end of the queue.
        """
        canceled = []
        with self._lock:
            for unsent in batch:
                attempt = unsent.claimed.attempt.key
                if self._waiting.get(attempt) is not unsent:
                    continue
                del self._waiting[attempt]
                unsent.in_doubt = False
                if attempt in moved:
                    continue
                if unsent.canceled:
                    canceled.append(unsent.claimed)
                else:
                    self._waiting[attempt] = unsent
        return canceled

    def cancel(self, attempt: AttemptKey) -> bool:
        """Cancel an attempt. True: the caller records it. False: `settle` returns it unless the database took it."""
        with self._lock:
            unsent = self._waiting.get(attempt)
            if unsent is None:
                return False
            if unsent.in_doubt:
                unsent.canceled = True
                return False
            del self._waiting[attempt]
            return True

    def is_in_doubt(self, attempt: AttemptKey) -> bool:
        """Whether the database may have taken it back: then nothing may be recorded of it."""
        with self._lock:
            unsent = self._waiting.get(attempt)
            return unsent is not None and unsent.in_doubt

    def drop(self, attempt: AttemptKey) -> None:
        """Forget an attempt without giving it back."""
        with self._lock:
            self._waiting.pop(attempt, None)

    def all(self) -> list[Claimed]:
        """All unsent attempts."""
        with self._lock:
            return [unsent.claimed for unsent in self._waiting.values()]
