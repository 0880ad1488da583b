"""What a batch of recorded attempts adds to the counters. Pure."""

import collections
from collections.abc import Mapping, Sequence

from runs.attempts.contract import AttemptKey, FinishedAttempt
from runs.attempts.retry import Canceled, GiveUp, PollIn, RetryIn, StepCanceled, StepDone, Succeeded
from runs.counters import DURATION_SECONDS, LATENESS_SECONDS, measure

_STATUS = {
    Succeeded: "succeeded", RetryIn: "failed", GiveUp: "failed", Canceled: "canceled",
    PollIn: "succeeded", StepCanceled: "canceled",
}  # fmt: skip
#: The verdicts that end the execution.
_ENDS = (Succeeded, GiveUp, Canceled)


def of_attempts(recorded: Sequence[FinishedAttempt], scheduled: Mapping[AttemptKey, float]) -> dict[str, int]:
    """What a batch of recorded attempts adds.

    `scheduled` has the planned start of each attempt that a schedule made, in seconds since the epoch.
    """
    counts: collections.Counter[str] = collections.Counter()
    endings = [item.ending for item in recorded]
    # Every run passes here: counting whole columns is faster than counting run by run.
    verdicts = collections.Counter([(ending.verdict.__class__, ending.failure_reason) for ending in endings])
    for (verdict, reason), count in verdicts.items():
        status = _STATUS[verdict] if verdict is not StepDone else "failed" if reason else "succeeded"
        counts[f"runs/{status}/{reason or ''}"] += count
        if verdict in _ENDS:
            counts[f"executions/{status}/{reason or ''}"] += count
    durations = [(ending.finished_at - ending.started_at).total_seconds() for ending in endings]
    measure(counts, "duration", durations, DURATION_SECONDS)
    lateness = [
        item.ending.started_at.timestamp() - start
        for item in recorded
        if scheduled and item.attempt.number == 1 and (start := scheduled.get(item.attempt.key)) is not None
    ]
    measure(counts, "lateness", lateness, LATENESS_SECONDS)
    return counts
