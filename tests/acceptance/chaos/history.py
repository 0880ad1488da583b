"""What the oracle judges: what was planned, what the database holds, and what the target saw. Values only.

Instants of plans are datetimes; everything else is in seconds since the epoch, by the database's clock or this
machine's, which are the same one.
"""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

#: Policies under which scheduled calls of a job may not overlap.
ONE_AT_A_TIME = frozenset({"skip", "queue", "cancel_running"})


@dataclass(frozen=True, slots=True)
class Period:
    """A schedule in force in (since, until] (None: still). `every_seconds` None: no schedule."""

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
    """A job with its periods, in order. Its occurrences count from `made_at`, truncated to the second."""

    id: str
    slug: str
    workspace: str
    made_at: datetime.datetime
    periods: Sequence[Period]

    def planned(self) -> Iterator[tuple[datetime.datetime, Period]]:
        """Yield each occurrence of the ended periods, with its period."""
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
        """Return the period at that time; None before the first one."""
        return next((one for one in reversed(self.periods) if one.since < instant), None)

    def state_at(self, instant: datetime.datetime) -> str:
        """Return the period's state at that time; empty before the first one."""
        period = self.period_at(instant)
        return period.state if period else ""

    def following(self, period: Period) -> Period | None:
        """Return the period that followed another one."""
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
class Flow:
    """A workflow's execution. `steps` has the status of each step that was reached, twice if there are two rows."""

    id: str
    status: str
    failure_reason: str
    steps: Sequence[tuple[str, str]]


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
        """Return the pid of the worker that held a lost run."""
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
        """Return when the call ended for the target; infinite if it never did."""
        return min(self.answered_at or math.inf, self.left_at or math.inf)


@dataclass(frozen=True, slots=True)
class Change:
    """A requested change of a job. Not `confirmed`: it is unknown whether or when it took effect."""

    job: str
    wanted: str
    asked_at: datetime.datetime
    answered_at: datetime.datetime
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Overdue:
    """An execution that was RUNNING this long after its lease expired, without a disturbance of reaping."""

    execution: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """A process was killed at `since` (`until` None), or suspended from `since` to `until`."""

    pid: int
    since: float
    until: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A period with a reason for lateness: a fault and its repair, or a stalled machine."""

    since: float
    until: float
    what: str


@dataclass(frozen=True, slots=True)
class History:
    """Everything about one house. `lease_seconds` is its workers' lease."""

    jobs: Sequence[Job]
    executions: Sequence[Execution]
    runs: Sequence[Run]
    exchanges: Sequence[Exchange]
    lease_seconds: float = 10.0
    stalls: Sequence[Stall] = ()
    disturbances: Sequence[Disturbance] = ()
    #: Ids of executions whose creation the API confirmed.
    asked: frozenset[str] = frozenset()
    #: By job: the number of run requests without a response, whose effect is unknown.
    unsure: Mapping[str, int] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    overdue: Sequence[Overdue] = ()
    #: Places that showed a secret's value, or another workspace's row.
    secrets_seen: Sequence[str] = ()
    strangers_seen: Sequence[str] = ()
    #: The executions of workflows. Each of their steps that call is an execution of its own here, `ID/STEP`.
    flows: Sequence[Flow] = ()
    #: By workflow's execution: what the requests to its URL carried.
    sent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Transitions that the protocol's model does not have, described: `tracing.py`.
    steps_unknown: Sequence[str] = ()
