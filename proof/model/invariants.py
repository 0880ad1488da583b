"""The invariants: of every state, of every step, and of all states together. Each has a name and a sentence."""

from collections.abc import Callable
from typing import NamedTuple

from proof.model.state import (
    BAD,
    CANCELED,
    DUE,
    LAPSED,
    MAY_HAVE_ARRIVED,
    NEVER_SENT,
    NO_LEASE,
    OK,
    PENDING,
    RUNNING,
    TERMINAL,
    TWICE,
    WORKER_LOST,
    WORKER_LOST_UNEXCUSED,
    Bounds,
    State,
)
from proof.model.transitions import Action

_LOST = frozenset({WORKER_LOST, WORKER_LOST_UNEXCUSED})


class Invariant(NamedTuple):
    """`of_state` or `of_step` checks it; neither does if all states together decide.

    `kinds` are the actions that can break it; empty: any.
    """

    name: str
    says: str
    of_state: Callable[[State, Bounds], bool] | None = None
    of_step: Callable[[State, Action, State], bool] | None = None
    kinds: frozenset[str] = frozenset()


def _one_request(state: State, _: Bounds) -> bool:
    return max(state.sends) <= 1


def _one_run(state: State, _: Bounds) -> bool:
    return all(run is None or run.says != TWICE for run in state.runs)


def _own_exchange(state: State, _: Bounds) -> bool:
    return all(run is None or run.exchange in (0, number) for number, run in enumerate(state.runs, start=1))


def _exchange_recorded(state: State, _: Bounds) -> bool:
    """An attempt is over once its row no longer runs it."""
    row = state.row
    return all(
        not sends or run is not None or (row.status == RUNNING and row.attempts == number)
        for number, (sends, run) in enumerate(zip(state.sends, state.runs, strict=True), start=1)
    )


def _written_once(before: State, action: Action, after: State) -> bool:
    return before.runs is after.runs or all(
        run is None
        or run == other
        or other is None
        or other.says == TWICE
        or (run.says, other.says, run.worker) == (MAY_HAVE_ARRIVED, NEVER_SENT, action.worker)
        for run, other in zip(before.runs, after.runs, strict=True)
    )


def _unsent_is_true(state: State, _: Bounds) -> bool:
    return all(
        run is None or run.says != NEVER_SENT or not sends for run, sends in zip(state.runs, state.sends, strict=True)
    )


def _canceled_was_asked(state: State, _: Bounds) -> bool:
    return state.cancel_requested or state.row.status != CANCELED


def _ends_once(state: State, _: Bounds) -> bool:
    return state.ended <= 1


def _terminal_is_counted(state: State, _: Bounds) -> bool:
    return state.counted == state.ended == (state.row.status in TERMINAL)


def _lease_while_running(state: State, _: Bounds) -> bool:
    row = state.row
    if row.status == RUNNING:
        return row.owner is not None and row.lease != NO_LEASE
    return row.owner is None and row.lease == NO_LEASE


def _attempts_bounded(state: State, bounds: Bounds) -> bool:
    runs = sum(run is not None for run in state.runs)
    return runs <= state.row.attempts <= bounds.max_attempts


def _repetition_excused(before: State, action: Action, _: State) -> bool:
    """Each earlier attempt failed, or was lost with its worker, or was never sent."""
    return all(
        not sends or (run is not None and run.says in (BAD, WORKER_LOST))
        for run, sends in zip(before.runs[: action.attempt - 1], before.sends, strict=False)
    )


def _success_kept(before: State, action: Action, after: State) -> bool:
    """A success of the running attempt at a living worker reaches the recorder and is not dropped."""
    row = before.row
    if action.worker is None or row.status != RUNNING or row.owner != action.worker or row.lease in LAPSED:
        return True
    worker, later = before.workers[action.worker], after.workers[action.worker]
    if action.kind == "answer":
        is_own = action.detail == OK and action.attempt == row.attempts
        return not is_own or any(result.exchange == row.attempts for result in later.results)
    if action.kind == "abort":
        return row.attempts in worker.aborts or not any(
            request.attempt == row.attempts for request in worker.requests - later.requests
        )
    dropped = worker.results - later.results
    return after.row != row or all(result.outcome != OK or result.claim != row.attempts for result in dropped)


def _not_before_its_time(before: State, _: Action, __: State) -> bool:
    return before.row.status != PENDING or before.row.wait == DUE


