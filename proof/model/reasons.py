"""Why each guard is needed: the invariant that breaks without it. Tests search for each violation.

A guard of the `CORE` is needed even if all others are on. Second lines only repeat core guards: the model holds without
all of them together. What each adds shows when the guards that it repeats (`behind`) are off.
"""

from dataclasses import dataclass

from proof.model.guards import Guards, without
from proof.model.invariants import (
    ABORTED_BY_ITS_CANCEL,
    ATTEMPTS_BOUNDED,
    CANCEL_ENDS,
    CANCELED_WAS_ASKED,
    ENDS_ONCE,
    EXCHANGE_RECORDED,
    INVARIANTS,
    LEASE_WHILE_RUNNING,
    LOST_IS_ABORTED,
    NO_WAIT_OUTLIVES,
    NOT_BEFORE_ITS_TIME,
    NOTHING_AFTER_THE_END,
    NOTHING_SENT_AFTER_LOSS,
    ONE_REQUEST,
    ONE_RUN,
    OVER_IN_TIME,
    OWN_EXCHANGE,
    RENEWED_BY_ITS_HOLDER,
    REPETITION_EXCUSED,
    REQUEST_KEPT,
    RUNNING_ONCE,
    STEP_ENDS_ONCE,
    SUCCESS_KEPT,
    TERMINAL_IS_COUNTED,
    UNSENT_IS_TRUE,
    WRITTEN_ONCE,
    Invariant,
)
from proof.model.search import SearchResult, search
from proof.model.state import Bounds


@dataclass(frozen=True, slots=True)
class Reason:
    """`faults`: how many faults it takes to break the invariant."""

    guard: str
    invariant: Invariant
    faults: int = 1
    behind: tuple[str, ...] = ()


SECOND_LINES = (
    Reason("run_unique", ONE_RUN, behind=("record_attempt",)),
    Reason("record_status", ONE_RUN, behind=("record_owner", "run_unique")),
    Reason("extend_status", LEASE_WHILE_RUNNING, behind=("extend_owner",)),
    Reason("give_back_status", TERMINAL_IS_COUNTED, behind=("give_back_owner",)),
    Reason("give_back_attempt", ONE_REQUEST, faults=2, behind=("claim_drops_older",)),
    Reason("reap_running", ENDS_ONCE, behind=("lease_cleared", "run_unique")),
    Reason("unsent_worker", WRITTEN_ONCE, faults=3, behind=("doubt_unrecorded",)),
    Reason("expired_over", OVER_IN_TIME, behind=("wake_over",)),
    Reason("go_on_waiting", LEASE_WHILE_RUNNING, behind=("resume_waiting",)),
)
CORE = (
    Reason("claim_pending", RUNNING_ONCE),
    Reason("claim_due", NOT_BEFORE_ITS_TIME),
    Reason("record_owner", ONE_RUN),
    Reason("record_attempt", ONE_RUN),
    Reason("record_moved_only", ONE_RUN),
    Reason("record_moved_by_attempt", ONE_RUN),
    Reason("lease_cleared", LEASE_WHILE_RUNNING),
    Reason("retries_end", ATTEMPTS_BOUNDED),
    Reason("unsent_number", WRITTEN_ONCE, faults=2),
    Reason("unsent_canceled", WRITTEN_ONCE),
    Reason("unsent_known", UNSENT_IS_TRUE),
    Reason("reap_expired", NOTHING_SENT_AFTER_LOSS),
    Reason("reap_after_outage", REPETITION_EXCUSED),
    Reason("cancel_live", ENDS_ONCE),
    Reason("cancel_by_attempt", ABORTED_BY_ITS_CANCEL),
    Reason("cancel_ends_wait", NO_WAIT_OUTLIVES),
    Reason("cleanup_begun", CANCEL_ENDS),
    Reason("cleanup_once", CANCEL_ENDS, faults=2),
    Reason("move_uncounted", ATTEMPTS_BOUNDED),
    Reason("early_used", REQUEST_KEPT),
    Reason("wake_over", OVER_IN_TIME),
    Reason("resume_live", NOTHING_AFTER_THE_END),
    Reason("resume_early", REQUEST_KEPT),
    Reason("resume_waiting", STEP_ENDS_ONCE),
    Reason("resume_in_time", OVER_IN_TIME),
    Reason("decide_waiting", STEP_ENDS_ONCE),
    Reason("decide_in_time", OVER_IN_TIME),
    Reason("extend_owner", RENEWED_BY_ITS_HOLDER),
    Reason("extend_attempt", RENEWED_BY_ITS_HOLDER),
    Reason("give_back_owner", ATTEMPTS_BOUNDED),
    Reason("give_back_unsent", EXCHANGE_RECORDED),
    Reason("sent_in_lease", NOTHING_SENT_AFTER_LOSS),
    Reason("claim_drops_older", LOST_IS_ABORTED),
    Reason("result_by_attempt", OWN_EXCHANGE),
    Reason("forget_by_attempt", SUCCESS_KEPT),
    Reason("abort_by_attempt", SUCCESS_KEPT),
    Reason("lost_aborted", LOST_IS_ABORTED),
    Reason("doubt_unrecorded", CANCELED_WAS_ASKED, faults=2),
    Reason("doubt_settled", CANCELED_WAS_ASKED, faults=2),
)
REPEATED = tuple(reason.guard for reason in SECOND_LINES)


def bounds(reason: Reason) -> Bounds:
    return Bounds(faults=reason.faults)


def core_without(guard: str = "") -> Guards:
    """The guards without the second lines, and without `guard`."""
    return without(*REPEATED, *([guard] if guard else []))


def missed(reason: Reason) -> SearchResult:
    """Search without this guard. For a core guard, all invariants are checked."""
    if reason.behind:
        return search(bounds(reason), without(reason.guard, *reason.behind), [reason.invariant])
    return search(bounds(reason), core_without(reason.guard), INVARIANTS)


def still_held(reason: Reason) -> SearchResult:
    """Search with a second line on, and the guards that it repeats off."""
    return search(bounds(reason), without(*reason.behind), [reason.invariant])
