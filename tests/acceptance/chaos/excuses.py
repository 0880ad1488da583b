"""Excuses for lost attempts and for lateness: always intervals, never a process as a whole. Pure."""

from tests.acceptance.chaos.history import History, Run, Stall

#: Clocks are read slightly after the event.
SLACK_SECONDS = 0.5
#: A resumed process renews its leases at once; on a busy machine that takes a while.
RESUMED_SECONDS = 5.0
#: Without faults, everything due is called, decided or recorded within this time.
CALM_SECONDS = 30.0
#: Without faults, the time from an occurrence to the decision on it, and from canceling to the end of the call.
PROMPT_SECONDS = 3.0
#: Time from an execution's end until all processes see it; on a busy machine seldom more.
RECORDED_SECONDS = 0.5
#: Time from the end of a fault until everything is punctual again, including a dead worker's lease.
RECOVERY_SECONDS = 60.0
#: The maximum lateness, whatever the fault.
MOST_LATE_SECONDS = 300.0


def silent_seconds(lease_seconds: float) -> float:
    """Return how long a worker may be suspended without an expiring lease: it renewed up to a heartbeat before."""
    return lease_seconds * 2 / 3 - SLACK_SECONDS


def lost_with_its_worker(history: History, run: Run) -> bool:
    """Return whether the worker of this attempt was dead or stalled past its lease while it held it."""
    return any(stall.pid == run.pid and _explains(stall, run, history.lease_seconds) for stall in history.stalls)


def _explains(stall: Stall, run: Run, lease_seconds: float) -> bool:
    if stall.until is None:
        # It held the attempt when it died, and can't have claimed anything since.
        return run.started_at <= stall.since + SLACK_SECONDS and stall.since - SLACK_SECONDS <= run.finished_at
    silent = silent_seconds(lease_seconds)
    stalled_enough = stall.until - stall.since >= silent
    held = run.started_at <= stall.until
    # Leases expire only after it was suspended long enough, and only those are reaped after it resumes.
    return stalled_enough and held and stall.since + silent <= run.finished_at <= stall.until + RESUMED_SECONDS


def in_time_until(history: History, due: float, *, calm: float = CALM_SECONDS) -> float:
    """Return the deadline for something due: soon, or after all disturbances have ended and been recovered from."""
    latest = due + calm
    for one in sorted(history.disturbances, key=lambda one: one.since):
        if one.since <= latest and one.until + RECOVERY_SECONDS >= due:
            latest = max(latest, one.until + RECOVERY_SECONDS)
    return min(latest, due + MOST_LATE_SECONDS)


def recorded_by(history: History, ended: float) -> float:
    """Return when all processes knew a call's end: at once, or soon after the disturbance at that time."""
    latest = ended
    for one in sorted(history.disturbances, key=lambda one: one.since):
        if one.since <= latest + RECORDED_SECONDS and one.until >= ended:
            latest = max(latest, one.until + PROMPT_SECONDS)
    return latest


def disturbed(history: History, since: float, until: float) -> bool:
    """Return whether there was a disturbance in a span or shortly before."""
    return any(one.since <= until and one.until + RECOVERY_SECONDS >= since for one in history.disturbances)
