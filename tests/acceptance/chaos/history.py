"""What the oracle judges: what was planned, what the database holds, and what the target saw. Values only."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Period:
    """A plan in force later than `since` and no later than `until` (None: still). `every_seconds` None: no schedule."""

    state: str
    since: datetime.datetime
    until: datetime.datetime | None
    every_seconds: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job with its plans, in order. Its occurrences are counted from `made_at`, cut to the second."""

    id: str
    slug: str
    workspace: str
    made_at: datetime.datetime
    periods: Sequence[Period]

    def planned(self) -> Iterator[tuple[datetime.datetime, Period]]:
        """Each occurrence of the plans that are over, with its plan: of one that goes on the rest is still to come."""
        anchor = self.made_at.replace(microsecond=0)
        for period in self.periods:
            if period.until is None or period.every_seconds is None or period.state not in {"active", "paused"}:
                continue
            step = datetime.timedelta(seconds=period.every_seconds)
            at = anchor + max(0, (period.since - anchor) // step + 1) * step
            while at <= period.until:
                yield at, period
                at += step

    def state_at(self, instant: datetime.datetime) -> str:
        """What was in force then; nothing before the first plan."""
        return next((one.state for one in reversed(self.periods) if one.since < instant), "")


@dataclass(frozen=True, slots=True)
class Execution:
    """A row of the database. `last` is the last occurrence that it records, `scheduled_for` the first."""

    id: str
    job: str
    workspace: str
    trigger: str
    status: str
    scheduled_for: datetime.datetime | None
    last: datetime.datetime | None
    occurrences: int
    skip_reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the database. `worker` is what wrote it, or who held it when it was lost: its owner, with its pid."""

    execution: str
    number: int
    workspace: str
    status: str
    failure_reason: str
    worker: str
    request_body: str
    response_status: int | None
    response_body: str | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the target logged: a request, and what it answered; `answered` once the answer was written whole."""

    at: float
    workspace: str
    job: str
    execution: str
    attempt: int
    scheduled_for: float | None
    body: str
    status: int
    token: str
    answered: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A change of plan that was asked for. Not `confirmed`: nobody knows whether, or when, it took effect."""

    job: str
    wanted: str
    asked_at: datetime.datetime
    answered_at: datetime.datetime
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Overdue:
    """An execution seen RUNNING this long after its lease expired, with nothing in the way of reaping it."""

    execution: str
    seconds: float


@dataclass(frozen=True, slots=True)
class History:
    """All of one house. `lost_workers` are the pids of workers that were killed, or stopped for longer than a lease."""

    jobs: Sequence[Job]
    executions: Sequence[Execution]
    runs: Sequence[Run]
    exchanges: Sequence[Exchange]
    lost_workers: frozenset[int] = frozenset()
    #: Ids of executions that the API confirmed to have made.
    asked: frozenset[str] = frozenset()
    changes: Sequence[Change] = ()
    overdue: Sequence[Overdue] = ()
    #: Where a secret's value, or another workspace's row, was seen.
    secrets_seen: Sequence[str] = ()
    strangers_seen: Sequence[str] = ()
