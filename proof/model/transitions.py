"""The possible next steps. Each is one transaction, one event at a worker, one fault, or the passing of time.

Messages are not modeled: any worker may try a claim at any time, which covers messages lost, late or doubled.
"""

from collections.abc import Iterator
from typing import NamedTuple

from proof.model import database as db
from proof.model import flows
from proof.model import worker as memory
from proof.model.database import Database, UniqueError
from proof.model.guards import Guards
from proof.model.state import (
    AWAITING,
    BAD,
    DUE,
    EXPIRED,
    EXPIRED_UNEXCUSED,
    FRESH,
    IDLE,
    IN_DOUBT,
    LAPSED,
    LATER,
    MAY_HAVE_ARRIVED,
    NEVER_SENT,
    OK,
    OVERDUE,
    PENDING,
    QUEUED,
    RETURNING,
    RUNNING,
    WAITING,
    WAITS,
    WIRE,
    Bounds,
    Request,
    State,
    Worker,
)


class Action(NamedTuple):
    """A step. `worker` is an index, `attempt` a number; `detail` distinguishes variants."""

    kind: str
    worker: int | None = None
    attempt: int = 0
    detail: str = ""


Step = tuple[Action, State]


def following(state: State, bounds: Bounds, guards: Guards) -> Iterator[Step]:
    """Every step from this state."""
    yield from _time(state)
    yield from _events_of_steps(state, guards)
    yield from _others(state, bounds, guards)
    for index, worker in enumerate(state.workers):
        if not worker.dead:
            yield from _claiming(state, index, worker, bounds, guards)
            yield from _recording(state, index, worker, bounds, guards)
            yield from _renewing(state, index, worker, guards)
            yield from _giving_back(state, index, worker, guards)
            yield from _delivering(state, index, worker, guards)


# -- time, the database, and people ------------------------------------------------------------------------------------


def _time(state: State) -> Iterator[Step]:
    row = state.row
    if row.wait == LATER:
        yield Action("due"), state._replace(row=row._replace(wait=DUE))
    if row.wait == QUEUED:
        yield Action("released"), state._replace(row=row._replace(wait=DUE))
    if state.just_back and not _renews_first(state):
        yield Action("heartbeat period"), state._replace(just_back=False)
    if row.lease != FRESH or row.owner is None:
        return
    index, owner = row.owner, state.workers[row.owner]
    if row.attempts in (owner.held, owner.taken):
        # A living worker renews three times per lease, and knows how long a claim took. A pause is one step: it ends
        # when the worker next does anything. So is an outage: what the worker does meanwhile needs no database.
        if state.faults and row.status == RUNNING:
            yield Action("pause", index, row.attempts), _with_fault(_expired(state, index, EXPIRED))
            if owner.held == row.attempts:
                back = _expired(state, index, EXPIRED_UNEXCUSED)._replace(just_back=True)
                yield Action("outage", index, row.attempts), _with_fault(back)
    else:
        excused = owner.dead or not owner.works_on(row.attempts)
        lease = EXPIRED if excused else EXPIRED_UNEXCUSED
        yield Action("lease expires", index, row.attempts), _expired(state, index, lease)


def _events_of_steps(state: State, guards: Guards) -> Iterator[Step]:
    """What happens to a workflow that waits: its time, the clock, requests and people."""
    row, flow = state.row, state.flow
    if flow is None:
        return
    if row.status == WAITING and flow.waiting == AWAITING:
        yield Action("wait over"), state._replace(flow=flow._replace(waiting=OVERDUE))
    before = db.of(state)
    for kind, happens in (("wake", flows.wake), ("resume", flows.resume), ("decide", flows.decide)):
        if after := happens(before, guards):
            yield Action(kind, detail=flow.waiting), _with(state, after)


def _expired(state: State, index: int, lease: str) -> State:
    owner, attempt = state.workers[index], state.row.attempts
    late, taken_late = owner.late or owner.held == attempt, owner.taken_late or owner.taken == attempt
    workers = _put(state.workers, index, owner._replace(late=late, taken_late=taken_late))
    return state._replace(row=state.row._replace(lease=lease), workers=workers)


