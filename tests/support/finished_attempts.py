"""Finished attempts as a worker reports them, and their recording."""

import datetime

from runs.attempts.contract import AttemptKey, Ending, FinishedAttempt, Received, Timings
from runs.attempts.recording import record
from runs.attempts.retry import SUCCEEDED
from workers.worker.claimed import Claimed


def finished(claimed: Claimed, verdict=SUCCEEDED, reason=None, error="", **changes) -> FinishedAttempt:
    return FinishedAttempt(
        attempt=claimed.attempt._replace(**changes),
        sent=claimed.sent,
        received=Received(200, {"content-type": "text/plain"}, b"a\tb\\n\nc", 7, False, "1.1"),
        remote_ip="127.0.0.1",
        queue_ms=1,
        timings=Timings(total_ms=5),
        # In the past on a machine of any speed: a retry is not due before the attempt has ended.
        ending=Ending(
            verdict, reason, error, claimed.claimed_at - datetime.timedelta(milliseconds=5), claimed.claimed_at
        ),
        worker="worker-1@test",
    )


def record_on(link, *items: FinishedAttempt) -> set[AttemptKey]:
    with link.transaction() as cursor:
        return record(cursor, items)
