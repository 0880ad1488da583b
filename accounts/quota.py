"""What a plan comes to in a month: how many runs it lets start, and what those beyond the included ones cost. Pure.

All arithmetic is in whole cents and whole runs. A month is one of UTC, known by its first day.
"""

import datetime
import enum
import re
from dataclasses import dataclass

from core.instants import EARLIEST, LATEST

_PRICED = 1000
_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class OveragePolicy(enum.StrEnum):
    """What becomes of runs beyond those that the plan includes: they start, don't, or do as far as a budget lasts."""

    ALLOW = "allow"
    HARD_STOP = "hard_stop"
    CAPPED = "capped"


@dataclass(frozen=True, slots=True)
class Terms:
    """A plan's part in the bill, and what the workspace wants done beyond it.

    `runs_included` None is no limit, as without a plan. `budget_cents` is there where `policy` is `capped`.
    """

    runs_included: int | None
    overage_cents_per_thousand: int
    policy: str = OveragePolicy.ALLOW
    budget_cents: int | None = None

    @property
    def runs_allowed(self) -> int | None:
        """How many runs may start in a month; None: any number.

        What a budget allows never costs more than the budget, and one run more would.
        """
        if self.runs_included is None or self.policy == OveragePolicy.ALLOW:
            return None
        if self.policy == OveragePolicy.HARD_STOP:
            return self.runs_included
        if self.overage_cents_per_thousand == 0:
            return None
        return self.runs_included + (self.budget_cents or 0) * _PRICED // self.overage_cents_per_thousand

    def stops(self, runs_used: int) -> bool:
        """Whether another run may not start."""
        return self.excess(runs_used + 1, 1) > 0

    def excess(self, runs_used: int, started: int) -> int:
        """Of so many runs that were just counted in `runs_used`, how many must not start."""
        allowed = self.runs_allowed
        return 0 if allowed is None else min(started, max(0, runs_used - allowed))

    def overage_runs(self, runs_used: int) -> int:
        return 0 if self.runs_included is None else max(0, runs_used - self.runs_included)

    def overage_cents(self, runs_used: int) -> int:
        """What the runs beyond the included ones cost; a part of a cent counts as one."""
        return -(-self.overage_runs(runs_used) * self.overage_cents_per_thousand // _PRICED)

    @property
    def why_stopped(self) -> str:
        """A sentence for people, once no more runs may start."""
        included = f"The {self.runs_included:,} runs that the plan includes this month"
        if self.policy == OveragePolicy.HARD_STOP:
            return f"{included} are used up."
        return f"{included}, and the budget of {self.budget_cents:,} cents for more, are used up."


def month_of(instant: datetime.datetime) -> datetime.date:
    """The month that an instant lies in."""
    return instant.astimezone(datetime.UTC).date().replace(day=1)


def month_after(month: datetime.date) -> datetime.date:
    return (month + datetime.timedelta(days=31)).replace(day=1)


def month_before(month: datetime.date) -> datetime.date:
    return (month - datetime.timedelta(days=1)).replace(day=1)


def month_named(period: str) -> datetime.date | None:
    """The month of a period such as "2026-03"; None for a text that names none."""
    found = _PERIOD.fullmatch(period)
    if found is None or not EARLIEST.year <= int(found[1]) <= LATEST.year:
        return None
    return datetime.date(int(found[1]), int(found[2]), 1)
