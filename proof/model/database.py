"""The database's operations: each is one transaction on the row and its runs, with the guards of its SQL."""

from collections.abc import Collection
from typing import NamedTuple

from proof.model import flows
from proof.model.guards import Guards
from proof.model.state import (
    ABORTED_UNSENT,
    BAD,
    CANCELED,
    DUE,
    EXPIRED_UNEXCUSED,
    FAILED,
    FRESH,
    LAPSED,
    LATER,
    MAY_HAVE_ARRIVED,
    NEVER_SENT,
    NO_LEASE,
    OK,
    PENDING,
    RUNNING,
    SUCCEEDED,
    TERMINAL,
    TWICE,
    WORKER_LOST,
    WORKER_LOST_UNEXCUSED,
    Flow,
    Result,
    Row,
    Run,
    State,
)

_SAYS = {OK: OK, BAD: BAD, ABORTED_UNSENT: NEVER_SENT}
_LEADS_TO = {OK: SUCCEEDED, BAD: FAILED}


class UniqueError(Exception):
    """An attempt would get a second run: the transaction is refused."""


class Database(NamedTuple):
    """The part of a state that transactions change."""

    row: Row
    flow: Flow | None
    runs: tuple[Run | None, ...]
    ended: int
    counted: int


def of(state: State) -> Database:
    return Database(state.row, state.flow, state.runs, state.ended, state.counted)


def claim(database: Database, worker: int, guards: Guards) -> Database | None:
    """pending -> running, with the next attempt, or as far as a workflow moves. None if the row can't be claimed."""
    row = database.row
    if guards.claim_pending and row.status != PENDING:
        return None
    if guards.claim_due and row.status == PENDING and row.wait != DUE:
        return None
    return flows.move_on(database, Row(RUNNING, row.attempts + 1, worker, FRESH, None), guards)


def is_held(row: Row, worker: int, attempt: int, *, status: bool, owner: bool, number: bool) -> bool:
    """The fence: whether the row is running, has this owner and this attempt, as far as each is checked."""
    return (
        (not status or row.status == RUNNING)
        and (not owner or row.owner == worker)
        and (not number or row.attempts == attempt)
    )


def extend(row: Row, worker: int, attempt: int, guards: Guards) -> Row | None:
    """Renew a lease. None if the attempt is no longer this worker's."""
    if not is_held(
        row, worker, attempt, status=guards.extend_status, owner=guards.extend_owner, number=guards.extend_attempt
    ):
        return None
    return row._replace(lease=FRESH)


def give_back(row: Row, worker: int, attempt: int, guards: Guards) -> Row | None:
    """running -> pending, as if never claimed. None if the attempt is no longer this worker's."""
    passes = is_held(
        row,
        worker,
        attempt,
        status=guards.give_back_status,
        owner=guards.give_back_owner,
        number=guards.give_back_attempt,
    )
    return Row(PENDING, max(0, row.attempts - 1), None, NO_LEASE, LATER) if passes else None


def record(
    database: Database, worker: int, batch: Collection[Result], max_attempts: int, guards: Guards
) -> tuple[Database, bool]:
    """Record attempts in one transaction. Returns whether the row moved. Raises UniqueError."""
    row, flow, ended = database.row, database.flow, database.ended
    moved: set[int] = set()
    for result in sorted(batch):
        passes = is_held(
            row,
            worker,
            result.claim,
            status=guards.record_status,
            owner=guards.record_owner,
            number=guards.record_attempt,
        )
        if passes and not moved:
            row, flow = _after(row, flow, result, max_attempts, guards)
            ended += row.status in TERMINAL
            moved.add(result.claim)
    written = [result for result in batch if _is_written(result, moved, guards)]
    runs, counted = database.runs, database.counted
    for result in written:
        run = Run(_SAYS.get(result.outcome, MAY_HAVE_ARRIVED), worker, result.exchange)
        runs = _insert(runs, result.claim, run, guards)
        after, _ = _after(row, database.flow, result, max_attempts, guards)
        counted += after.status in TERMINAL
    for result in batch:
        if result.claim not in moved and (result.outcome == ABORTED_UNSENT or not guards.unsent_known):
            runs = _correct_canceled(runs, result.claim, worker, guards)
    return Database(row, flow, runs, ended, counted), bool(moved)