def _renews_first(state: State) -> bool:
    """Whether a living worker renews the expired lease within a heartbeat period."""
    row = state.row
    if row.lease not in LAPSED or row.owner is None:
        return False
    owner = state.workers[row.owner]
    return owner.held == row.attempts


def _others(state: State, bounds: Bounds, guards: Guards) -> Iterator[Step]:
    """The reaper, cancels, and kills."""
    before, row = db.of(state), state.row
    if row.owner is not None and state.faults and _survived(state, row.owner):
        # Only the lease's owner is killed: a worker that does nothing more is among the other paths.
        lease = EXPIRED if row.lease == EXPIRED_UNEXCUSED else row.lease
        killed = _worker(state, row.owner, Worker(dead=True))
        yield Action("kill", row.owner), _with_fault(killed._replace(row=row._replace(lease=lease)))
    try:
        if (not state.just_back or not guards.reap_after_outage) and (
            reaped := db.reap(before, bounds.max_attempts, guards)
        ):
            yield Action("reap", row.owner, row.attempts), _with(state, reaped)
        if state.faults and (canceled := db.cancel(before, guards)):
            after = _with(state, canceled)._replace(cancel_requested=True, faults=state.faults - 1)
            yield Action("cancel", detail=row.status), after
    except UniqueError:
        return


def _survived(state: State, index: int) -> bool:
    """Whether this worker and another one live."""
    return not state.workers[index].dead and sum(not worker.dead for worker in state.workers) > 1


# -- the claimer's thread: its steps are sequential --------------------------------------------------------------------


def _claiming(state: State, index: int, worker: Worker, bounds: Bounds, guards: Guards) -> Iterator[Step]:
    if worker.taken:
        yield Action("hand over", index, worker.taken), _worker(state, index, memory.hand_over(worker, guards))
        return
    if worker == IDLE and IDLE in state.workers[:index]:
        return  # Idle workers are equal: only the first is tried.
    in_doubt = any(request.phase == IN_DOUBT for request in worker.requests)
    if in_doubt or state.row.attempts > bounds.attempts(state.flow):
        return
    claimed = db.claim(db.of(state), index, guards)
    if claimed is None:
        return
    number = claimed.row.attempts
    if claimed.row.status != RUNNING:
        yield Action("claim", index, number, claimed.row.status), _with(state, claimed)
        return
    if state.faults:
        yield Action("claim", index, number, "reply lost"), _with_fault(_with(state, claimed))
    yield Action("claim", index, number), _worker(_with(state, claimed), index, worker._replace(taken=number))


def _giving_back(state: State, index: int, worker: Worker, guards: Guards) -> Iterator[Step]:
    if worker.taken:
        return
    for request in worker.requests:
        if guards.give_back_unsent and request.phase not in (RETURNING, IN_DOUBT):
            continue
        action = Action("give back", index, request.attempt)
        back = memory.without(worker, [request])
        back = back._replace(held=0 if worker.held == request.attempt else worker.held)
        row = db.give_back(state.row, index, request.attempt, guards)
        if row is not None:
            after = state._replace(row=row)
            sent = request.phase == WIRE
            yield action, _worker(after, index, worker._replace(held=back.held) if sent else back)
            if state.faults and request.phase == RETURNING:
                in_doubt = memory.moved(worker, request, IN_DOUBT)
                yield action._replace(detail="reply lost"), _with_fault(_worker(after, index, in_doubt))
        elif request.phase == IN_DOUBT:  # Others were reaped or canceled: their number is not reused.
            forgotten = back if guards.doubt_settled else memory.moved(worker, request, RETURNING)
            yield action._replace(detail="refused"), _worker(state, index, forgotten)


# -- the engine's thread -----------------------------------------------------------------------------------------------


