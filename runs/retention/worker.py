"""What is to be removed of history: what was purged first, then as far as the nightly round of retention comes."""

import datetime

from jobs.models import Job
from runs.models import PruningRound
from runs.retention.nightly import go_on
from runs.retention.prune import Turn, alone
from runs.retention.purge import remove_purged


def work_off(turn: Turn, now: datetime.datetime) -> bool:
    """Remove what is to be removed, unless somebody else is at it. Returns whether the turn ended before the work."""
    if not Job.objects.purged().exists() and not PruningRound.objects.filter(finished_at__isnull=True).exists():
        return False
    with alone() as is_ours:
        if not is_ours:
            return False
        remove_purged(turn, now)
        return turn.is_over or not go_on(turn, now)
