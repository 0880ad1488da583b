"""The states of the model: one execution's row, its runs and steps, and what each worker process holds in memory.

All values are immutable and hashable. Attempts are numbered from 1, like `runs_execution.attempts`; the tuples `runs`
and `sends` have one item for each. Fields marked "ghost" exist in no process: only invariants read them.
"""

from typing import NamedTuple

PENDING, RUNNING, WAITING, SUCCEEDED, FAILED, CANCELED, SKIPPED = (
    "pending",
    "running",
    "waiting",
    "succeeded",
    "failed",
    "canceled",
    "skipped",
)
TERMINAL = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})

#: When a pending execution may start: now, later (a retry's wait, a delay), or after the execution ahead of it.
DUE, LATER, QUEUED = "due", "later", "queued"

#: A lease: none, valid, or expired. A ghost of an expired one says whether its worker had an excuse.
NO_LEASE, FRESH, EXPIRED, EXPIRED_UNEXCUSED = "none", "fresh", "expired", "expired, unexcused"
LAPSED = frozenset({EXPIRED, EXPIRED_UNEXCUSED})

#: A request of a worker. In the engine: unsent, or on the wire. Out of it, unsent: to be given back, or given back
#: with the database's answer lost.
WAITS, WIRE, RETURNING, IN_DOUBT = "waits", "wire", "returning", "in doubt"
AWAY_FROM_ENGINE = frozenset({RETURNING, IN_DOUBT})

#: How an exchange ended.
OK, BAD, ABORTED_SENT, ABORTED_UNSENT = "succeeded", "failed", "aborted in flight", "aborted unsent"

#: What a run's row says, besides OK and BAD.
WORKER_LOST, WORKER_LOST_UNEXCUSED = "worker lost", "worker lost, unexcused"
MAY_HAVE_ARRIVED, NEVER_SENT = "canceled, may have arrived", "canceled before it was sent"
TWICE = "two rows"


#: A workflow's step that waits: before it is reached, also with a request that came early; waiting, and with its time
#: over; ended by a request or a person, by its time, or by a cancel.
UNREACHED, EARLY, AWAITING, OVERDUE, RESOLVED, TIMED_OUT, STOPPED = (
    "unreached",
    "early",
    "awaiting",
    "overdue",
    "resolved",
    "timed out",
    "stopped",
)
WAITS_STILL = frozenset({AWAITING, OVERDUE})


class Row(NamedTuple):
    """The execution's row. `owner` is the index of a worker."""

    status: str
    attempts: int
    owner: int | None
    lease: str
    wait: str | None


class Flow(NamedTuple):
    """The steps of a workflow: one that waits, one that calls, and a call of `finally`; or without `finally` one that
    calls, and one that waits unless that is resolved from the start.

    `waiting` is the step that waits; `called` how the one that calls ended, empty before; `outcome` is decided once
    `finally` begins, and `cleaned` once that has ended. `since` are the attempts before the present step. Ghosts:
    `asked`: a request or a decision came while it counted; `resolved` is how often the step that waits ended.
    """

    has_finally: bool = True
    waiting: str = UNREACHED
    called: str = ""
    outcome: str = ""
    cleaned: bool = False
    since: int = 0
    asked: bool = False
    resolved: int = 0

    def begun(self, attempts: int) -> bool:
        """Whether it has come to a step; a first call that was given back has not."""
        return attempts > 0 or (self.has_finally and self.waiting not in (UNREACHED, EARLY))


class Run(NamedTuple):
    """A row of `runs_run`. `exchange` (ghost) is the attempt whose exchange it describes; 0: none."""

    says: str
    worker: int
    exchange: int


class Request(NamedTuple):
    """A request in the engine, or returned by it unsent."""

    attempt: int
    phase: str


class Result(NamedTuple):
    """A result to record: the claim that it is recorded for, and the attempt whose exchange it describes."""

    claim: int
    exchange: int
    outcome: str


class Worker(NamedTuple):
    """A worker process, with one lease owner for its lifetime.

    `taken` is the attempt whose claim is committed and not yet in the worker's table, `held` the one in its table; 0:
    none. `late` and `taken_late`: by the worker's own clock, the lease of `held` or `taken` may have expired. `aborts`
    are the attempts that its engine is still to abort. `over` (ghost) are those that its engine has although the worker
    knows that they are not its own.
    """

    dead: bool = False
    taken: int = 0
    held: int = 0
    late: bool = False
    taken_late: bool = False
    requests: frozenset[Request] = frozenset()
    aborts: frozenset[int] = frozenset()
    results: frozenset[Result] = frozenset()
    over: frozenset[int] = frozenset()

    def works_on(self, attempt: int) -> bool:
        """Whether it delivers or records this attempt; not yet while it waits for the claim's answer."""
        return (
            self.held == attempt
            or any(request.attempt == attempt for request in self.requests)
            or any(result.claim == attempt for result in self.results)
        )


IDLE = Worker()


class State(NamedTuple):
    """A state of the model. `faults` is how many may still happen; `just_back`: the database was away until now.

    Ghosts: `sends` counts the requests that the target saw, by attempt; `cancel_requested`: a user canceled; `ended`
    and `counted`: how often the execution became terminal, and was counted as such.
    """

    row: Row
    flow: Flow | None
    workers: tuple[Worker, ...]
    runs: tuple[Run | None, ...]
    sends: tuple[int, ...]
    just_back: bool
    cancel_requested: bool
    ended: int
    counted: int
    faults: int


class Bounds(NamedTuple):
    """The size of a search. `faults` bounds kills, pauses, lost replies, outages and cancels together."""

    workers: int = 2
    max_attempts: int = 2
    faults: int = 3

    def attempts(self, flow: Flow | None) -> int:
        """The most attempts of an execution. Of a workflow's, the last one is that of `finally`."""
        return self.max_attempts if flow is None else max(2, self.max_attempts)


def initial_states(bounds: Bounds) -> list[State]:
    """The states in which executions are created: due, for later, queued, skipped, canceled by the next one.

    Workflows are created due.
    """
    rows = [Row(PENDING, 0, None, NO_LEASE, wait) for wait in (DUE, LATER, QUEUED)]
    rows += [Row(status, 0, None, NO_LEASE, None) for status in (SKIPPED, CANCELED)]
    plain = [_initial_state(row, None, bounds) for row in rows]
    workflows = (Flow(), Flow(has_finally=False), Flow(has_finally=False, waiting=RESOLVED))
    return plain + [_initial_state(rows[0], flow, bounds) for flow in workflows]


def _initial_state(row: Row, flow: Flow | None, bounds: Bounds) -> State:
    ended = int(row.status in TERMINAL)
    numbers = bounds.attempts(flow) + 1  # one more than allowed, to detect its use
    return State(
        row=row,
        flow=flow,
        workers=(IDLE,) * bounds.workers,
        runs=(None,) * numbers,
        sends=(0,) * numbers,
        just_back=False,
        cancel_requested=row.status == CANCELED,
        ended=ended,
        counted=ended,
        faults=bounds.faults,
    )
