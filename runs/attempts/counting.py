"""What a batch of recorded attempts adds to the counters. Pure."""

import collections
from collections.abc import Mapping, Sequence

from runs.attempts.contract import AttemptKey, FinishedAttempt
from runs.attempts.retry import Canceled, GiveUp, RetryIn, Succeeded
from runs.counters import DURATION_SECONDS, LATENESS_SECONDS, measure

_STATUS = {Succeeded: "succeeded", RetryIn: "failed", GiveUp: "failed", Canceled: "canceled"}


def of_attempts(recorded: Sequence[FinishedAttempt], planned: Mapping[AttemptKey, float]) -> dict[str, int]:
    """What a batch of recorded attempts adds.

    `planned` has for each attempt whose execution was planned when that was to start, in seconds since the epoch.
    """
    counts: collections.Counter[str] = collections.Counter()
    endings = [item.ending for item in recorded]
    # Every run comes by here: whole columns are counted rather than one run after the other.
    together = collections.Counter([(ending.verdict.__class__, ending.failure_reason) for ending in endings])
    for (verdict, reason), count in together.items():
        status = _STATUS[verdict]
        counts[f"runs/{status}/{reason or ''}"] += count
        if verdict is not RetryIn:
            counts[f"executions/{status}/{reason or ''}"] += count
    durations = [(ending.finished_at - ending.started_at).total_seconds() for ending in endings]
    measure(counts, "duration", durations, DURATION_SECONDS)
    lateness = [
        item.ending.started_at.timestamp() - planned_at
        for item in recorded
        if planned and item.attempt.number == 1 and (planned_at := planned.get(item.attempt.key)) is not None
    ]
    measure(counts, "lateness", lateness, LATENESS_SECONDS)
    return counts
