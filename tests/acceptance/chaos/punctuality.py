"""When the house is punctual again after a fault, measured by calls of jobs that are due every second. Pure."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

#: A call that is later than this is late; normal lateness is far below it.
LATE_SECONDS = 5.0
#: Punctual means: all calls of this many consecutive seconds arrived in time.
STEADY_SECONDS = 3
#: Maximum time from the end of a fault until the house is punctual.
ALLOWED_SECONDS = 60.0

#: By job: the first arrival of each due second, in seconds since the epoch.
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
    """Return the first second from `after` that starts a punctual stretch; None: none up to `until`."""
    steady = 0
    for second in range(math.ceil(after), math.floor(until) + 1):
        steady = steady + 1 if _all_in_time(arrivals, jobs, second) else 0
        if steady == STEADY_SECONDS:
            return second - STEADY_SECONDS + 1
    return None


def recovery(arrivals: Arrivals, jobs: Collection[str], *, struck: float, healed: float, until: float) -> Recovery:
    """Return how the house recovered from a fault from `struck` to `healed`, observed up to `until`."""
    seconds = range(math.ceil(struck), math.floor(until))
    # Lateness shortly before `until` may be caused by the next fault.
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