def _nothing_sent_after_loss(before: State, action: Action, _: State) -> bool:
    run = before.runs[action.attempt - 1]
    return run is None or run.says not in _LOST


def _renewed_by_its_holder(before: State, action: Action, _: State) -> bool:
    if action.detail or action.worker is None:
        return True
    row = before.row
    return row.owner == action.worker and row.attempts == before.workers[action.worker].held


def _what_is_lost_is_aborted(state: State, _: Bounds) -> bool:
    return all(worker.over <= worker.aborts for worker in state.workers)


def _running_once(before: State, _: Action, __: State) -> bool:
    return before.row.status == PENDING


ONE_REQUEST = Invariant("one request", "No two requests go out under one attempt number.", _one_request)
ONE_RUN = Invariant("one run", "An attempt has one run.", _one_run)
OWN_EXCHANGE = Invariant("own exchange", "A run has the exchange of its own attempt.", _own_exchange)
EXCHANGE_RECORDED = Invariant(
    "exchange recorded", "Every exchange whose attempt is over has a run.", _exchange_recorded
)
WRITTEN_ONCE = Invariant(
    "written once",
    "A run does not change, except that its own worker may add that a canceled call was never sent.",
    of_step=_written_once,
)
UNSENT_IS_TRUE = Invariant("unsent is true", "A run marked as never sent was never sent.", _unsent_is_true)
CANCELED_WAS_ASKED = Invariant("canceled was asked", "An execution is canceled only on request.", _canceled_was_asked)
ENDS_ONCE = Invariant("ends once", "An execution ends once.", _ends_once)
TERMINAL_IS_COUNTED = Invariant(
    "terminal is counted", "An execution is counted as ended once, when it ends.", _terminal_is_counted
)
LEASE_WHILE_RUNNING = Invariant(
    "lease while running", "A running execution has an owner and a lease; no other has.", _lease_while_running
)
ATTEMPTS_BOUNDED = Invariant(
    "attempts bounded", "Attempts are at least the runs and at most what the policy allows.", _attempts_bounded
)
RUNNING_ONCE = Invariant(
    "running once", "Running or ended executions are not claimed.", of_step=_running_once, kinds=frozenset({"claim"})
)
REPETITION_EXCUSED = Invariant(
    "repetition excused",
    "A call is repeated only if it failed, or its worker was dead or paused past its lease.",
    of_step=_repetition_excused,
    kinds=frozenset({"claim"}),
)
SUCCESS_KEPT = Invariant(
    "success kept",
    "A success that a living worker could record is not discarded.",
    of_step=_success_kept,
    kinds=frozenset({"answer", "record", "abort"}),
)
NOT_BEFORE_ITS_TIME = Invariant(
    "not before its time",
    "No attempt starts before it is due.",
    of_step=_not_before_its_time,
    kinds=frozenset({"claim"}),
)
NOTHING_SENT_AFTER_LOSS = Invariant(
    "nothing sent after loss",
    "No request goes out for an attempt that was reaped.",
    of_step=_nothing_sent_after_loss,
    kinds=frozenset({"send"}),
)
RENEWED_BY_ITS_HOLDER = Invariant(
    "renewed by its holder",
    "A lease is renewed for the attempt that the worker holds.",
    of_step=_renewed_by_its_holder,
    kinds=frozenset({"renew"}),
)
LOST_IS_ABORTED = Invariant(
    "what is lost is aborted", "A worker aborts an attempt once it knows it lost it.", _what_is_lost_is_aborted
)
#: Decided by all states together: `proof.model.search`.
CAN_END = Invariant("can end", "From every state an end can be reached.")

INVARIANTS = (
    ONE_REQUEST,
    ONE_RUN,
    OWN_EXCHANGE,
    EXCHANGE_RECORDED,
    WRITTEN_ONCE,
    UNSENT_IS_TRUE,
    CANCELED_WAS_ASKED,
    ENDS_ONCE,
    TERMINAL_IS_COUNTED,
    LEASE_WHILE_RUNNING,
    ATTEMPTS_BOUNDED,
    RUNNING_ONCE,
    REPETITION_EXCUSED,
    SUCCESS_KEPT,
    NOT_BEFORE_ITS_TIME,
    NOTHING_SENT_AFTER_LOSS,
    RENEWED_BY_ITS_HOLDER,
    LOST_IS_ABORTED,
    CAN_END,
)