def _delivering(state: State, index: int, worker: Worker, guards: Guards) -> Iterator[Step]:
    for request in worker.requests:
        attempt = request.attempt
        if request.phase == WAITS and attempt not in worker.aborts:
            if memory.may_send(worker, attempt, guards):
                sends = _incremented(state.sends, attempt)
                sending = _worker(state, index, memory.moved(worker, request, WIRE))
                yield Action("send", index, attempt), sending._replace(sends=sends)
                if state.faults:
                    yield (
                        Action("crowded", index, attempt),
                        _with_fault(_worker(state, index, _return_unsent(worker, request))),
                    )
            else:
                yield Action("too late to send", index, attempt), _worker(state, index, _return_unsent(worker, request))
        if request.phase == WIRE:
            for outcome in (OK, BAD):
                answered = memory.finished(worker, request, outcome, guards)
                yield Action("answer", index, attempt, outcome), _worker(state, index, answered)
    if worker.aborts:
        yield Action("abort", index, min(worker.aborts)), _worker(state, index, memory.engine_aborts(worker, guards))
    if worker.held and _is_canceled(state, worker.held, guards):
        aborted = memory.aborted(worker, frozenset({worker.held}), guards)
        if aborted != worker:
            yield Action("cancel received", index, worker.held), _worker(state, index, aborted)
    if state.faults and state.row.status in (RUNNING, PENDING) and worker.held:
        aborted = memory.aborted(worker, frozenset({worker.held}), guards)
        if aborted != worker:
            after = _with_fault(_worker(state, index, aborted))._replace(cancel_requested=True)
            yield Action("operator aborts", index, worker.held), after


def _is_canceled(state: State, held: int, guards: Guards) -> bool:
    """Whether a cancel has told the workers to abort this attempt. The message may come at any time after."""
    runs = state.runs[held - 1 : held] if guards.cancel_by_attempt else state.runs
    return any(run is not None and run.says in (MAY_HAVE_ARRIVED, NEVER_SENT) for run in runs)


def _return_unsent(worker: Worker, request: Request) -> Worker:
    """The engine returns a request unsent: to be given back if it is held, else forgotten."""
    if worker.held == request.attempt:
        return memory.moved(worker, request, RETURNING)
    return memory.without(worker, [request])


# -- the recorder's thread ---------------------------------------------------------------------------------------------


def _recording(state: State, index: int, worker: Worker, bounds: Bounds, guards: Guards) -> Iterator[Step]:
    batches = [frozenset({result}) for result in worker.results]
    if len(worker.results) > 1:
        batches.append(worker.results)
    for batch in batches:
        first = min(batch)
        detail = "together" if len(batch) > 1 else first.outcome
        action = Action("record", index, first.claim, detail)
        forgotten = memory.recorded(worker, batch, guards)
        try:
            written, moved = db.record(db.of(state), index, batch, bounds.max_attempts, guards)
        except UniqueError:
            if len(batch) == 1:  # A larger batch is halved: each half is a step of its own.
                yield action._replace(detail="not storable"), _worker(state, index, forgotten)
            continue
        after = _with(state, written)
        if state.faults and moved:
            yield action._replace(detail=f"{detail}, reply lost"), _with_fault(after)
        yield action._replace(detail=detail if moved else "refused"), _worker(after, index, forgotten)


def _renewing(state: State, index: int, worker: Worker, guards: Guards) -> Iterator[Step]:
    if not worker.held:
        return
    renewed = db.extend(state.row, index, worker.held, guards)
    action = Action("renew", index, worker.held)
    if renewed is not None:
        yield action, _worker(state._replace(row=renewed), index, worker._replace(late=False))
    else:
        after = memory.lost(worker, guards)
        if after != worker:
            yield action._replace(detail="lost"), _worker(state, index, after)


# -- parts of a state --------------------------------------------------------------------------------------------------


def _put(workers: tuple[Worker, ...], index: int, worker: Worker) -> tuple[Worker, ...]:
    return (*workers[:index], worker, *workers[index + 1 :])


def _worker(state: State, index: int, worker: Worker) -> State:
    if worker.late and not worker.held:
        worker = worker._replace(late=False)
    return state._replace(workers=_put(state.workers, index, worker))


def _with(state: State, database: Database) -> State:
    row, flow, runs, ended, counted = database
    return state._replace(row=row, flow=flow, runs=runs, ended=ended, counted=counted)


def _with_fault(state: State) -> State:
    return state._replace(faults=state.faults - 1)


def _incremented(sends: tuple[int, ...], attempt: int) -> tuple[int, ...]:
    return (*sends[: attempt - 1], sends[attempt - 1] + 1, *sends[attempt:])
