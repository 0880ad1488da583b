"""When the house is on time again after a fault, by what the target saw of jobs that are due every second. Pure."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

#: A call that is later than this is late; the clock's own promise is far below it.
LATE_SECONDS = 5.0
#: Back in time means: all that was planned in this many seconds in a row arrived in time.
STEADY_SECONDS = 3
#: From the end of a fault until the house is back in time, at most.
ALLOWED_SECONDS = 60.0

#: By job: when each of its seconds first arrived, in seconds since the epoch.
Arrivals = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class Recovery:
    """`seconds` from the end of a fault until all was in time again; None: it was not, as far as was looked.

    `worst_seconds` is the longest lateness since the fault began, of what arrived; `missing` never did.
    """

    seconds: int | None
    worst_seconds: float
    missing: int


def recovered_at(arrivals: Arrivals, jobs: Collection[str], *, after: float, until: float) -> int | None:
    """The first second from `after` on that begins a stretch in time; None: there is none up to `until` so far."""
    steady = 0
    for second in range(math.ceil(after), math.floor(until) + 1):
        steady = steady + 1 if _all_in_time(arrivals, jobs, second) else 0
        if steady == STEADY_SECONDS:
            return second - STEADY_SECONDS + 1
    return None


def recovery(arrivals: Arrivals, jobs: Collection[str], *, struck: float, healed: float, until: float) -> Recovery:
    """How the house came through a fault that began at `struck` and was over at `healed`; looked at up to `until`."""
    seconds = range(math.ceil(struck), math.floor(until))
    # What is late shortly before `until` may be the doing of the next fault.
    late = [one for one in seconds if one < until - LATE_SECONDS and not _all_in_time(arrivals, jobs, one)]
    since = max([math.ceil(healed), *(one + 1 for one in late)])
    back = recovered_at(arrivals, jobs, after=since, until=until)
    arrived = [(arrivals.get(job, {}).get(second), second) for job in jobs for second in seconds]
    lateness = [at - second for at, second in arrived if at is not None]
    return Recovery(
        seconds=None if back is None else back - math.ceil(healed),
        worst_seconds=max(lateness, default=0.0),
        missing=len(arrived) - len(lateness),
    )


def _all_in_time(arrivals: Arrivals, jobs: Collection[str], second: int) -> bool:
    return all((at := arrivals.get(job, {}).get(second)) is not None and at - second < LATE_SECONDS for job in jobs)
