"""What excuses a worker from what it held, and the house from being late. Intervals, never a process for ever. Pure."""

from tests.acceptance.chaos.history import History, Run, Stall

#: Clocks are read a moment after what they tell of.
SLACK_SECONDS = 0.5
#: A process that goes on renews its leases at once; on a busy machine that takes a while.
RESUMED_SECONDS = 5.0
#: In calm, everything that is due is called, decided or recorded within this.
CALM_SECONDS = 30.0
#: In calm, between an occurrence and what is decided about it, and between a cancel and the end of its call.
PROMPT_SECONDS = 3.0
#: Between an end and the moment from which no other process takes it for still going; on a busy machine seldom more.
RECORDED_SECONDS = 0.5
#: From the end of a fault until all is on time again: what the storm allows, a dead worker's lease included.
RECOVERY_SECONDS = 60.0
#: Later than this nothing may be, whatever struck.
MOST_LATE_SECONDS = 300.0


def silent_seconds(lease_seconds: float) -> float:
    """How long a worker may stand still with no lease expiring: it last renewed them up to a heartbeat before."""
    return lease_seconds * 2 / 3 - SLACK_SECONDS


def lost_with_its_worker(history: History, run: Run) -> bool:
    """Whether the worker that held this attempt was dead or stalled past its lease while it held it."""
    return any(stall.pid == run.pid and _explains(stall, run, history.lease_seconds) for stall in history.stalls)


def _explains(stall: Stall, run: Run, lease_seconds: float) -> bool:
    if stall.until is None:
        # It held the attempt as it died, and can have claimed nothing since.
        return run.started_at <= stall.since + SLACK_SECONDS and stall.since - SLACK_SECONDS <= run.finished_at
    silent = silent_seconds(lease_seconds)
    stalled_enough = stall.until - stall.since >= silent
    held = run.started_at <= stall.until
    # No lease expires before it stood still for long enough, and none but those is reaped once it goes on.
    return stalled_enough and held and stall.since + silent <= run.finished_at <= stall.until + RESUMED_SECONDS


def in_time_until(history: History, due: float, *, calm: float = CALM_SECONDS) -> float:
    """Until when something that is due may happen: soon, or once all that held the house up is over and made good."""
    latest = due + calm
    for one in sorted(history.disturbances, key=lambda one: one.since):
        if one.since <= latest and one.until + RECOVERY_SECONDS >= due:
            latest = max(latest, one.until + RECOVERY_SECONDS)
    return min(latest, due + MOST_LATE_SECONDS)


def recorded_by(history: History, ended: float) -> float:
    """When the end of a call was known to all: at once, or soon after what stood in the way just then was over."""
    latest = ended
    for one in sorted(history.disturbances, key=lambda one: one.since):
        if one.since <= latest + RECORDED_SECONDS and one.until >= ended:
            latest = max(latest, one.until + PROMPT_SECONDS)
    return latest


def disturbed(history: History, since: float, until: float) -> bool:
    """Whether anything held the house up in a span, or shortly before."""
    return any(one.since <= until and one.until + RECOVERY_SECONDS >= since for one in history.disturbances)
