"""What the oracle judges: what was planned, what the database holds, and what the target saw. Values only.

Instants of plans are datetimes; everything else is in seconds since the epoch, by the database's clock or this
machine's, which are the same one.
"""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

#: Policies under which no two scheduled calls of a job may be under way at once.
ONE_AT_A_TIME = frozenset({"skip", "queue", "cancel_running"})


@dataclass(frozen=True, slots=True)
class Period:
    """A plan in force later than `since` and no later than `until` (None: still). `every_seconds` None: no schedule."""

    state: str
    since: datetime.datetime
    until: datetime.datetime | None
    every_seconds: int | None
    overlap: str = "allow"
    concurrency: int | None = None
    misfire: str = "fire_once"
    misfire_grace_seconds: int = 3600


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

    def period_at(self, instant: datetime.datetime) -> Period | None:
        """The plan that was in force then; None before the first one."""
        return next((one for one in reversed(self.periods) if one.since < instant), None)

    def state_at(self, instant: datetime.datetime) -> str:
        """What was in force then; nothing before the first plan."""
        period = self.period_at(instant)
        return period.state if period else ""

    def following(self, period: Period) -> Period | None:
        """The plan that came after another one of this job."""
        later = self.periods[self.periods.index(period) + 1 :]
        return later[0] if later else None


@dataclass(frozen=True, slots=True)
class Execution:
    """A row of the database. `last` is the last occurrence that it records, `scheduled_for` the first.

    `finished_at` is when its last call ended or it was decided, which may be before the row said so. None: never.
    """

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
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the database. `worker` is what wrote it, or who held it when it was lost: its owner, with its pid.

    A run that was lost began, for all that its row can know, no later than it was claimed, and ended as it was reaped.
    """

    execution: str
    number: int
    workspace: str
    status: str
    failure_reason: str
    worker: str
    request_body: str
    response_status: int | None
    response_body: str | None
    started_at: float
    finished_at: float

    @property
    def pid(self) -> int | None:
        """Of the worker that held a lost run."""
        owner = self.worker.split("/")
        return int(owner[1]) if len(owner) == 3 and owner[1].isdigit() else None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the target logged: a request, and what it answered at `answered_at`, once that was written whole.

    `left_at` is when the caller closed the connection without waiting for the answer. Both None: nobody knows how it
    ended, as the target was still at it.
    """

    at: float
    workspace: str
    job: str
    execution: str
    attempt: int
    scheduled_for: float | None
    body: str
    status: int
    token: str
    answered_at: float | None
    left_at: float | None = None

    @property
    def answered(self) -> bool:
        return self.answered_at is not None

    @property
    def ended_at(self) -> float:
        """When the call was over for the target; infinite where it never was."""
        return min(self.answered_at or math.inf, self.left_at or math.inf)


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
class Stall:
    """A process did nothing: it was killed at `since` (`until` None), or stood still from then until `until`."""

    pid: int
    since: float
    until: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Disturbance:
    """While this lasted, the house had a reason to be late: a fault and its repair, or a machine that stood still."""

    since: float
    until: float
    what: str


@dataclass(frozen=True, slots=True)
class History:
    """All of one house. `lease_seconds` is its workers' lease."""

    jobs: Sequence[Job]
    executions: Sequence[Execution]
    runs: Sequence[Run]
    exchanges: Sequence[Exchange]
    lease_seconds: float = 10.0
    stalls: Sequence[Stall] = ()
    disturbances: Sequence[Disturbance] = ()
    #: Ids of executions that the API confirmed to have made.
    asked: frozenset[str] = frozenset()
    #: By job: how often somebody asked for a run and got no answer, so that nobody knows if there is one.
    unsure: Mapping[str, int] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    overdue: Sequence[Overdue] = ()
    #: Where a secret's value, or another workspace's row, was seen.
    secrets_seen: Sequence[str] = ()
    strangers_seen: Sequence[str] = ()
    #: Steps that the model of the protocol does not have, in words: `tracing.py`.
    steps_unknown: Sequence[str] = ()
