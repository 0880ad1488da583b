"""Claims the next steps of workflows in the transaction that records the last ones: a step then costs one commit."""

from collections.abc import Callable, Sequence
from typing import Any

from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.prepare import Preparation


class NextSteps:
    """For one recorder, on its thread."""

    def __init__(
        self, claimer: Claimer, *, may_claim: Callable[[], bool], deliver: Callable[[Sequence[Claimed]], None]
    ) -> None:
        """`claimer` belongs to it alone: the caches of one are for one thread."""
        self._claimer = claimer
        self._may_claim = may_claim
        self._deliver = deliver

    def claim(self, cursor: Any, execution_ids: Sequence[str]) -> Preparation | None:
        """Claim these executions in the recorder's transaction; None while the worker takes no more work.

        Those that would end are left for the claimer's thread.
        """
        return self._claimer.claim_within(cursor, execution_ids) if self._may_claim() else None

    def deliver(self, claim: Preparation) -> None:
        """Deliver what was claimed, once the recorder's transaction is committed."""
        self._deliver(self._claimer.prepared(claim))
