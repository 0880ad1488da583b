"""The invariants: of every state, of every step, and of all states together. Each has a name and a sentence."""

from collections.abc import Callable
from typing import NamedTuple

from proof.model.state import (
    AWAITING,
    BAD,
    CANCELED,
    DUE,
    EARLY,
    LAPSED,
    MAY_HAVE_ARRIVED,
    NEVER_SENT,
    NO_LEASE,
    OK,
    PENDING,
    RESOLVED,
    RUNNING,
    TERMINAL,
    TIMED_OUT,
    TWICE,
    UNREACHED,
    WAITS_STILL,
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
    return runs <= state.row.attempts <= bounds.attempts(state.flow)


def _repetition_excused(before: State, action: Action, after: State) -> bool:
    """Each earlier attempt, of this step, failed, or was lost with its worker, or was never sent."""
    if after.row.status != RUNNING:
        return True
    since = after.flow.since if after.flow else 0
    return all(
        not sends or (run is not None and run.says in (BAD, WORKER_LOST))
        for run, sends in zip(before.runs[since : action.attempt - 1], before.sends[since:], strict=False)
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


def _step_ends_once(state: State, _: Bounds) -> bool:
    return state.flow is None or state.flow.resolved <= 1


def _request_kept(state: State, _: Bounds) -> bool:
    return state.flow is None or not state.flow.asked or state.flow.waiting != TIMED_OUT


def _over_in_time(before: State, action: Action, after: State) -> bool:
    """A wait is over by its time only after it, and by a request or a person only before."""
    was, now = before.flow, after.flow
    if was is None or now is None or was.waiting == now.waiting:
        return True
    if now.waiting == TIMED_OUT:
        return was.waiting not in (UNREACHED, EARLY, AWAITING)
    return now.waiting != RESOLVED or action.kind == "claim" or was.waiting == AWAITING


def _no_wait_outlives(state: State, _: Bounds) -> bool:
    flow = state.flow
    return flow is None or flow.waiting not in WAITS_STILL or not (flow.outcome or state.row.status in TERMINAL)


def _nothing_after_the_end(before: State, _: Action, after: State) -> bool:
    return before.row.status not in TERMINAL or before.flow == after.flow


def _cancel_ends(before: State, _: Action, after: State) -> bool:
    """A cancel ends what has not begun, and what runs `finally`; of anything else it begins `finally`."""
    flow = before.flow
    ends = flow is None or not flow.has_finally or not flow.begun(before.row.attempts) or bool(flow.outcome)
    return (after.row.status in TERMINAL) == ends


def _aborted_by_its_cancel(before: State, action: Action, _: State) -> bool:
    run = before.runs[action.attempt - 1]
    return run is not None and run.says in (MAY_HAVE_ARRIVED, NEVER_SENT)


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
STEP_ENDS_ONCE = Invariant("step ends once", "A workflow's step ends once.", _step_ends_once)
REQUEST_KEPT = Invariant(
    "request kept", "A step whose request or decision came in time does not time out.", _request_kept
)
OVER_IN_TIME = Invariant(
    "over in time",
    "A wait times out after its time only, and is ended by a request or a person before it only.",
    of_step=_over_in_time,
)
NO_WAIT_OUTLIVES = Invariant(
    "no wait outlives", "Nothing waits in an execution that has ended or runs its finally.", _no_wait_outlives
)
NOTHING_AFTER_THE_END = Invariant(
    "nothing after the end", "The steps of an ended execution do not change.", of_step=_nothing_after_the_end
)
CANCEL_ENDS = Invariant(
    "a cancel ends",
    "A cancel ends what has not begun or runs its finally; else it begins that.",
    of_step=_cancel_ends,
    kinds=frozenset({"cancel"}),
)
ABORTED_BY_ITS_CANCEL = Invariant(
    "aborted by its cancel",
    "The message of a cancel aborts the attempt that it ended only.",
    of_step=_aborted_by_its_cancel,
    kinds=frozenset({"cancel received"}),
)
CAN_END = Invariant("can end", "From every state an end can be reached.")

INVARIANTS = (
    STEP_ENDS_ONCE,
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
    REQUEST_KEPT,
    OVER_IN_TIME,
    NO_WAIT_OUTLIVES,
    NOTHING_AFTER_THE_END,
    CANCEL_ENDS,
    ABORTED_BY_ITS_CANCEL,
    CAN_END,
)