def _is_written(result: Result, moved: set[int], guards: Guards) -> bool:
    if not guards.record_moved_only:
        return True
    return result.claim in moved or (bool(moved) and not guards.record_moved_by_attempt)


def _after(row: Row, flow: Flow | None, result: Result, max_attempts: int, guards: Guards) -> tuple[Row, Flow | None]:
    status = _LEADS_TO.get(result.outcome, CANCELED)
    if result.outcome == BAD and (result.claim < max_attempts or not guards.retries_end):
        status = PENDING
    after = _leave_running(row, status, guards)
    if flow is None or result.outcome not in (OK, BAD):
        return after, flow
    over, after = flows.after_call(flow, after, result.claim, result.outcome, max_attempts)
    return after, over


def _leave_running(row: Row, status: str, guards: Guards) -> Row:
    """Move the row out of running."""
    wait = LATER if status == PENDING else None
    if guards.lease_cleared:
        return Row(status, row.attempts, None, NO_LEASE, wait)
    return Row(status, row.attempts, row.owner, row.lease, wait)


def _insert(runs: tuple[Run | None, ...], attempt: int, run: Run, guards: Guards) -> tuple[Run | None, ...]:
    if runs[attempt - 1] is not None:
        if guards.run_unique:
            raise UniqueError
        run = run._replace(says=TWICE)
    return (*runs[: attempt - 1], run, *runs[attempt:])


def _correct_canceled(
    runs: tuple[Run | None, ...], attempt: int, worker: int, guards: Guards
) -> tuple[Run | None, ...]:
    """Correct a canceled run: its writer, the cancel, could not know whether the request had been sent."""
    return tuple(
        run._replace(says=NEVER_SENT)
        if run is not None
        and (number == attempt or not guards.unsent_number)
        and (run.worker == worker or not guards.unsent_worker)
        and (run.says == MAY_HAVE_ARRIVED or not guards.unsent_canceled)
        else run
        for number, run in enumerate(runs, start=1)
    )


def reap(database: Database, max_attempts: int, guards: Guards) -> Database | None:
    """End an attempt whose lease has expired. None if there is nothing to reap. Raises UniqueError."""
    row = database.row
    if (guards.reap_running and row.status != RUNNING) or (guards.reap_expired and row.lease not in LAPSED):
        return None
    if row.attempts == 0 or row.owner is None:
        return None
    says = WORKER_LOST_UNEXCUSED if row.lease in (EXPIRED_UNEXCUSED, FRESH) else WORKER_LOST
    runs = _insert(database.runs, row.attempts, Run(says, row.owner, 0), guards)
    if database.flow is not None:
        flow, after = flows.after_call(
            database.flow, _leave_running(row, PENDING, guards), row.attempts, BAD, max_attempts
        )
        return database._replace(row=after, flow=flow, runs=runs)
    last = row.attempts >= max_attempts and guards.retries_end
    after = _leave_running(row, FAILED if last else PENDING, guards)
    return Database(after, None, runs, database.ended + last, database.counted + last)


def cancel(database: Database, guards: Guards) -> Database | None:
    """End an execution by request, a workflow after its `finally`. None if it has ended. Raises UniqueError."""
    row, runs = database.row, database.runs
    if row.status in TERMINAL and guards.cancel_live:
        return None
    if row.status == RUNNING and row.owner is not None:
        runs = _insert(runs, row.attempts, Run(MAY_HAVE_ARRIVED, row.owner, 0), guards)
    flow, cleans = flows.canceled(database.flow, row.attempts, guards)
    if cleans:
        pending = _leave_running(row, PENDING, guards)._replace(wait=DUE)
        return database._replace(row=pending, flow=flow, runs=runs)
    return Database(_leave_running(row, CANCELED, guards), flow, runs, database.ended + 1, database.counted + 1)
