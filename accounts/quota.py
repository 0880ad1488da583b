"""A plan's terms in a month: how many runs may start, and what those beyond the included ones cost. Pure.

All arithmetic is in whole cents and whole runs. A month is one of UTC, given as its first day.
"""

import datetime
import enum
import re
from dataclasses import dataclass

from core.instants import EARLIEST, LATEST

_RUNS_PER_PRICE = 1000
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class OveragePolicy(enum.StrEnum):
    """Whether runs beyond the plan's included ones start: all, none, or as many as a budget pays for."""

    ALLOW = "allow"
    HARD_STOP = "hard_stop"
    CAPPED = "capped"


@dataclass(frozen=True, slots=True)
class Terms:
    """A plan's prices, and the workspace's policy for runs beyond the included ones.

    `runs_included` None is no limit, as without a plan. `budget_cents` is set if `policy` is `capped`.
    """

    runs_included: int | None
    overage_cents_per_thousand: int
    policy: str = OveragePolicy.ALLOW
    budget_cents: int | None = None

    @property
    def runs_allowed(self) -> int | None:
        """How many runs may start in a month; None: no limit. The most that the budget pays for, if there is one."""
        if self.runs_included is None or self.policy == OveragePolicy.ALLOW:
            return None
        if self.policy == OveragePolicy.HARD_STOP:
            return self.runs_included
        if self.overage_cents_per_thousand == 0:
            return None
        return self.runs_included + (self.budget_cents or 0) * _RUNS_PER_PRICE // self.overage_cents_per_thousand

    def stops(self, runs_used: int) -> bool:
        """Return whether no further run may start."""
        return self.excess(runs_used + 1, 1) > 0

    def excess(self, runs_used: int, started: int) -> int:
        """Return how many of `started` runs, already counted in `runs_used`, must not start."""
        allowed = self.runs_allowed
        return 0 if allowed is None else min(started, max(0, runs_used - allowed))

    def overage_runs(self, runs_used: int) -> int:
        return 0 if self.runs_included is None else max(0, runs_used - self.runs_included)

    def overage_cents(self, runs_used: int) -> int:
        """Return the price of the runs beyond the included ones, rounded up to a cent."""
        return -(-self.overage_runs(runs_used) * self.overage_cents_per_thousand // _RUNS_PER_PRICE)

    @property
    def why_stopped(self) -> str:
        """The reason, as a sentence, once no more runs may start."""
        included = f"The {self.runs_included:,} runs that the plan includes this month"
        if self.policy == OveragePolicy.HARD_STOP:
            return f"{included} are used up."
        return f"{included}, and the budget of {self.budget_cents:,} cents for more, are used up."


def month_of(instant: datetime.datetime) -> datetime.date:
    """Return the month of an instant."""
    return instant.astimezone(datetime.UTC).date().replace(day=1)


def month_after(month: datetime.date) -> datetime.date:
    return (month + datetime.timedelta(days=31)).replace(day=1)


def month_before(month: datetime.date) -> datetime.date:
    return (month - datetime.timedelta(days=1)).replace(day=1)


def parse_month(text: str) -> datetime.date | None:
    """Read a month such as "2026-03"; None for any other text."""
    match = _MONTH.fullmatch(text)
    if match is None or not EARLIEST.year <= int(match[1]) <= LATEST.year:
        return None
    return datetime.date(int(match[1]), int(match[2]), 1)
