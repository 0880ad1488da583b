"""Attempts that the engine sent away: claimed, never sent, to be given back to the database."""

import itertools
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from runs.attempts.contract import AttemptKey
from workers.worker.claimed import Claimed


@dataclass(slots=True)
class Unsent:
    """An attempt to be given back, and to be due again in `wait_seconds`.

    `in_doubt`: the database was asked to take it back and has not answered. It may have; then the attempt's number may
    be in use again, so nothing may be recorded of it. `unanswered`: an earlier request to take it back never was
    answered. `canceled`: somebody asked for that meanwhile.
    """

    claimed: Claimed
    wait_seconds: float
    in_doubt: bool = False
    unanswered: bool = False
    canceled: bool = False


class UnsentAttempts:
    """For any thread: the engine's adds, the claimer's gives back, others cancel and drop."""

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
        """Whether there are some that nobody tried to give back yet."""
        return self._untried

    def add(self, claimed: Claimed, wait_seconds: float) -> None:
        with self._lock:
            self._waiting[claimed.attempt.key] = Unsent(claimed, wait_seconds)
            self._untried = True

    def begin(self, limit: int) -> list[Unsent]:
        """At most `limit` that the database is now asked to take back; `settle` says what it answered."""
        with self._lock:
            given = list(itertools.islice(self._waiting.values(), limit))
            for one in given:
                one.unanswered = one.in_doubt
                one.in_doubt = True
            self._untried = len(given) < len(self._waiting)
            return given

    def settle(self, given: Iterable[Unsent], moved: Collection[AttemptKey]) -> list[Claimed]:
        """The database has answered. Returns those that were canceled meanwhile: they are the caller's to record.

        What did not move is locked by somebody, or not this worker's any more; it goes to the end of the line.
        """
        canceled = []
        with self._lock:
            for one in given:
                attempt = one.claimed.attempt.key
                if self._waiting.get(attempt) is not one:
                    continue
                del self._waiting[attempt]
                one.in_doubt = False
                if attempt in moved:
                    continue
                if one.canceled:
                    canceled.append(one.claimed)
                else:
                    self._waiting[attempt] = one
        return canceled

    def cancel(self, attempt: AttemptKey) -> bool:
        """True: it is the caller's to record as canceled. False: `settle` returns it, unless the database took it."""
        with self._lock:
            one = self._waiting.get(attempt)
            if one is None:
                return False
            if one.in_doubt:
                one.canceled = True
                return False
            del self._waiting[attempt]
            return True

    def is_in_doubt(self, attempt: AttemptKey) -> bool:
        """Whether the database may have taken it back, so that nothing may be recorded of it."""
        with self._lock:
            one = self._waiting.get(attempt)
            return one is not None and one.in_doubt

    def drop(self, attempt: AttemptKey) -> None:
        """Give it back no more."""
        with self._lock:
            self._waiting.pop(attempt, None)

    def all(self) -> list[Claimed]:
        """Every one of them."""
        with self._lock:
            return [one.claimed for one in self._waiting.values()]
