"""All that can happen next. Each step is one transaction, one event at a worker, one fault, or time that passes.

Messages are not among them: an idle worker asks the database itself, so a claim may be tried by any worker at any
time, which is all that a message, doubled, late or lost, can bring about.
"""

from collections.abc import Iterator
from typing import NamedTuple

from proof.model import database as db
from proof.model import worker as memory
from proof.model.database import Database, UniqueError
from proof.model.guards import Guards
from proof.model.state import (
    BAD,
    CANCELED,
    DUE,
    EXPIRED,
    EXPIRED_UNEXCUSED,
    FRESH,
    IDLE,
    IN_DOUBT,
    LAPSED,
    LATER,
    OK,
    PENDING,
    QUEUED,
    RETURNING,
    RUNNING,
    WAITS,
    WIRE,
    Bounds,
    Request,
    State,
    Worker,
)


class Action(NamedTuple):
    """What happened. `worker` is an index, `attempt` a number; `detail` says how, where there are several ways."""

    kind: str
    worker: int | None = None
    attempt: int = 0
    detail: str = ""


Step = tuple[Action, State]


def following(state: State, bounds: Bounds, guards: Guards) -> Iterator[Step]:
    """Every step from here."""
    yield from _time(state)
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
        # A living worker renews three times as often as that, and of a claim it knows how long that took. A worker that
        # stands still is one step: when it goes on is when it next does anything. So is an outage, since what the
        # worker does meanwhile needs no database.
        if state.troubles and row.status == RUNNING:
            yield Action("stand still", index, row.attempts), _trouble(_expired(state, index, EXPIRED))
            if owner.held == row.attempts:
                back = _expired(state, index, EXPIRED_UNEXCUSED)._replace(just_back=True)
                yield Action("outage", index, row.attempts), _trouble(back)
    else:
        excused = owner.dead or not owner.works_on(row.attempts)
        lease = EXPIRED if excused else EXPIRED_UNEXCUSED
        yield Action("lease expires", index, row.attempts), _expired(state, index, lease)


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
    """The reaper, whoever cancels, and whatever kills."""
    before, row = db.of(state), state.row
    if row.owner is not None and state.troubles and _survived(state, row.owner):
        # Of a worker that holds no lease no kill is needed: one that never does anything again is among the rest.
        lease = EXPIRED if row.lease == EXPIRED_UNEXCUSED else row.lease
        killed = _worker(state, row.owner, Worker(dead=True))
        yield Action("kill", row.owner), _trouble(killed._replace(row=row._replace(lease=lease)))
    try:
        if (not state.just_back or not guards.reap_after_outage) and (
            reaped := db.reap(before, bounds.max_attempts, guards)
        ):
            yield Action("reap", row.owner, row.attempts), _with(state, reaped)
        if state.troubles and (canceled := db.cancel(before, guards)):
            after = _with(state, canceled)._replace(asked=True, troubles=state.troubles - 1)
            yield Action("cancel", detail=row.status), after
    except UniqueError:
        return


def _survived(state: State, index: int) -> bool:
    """Whether this worker lives and another one does too."""
    return not state.workers[index].dead and sum(not worker.dead for worker in state.workers) > 1


# -- the claimer's thread: it does one thing after the other -----------------------------------------------------------


def _claiming(state: State, index: int, worker: Worker, bounds: Bounds, guards: Guards) -> Iterator[Step]:
    if worker.taken:
        yield Action("hand over", index, worker.taken), _worker(state, index, memory.hand_over(worker, guards))
        return
    if worker == IDLE and IDLE in state.workers[:index]:
        return  # Idle workers are the same: the first of them stands for all.
    if state.row.attempts > bounds.max_attempts or any(one.phase == IN_DOUBT for one in worker.requests):
        return
    claimed = db.claim(db.of(state), index, guards)
    if claimed is None:
        return
    number = claimed.row.attempts
    if state.troubles:
        yield Action("claim", index, number, "reply lost"), _trouble(_with(state, claimed))
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
            if state.troubles and request.phase == RETURNING:
                in_doubt = memory.moved(worker, request, IN_DOUBT)
                yield action._replace(detail="reply lost"), _trouble(_worker(after, index, in_doubt))
        elif request.phase == IN_DOUBT:  # Any other was reaped or canceled: its number does not come back.
            gone = back if guards.doubt_settled else memory.moved(worker, request, RETURNING)
            yield action._replace(detail="refused"), _worker(state, index, gone)


# -- the engine's thread -----------------------------------------------------------------------------------------------


def _delivering(state: State, index: int, worker: Worker, guards: Guards) -> Iterator[Step]:
    for request in worker.requests:
        attempt = request.attempt
        if request.phase == WAITS and attempt not in worker.aborts:
            if memory.may_send(worker, attempt, guards):
                sends = _bumped(state.sends, attempt)
                on_its_way = _worker(state, index, memory.moved(worker, request, WIRE))
                yield Action("send", index, attempt), on_its_way._replace(sends=sends)
                if state.troubles:
                    yield Action("crowded", index, attempt), _trouble(_worker(state, index, _away(worker, request)))
            else:
                yield Action("too late to send", index, attempt), _worker(state, index, _away(worker, request))
        if request.phase == WIRE:
            for outcome in (OK, BAD):
                answered = memory.finished(worker, request, outcome, guards)
                yield Action("answer", index, attempt, outcome), _worker(state, index, answered)
    if worker.aborts:
        yield Action("abort", index, min(worker.aborts)), _worker(state, index, memory.engine_aborts(worker, guards))
    if state.row.status == CANCELED and worker.held:
        told = memory.aborted(worker, frozenset({worker.held}), guards)
        if told != worker:
            yield Action("told to cancel", index, worker.held), _worker(state, index, told)
    if state.troubles and state.row.status in (RUNNING, PENDING) and worker.held:
        told = memory.aborted(worker, frozenset({worker.held}), guards)
        if told != worker:
            after = _trouble(_worker(state, index, told))._replace(asked=True)
            yield Action("operator aborts", index, worker.held), after


def _away(worker: Worker, request: Request) -> Worker:
    """The engine sends a request away, which is to be given back if it is held, and else forgotten."""
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
        several = "together" if len(batch) > 1 else first.outcome
        action = Action("record", index, first.claim, several)
        forgotten = memory.recorded(worker, batch, guards)
        try:
            written, moved = db.record(db.of(state), index, batch, bounds.max_attempts, guards)
        except UniqueError:
            if len(batch) == 1:  # Of more, the halves are tried: each of them is a step of its own.
                yield action._replace(detail="not storable"), _worker(state, index, forgotten)
            continue
        after = _with(state, written)
        if state.troubles and moved:
            yield action._replace(detail=f"{several}, reply lost"), _trouble(after)
        yield action._replace(detail=several if moved else "refused"), _worker(after, index, forgotten)


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
    row, runs, ended, counted = database
    return state._replace(row=row, runs=runs, ended=ended, counted=counted)


def _trouble(state: State) -> State:
    return state._replace(troubles=state.troubles - 1)


def _bumped(sends: tuple[int, ...], attempt: int) -> tuple[int, ...]:
    return (*sends[: attempt - 1], sends[attempt - 1] + 1, *sends[attempt:])
