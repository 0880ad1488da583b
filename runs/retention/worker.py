"""Removes history for one turn: purged jobs first, then what the nightly round of retention prunes."""

import datetime

from jobs.models import Job
from runs.models import PruningRound
from runs.retention.nightly import continue_round
from runs.retention.prune import Turn, pruning_lock
from runs.retention.purge import remove_purged


def work_off(turn: Turn, now: datetime.datetime) -> bool:
    """Remove history, unless another process does. Returns whether the turn ended before the work."""
    if not Job.objects.purged().exists() and not PruningRound.objects.filter(finished_at__isnull=True).exists():
        return False
    with pruning_lock() as is_ours:
        if not is_ours:
            return False
        remove_purged(turn, now)
        return turn.is_over or not continue_round(turn, now)
