"""The states of the model: one execution's row, its runs, and what each worker process holds in memory.

All values are immutable and hashable. Attempts are numbered from 1, as `runs_execution.attempts` is; the tuples `runs`
and `sends` have one place for each. Fields that say "ghost" exist in no process: only invariants read them.
"""

from typing import NamedTuple

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED, SKIPPED = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "canceled",
    "skipped",
)
TERMINAL = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})

#: When a pending execution may start: now, later (a retry's wait, a delay), or after the one it queues behind.
DUE, LATER, QUEUED = "due", "later", "queued"

#: A lease: none, running, or expired. Of an expired one the ghost says whether its worker had an excuse.
NO_LEASE, FRESH, EXPIRED, EXPIRED_UNEXCUSED = "none", "fresh", "expired", "expired, unexcused"
LAPSED = frozenset({EXPIRED, EXPIRED_UNEXCUSED})

#: A request in a worker's hands. In the engine: unsent, or on the wire. Sent away by it unsent: to be given back, or
#: the database was asked to take it back and its answer got lost.
WAITS, WIRE, RETURNING, IN_DOUBT = "waits", "wire", "returning", "in doubt"
AWAY_FROM_ENGINE = frozenset({RETURNING, IN_DOUBT})

#: How an exchange ended for its worker.
OK, BAD, ABORTED_SENT, ABORTED_UNSENT = "succeeded", "failed", "aborted in flight", "aborted unsent"

#: What a run's row says, besides OK and BAD.
WORKER_LOST, WORKER_LOST_UNEXCUSED = "worker lost", "worker lost, unexcused"
MAY_HAVE_ARRIVED, NEVER_SENT = "canceled, may have arrived", "canceled before it was sent"
TWICE = "two rows"


class Row(NamedTuple):
    """What `runs_execution` holds of one execution. `owner` is the index of a worker."""

    status: str
    attempts: int
    owner: int | None
    lease: str
    wait: str | None


class Run(NamedTuple):
    """What `runs_run` holds of one attempt. `exchange` (ghost) is the attempt whose exchange it tells; 0: none."""

    says: str
    worker: int
    exchange: int


class Request(NamedTuple):
    """A request in the engine, or sent away by it unsent."""

    attempt: int
    phase: str


class Result(NamedTuple):
    """What waits for the recorder: the claim that it is recorded for, and the attempt whose exchange it tells."""

    claim: int
    exchange: int
    outcome: str


class Worker(NamedTuple):
    """One worker process, which has one lease owner for life.

    `taken` is the attempt whose claim is committed and not in the worker's table yet, `held` the one in its table; 0:
    none. `late` and `taken_late`: by the worker's own clock the lease of the one or the other may have expired.
    `aborts` is what its engine was asked to abort and has not yet. `over` (ghost) is what its engine has though the
    worker knows that it is not its own.
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
        """Whether it delivers or records this attempt. A claim whose answer it waits for is not yet worked on."""
        return (
            self.held == attempt
            or any(request.attempt == attempt for request in self.requests)
            or any(result.claim == attempt for result in self.results)
        )


IDLE = Worker()


class State(NamedTuple):
    """One moment. `troubles` are how many faults may still happen; `just_back`: the database was away until just now.

    Ghosts: `sends` counts the requests that the target saw, by attempt; `asked`: somebody canceled; `ended` and
    `counted`: how often the execution became terminal, and was counted as such.
    """

    row: Row
    workers: tuple[Worker, ...]
    runs: tuple[Run | None, ...]
    sends: tuple[int, ...]
    just_back: bool
    asked: bool
    ended: int
    counted: int
    troubles: int


class Bounds(NamedTuple):
    """How much of everything there is. `troubles` bounds kills, stops, lost replies, outages and cancels together."""

    workers: int = 2
    max_attempts: int = 2
    troubles: int = 3


def births(bounds: Bounds) -> list[State]:
    """The rows that executions are born as: due, for later, queued, skipped, and canceled by the next occurrence."""
    rows = [Row(PENDING, 0, None, NO_LEASE, wait) for wait in (DUE, LATER, QUEUED)]
    rows += [Row(status, 0, None, NO_LEASE, None) for status in (SKIPPED, CANCELED)]
    return [_born(row, bounds) for row in rows]


def _born(row: Row, bounds: Bounds) -> State:
    ended = int(row.status in TERMINAL)
    places = bounds.max_attempts + 1  # one more than may be used, to see it if it is
    return State(
        row=row,
        workers=(IDLE,) * bounds.workers,
        runs=(None,) * places,
        sends=(0,) * places,
        just_back=False,
        asked=row.status == CANCELED,
        ended=ended,
        counted=ended,
        troubles=bounds.troubles,
    )
