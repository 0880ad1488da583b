"""The steps of a workflow: what a claim moves on, and what ends a step. Each is part of a transaction on the row."""

from typing import TYPE_CHECKING

from proof.model.guards import Guards
from proof.model.state import (
    AWAITING,
    BAD,
    CANCELED,
    DUE,
    EARLY,
    FAILED,
    LATER,
    NO_LEASE,
    OK,
    OVERDUE,
    PENDING,
    RESOLVED,
    STOPPED,
    SUCCEEDED,
    TERMINAL,
    TIMED_OUT,
    UNREACHED,
    WAITING,
    WAITS_STILL,
    Flow,
    Row,
)

if TYPE_CHECKING:
    from proof.model.database import Database


def move_on(database: "Database", claimed: Row, guards: Guards) -> "Database":
    """Decide what a claimed execution does: call, wait, or end. What calls nothing is left as if never claimed."""
    flow = database.flow
    if flow is None:
        return database._replace(row=claimed)
    uncalled = claimed._replace(attempts=claimed.attempts - guards.move_uncounted, owner=None, lease=NO_LEASE)
    if not flow.outcome:
        if flow.has_finally or flow.called == OK:
            flow = _at_the_wait(flow, guards)
        if flow.waiting in WAITS_STILL:
            return database._replace(row=uncalled._replace(status=WAITING), flow=flow)
        if not flow.called and (flow.waiting == RESOLVED or not flow.has_finally):
            return database._replace(row=claimed, flow=flow)
        outcome = SUCCEEDED if (flow.called, flow.waiting) == (OK, RESOLVED) else FAILED
        flow = flow._replace(outcome=outcome, since=claimed.attempts - 1)
    if flow.has_finally and not flow.cleaned:
        return database._replace(row=claimed, flow=flow)
    ended = uncalled._replace(status=flow.outcome)
    return database._replace(row=ended, flow=flow, ended=database.ended + 1, counted=database.counted + 1)


def _at_the_wait(flow: Flow, guards: Guards) -> Flow:
    if flow.waiting == EARLY and guards.early_used:
        return flow._replace(waiting=RESOLVED, resolved=flow.resolved + 1)
    if flow.waiting in (UNREACHED, EARLY):
        return flow._replace(waiting=AWAITING)
    if flow.waiting == OVERDUE or (flow.waiting == AWAITING and not guards.expired_over):
        return flow._replace(waiting=TIMED_OUT, resolved=flow.resolved + 1)
    return flow


def after_call(flow: Flow, row: Row, attempt: int, outcome: str, max_attempts: int) -> tuple[Flow, Row]:
    """What the end of a call means: another attempt, or that its step is over. The next claim decides what follows,
    but of a success that ends the whole.
    """
    if outcome == OK and not flow.has_finally and flow.waiting == RESOLVED:
        return flow._replace(called=outcome), row._replace(status=SUCCEEDED, wait=None)
    pending = row._replace(status=PENDING, wait=DUE)
    if flow.outcome:
        return flow._replace(cleaned=True), pending
    if outcome == BAD and attempt - flow.since < max(2, max_attempts) - 1:
        return flow, pending._replace(wait=LATER)
    return flow._replace(called=outcome), pending


def wake(database: "Database", guards: Guards) -> "Database | None":
    """waiting -> pending, once the time is over. None if it is not."""
    row, flow = database.row, database.flow
    if flow is None or row.status != WAITING or (flow.waiting != OVERDUE and guards.wake_over):
        return None
    return database._replace(row=row._replace(status=PENDING, wait=DUE))


def resume(database: "Database", guards: Guards) -> "Database | None":
    """A request comes to the step's URL: it ends the wait, or is kept, or does nothing (None)."""
    flow = database.flow
    if flow is None or (database.row.status in TERMINAL and guards.resume_live):
        return None
    if flow.waiting == UNREACHED:
        kept = flow._replace(waiting=EARLY if guards.resume_early else UNREACHED, asked=True)
        return database._replace(flow=kept) if kept != flow else None
    in_time = flow.waiting == AWAITING or (flow.waiting == OVERDUE and not guards.resume_in_time)
    if not in_time and (guards.resume_waiting or flow.waiting in (EARLY, OVERDUE)):
        return None
    return _resolved(database, flow, guards)


def decide(database: "Database", guards: Guards) -> "Database | None":
    """A person decides: never early. None where nothing waits for that."""
    flow = database.flow
    if flow is None or flow.waiting in (UNREACHED, EARLY):
        return None
    in_time = flow.waiting == AWAITING or (flow.waiting == OVERDUE and not guards.decide_in_time)
    if not in_time and (guards.decide_waiting or flow.waiting == OVERDUE):
        return None
    return _resolved(database, flow, guards)


def _resolved(database: "Database", flow: Flow, guards: Guards) -> "Database | None":
    if flow.resolved > 1:
        return None
    row = database.row
    if row.status == WAITING or (not guards.go_on_waiting and row.status not in TERMINAL):
        row = row._replace(status=PENDING, wait=DUE)
    over = flow._replace(waiting=RESOLVED, asked=True, resolved=flow.resolved + 1)
    return database._replace(row=row, flow=over)


def canceled(flow: Flow | None, attempts: int, guards: Guards) -> tuple[Flow | None, bool]:
    """What a cancel does to the steps, and whether `finally` runs before the end."""
    if flow is None:
        return None, False
    begins = (flow.begun(attempts) or not guards.cleanup_begun) and (not flow.outcome or not guards.cleanup_once)
    cleans = flow.has_finally and begins
    if flow.waiting in WAITS_STILL and guards.cancel_ends_wait:
        flow = flow._replace(waiting=STOPPED, resolved=flow.resolved + 1)
    if cleans:
        flow = flow._replace(outcome=CANCELED, cleaned=False, since=attempts)
    return flow, cleans
