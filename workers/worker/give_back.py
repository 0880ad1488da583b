"""Gives attempts that were not sent back to the database, as if they had never been claimed."""

import random
from collections.abc import Callable, Iterable, Sequence

import structlog

from workers.connections import DatabaseAwayError, Link
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed, listed, publish_changes
from workers.worker.unsent import Unsent, UnsentAttempts

log = structlog.get_logger(__name__)

_BATCH = 500


class GiveBack:
    """For one worker. `forget` is told what it holds no longer, `on_canceled` each one canceled before it moved."""

    def __init__(
        self,
        claimer: Claimer,
        unsent: UnsentAttempts,
        *,
        forget: Callable[[Iterable[Claimed]], None],
        on_canceled: Callable[[Claimed], None],
    ) -> None:
        self._claimer = claimer
        self._unsent = unsent
        self._forget = forget
        self._on_canceled = on_canceled
        self._rng = random.Random()  # noqa: S311 - jitter

    def at_once(self, claimed: Sequence[Claimed]) -> None:
        """Give these back on a connection of their own. Those that the database does not take wait for their leases."""
        if not claimed:
            return
        self._forget(claimed)
        link = Link("claimer")
        try:
            self._claimer.give_back(link, claimed)
            publish_changes(claimed)
        except DatabaseAwayError as error:
            log.warning("claims_not_given_back", error=str(error), count=len(claimed), execution_ids=listed(claimed))
        finally:
            link.close()

    def next_batch(self, link: Link) -> None:
        """Give a batch of the unsent attempts back. Those that the database does not take are tried again later.

        Raises DatabaseAwayError.
        """
        batch = self._unsent.begin(_BATCH)
        if not batch:
            return
        claimed = [unsent.claimed for unsent in batch]
        waits = {unsent.claimed.attempt.execution_id: self._spread_ms(unsent.wait_seconds) for unsent in batch}
        moved = self._claimer.give_back(link, claimed, wait_ms=waits)
        refused = [unsent for unsent in batch if unsent.claimed.attempt.key not in moved]
        self._drop_returned(link, [unsent for unsent in refused if unsent.unanswered])
        for item in self._unsent.settle(batch, moved):
            self._on_canceled(item)
        back = [item for item in claimed if item.attempt.key in moved]
        self._forget(back)
        publish_changes(back)
        if back:
            log.info("executions_sent_away", count=len(back), execution_ids=listed(back))

    def _drop_returned(self, link: Link, in_doubt: Sequence[Unsent]) -> None:
        """Forget attempts that the database took back although its answer was lost: their number may be reused."""
        if not in_doubt:
            return
        lost = self._claimer.lost(link, [unsent.claimed.attempt.key for unsent in in_doubt])
        for unsent in in_doubt:
            if unsent.claimed.attempt.key in lost:
                self._unsent.drop(unsent.claimed.attempt.key)
                self._forget([unsent.claimed])

    def _spread_ms(self, seconds: float) -> int:
        return round(seconds * 1000 * self._rng.uniform(0.75, 1.25))
