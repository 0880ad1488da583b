"""A worker's operations on its memory: the table of claims, the engine, and the recorder's queue."""

from collections.abc import Iterable

from proof.model.guards import Guards
from proof.model.state import (
    ABORTED_SENT,
    ABORTED_UNSENT,
    AWAY_FROM_ENGINE,
    IN_DOUBT,
    RETURNING,
    WAITS,
    WIRE,
    Request,
    Result,
    Worker,
)


def hand_over(worker: Worker, guards: Guards) -> Worker:
    """Hold the claim instead of an older one of the execution, and give its request to the engine."""
    attempt = worker.taken
    older = frozenset(request.attempt for request in worker.requests if request.phase in (WAITS, WIRE))
    requests, aborts = worker.requests, worker.aborts
    if guards.claim_drops_older:
        requests = frozenset(request for request in requests if request.phase not in AWAY_FROM_ENGINE)
        aborts |= older
    return worker._replace(
        taken=0,
        held=attempt,
        late=worker.taken_late,
        taken_late=False,
        requests=requests | {Request(attempt, WAITS)},
        aborts=aborts,
        over=worker.over | older,
    )


def may_send(worker: Worker, attempt: int, guards: Guards) -> bool:
    """The engine's last check before sending."""
    return not guards.sent_in_lease or (worker.held == attempt and not worker.late)


def moved(worker: Worker, request: Request, phase: str) -> Worker:
    """Move the request to another phase."""
    return worker._replace(requests=worker.requests - {request} | {request._replace(phase=phase)})


def without(worker: Worker, requests: Iterable[Request]) -> Worker:
    """Remove these requests from the engine."""
    remaining = worker.requests - frozenset(requests)
    attempts = frozenset(request.attempt for request in remaining)
    return worker._replace(requests=remaining, aborts=worker.aborts & attempts, over=worker.over & attempts)


def finished(worker: Worker, request: Request, outcome: str, guards: Guards) -> Worker:
    """Report the end of an exchange. The result is dropped if its claim is not held."""
    claim = worker.held if worker.held and (worker.held == request.attempt or not guards.result_by_attempt) else 0
    worker = without(worker, [request])
    return worker._replace(results=worker.results | {Result(claim, request.attempt, outcome)}) if claim else worker


def aborted(worker: Worker, attempts: frozenset[int], guards: Guards) -> Worker:
    """End these attempts' exchanges, wherever they are."""
    for request in worker.requests:
        if request.attempt not in attempts or (request.phase == IN_DOUBT and guards.doubt_unrecorded):
            continue
        outcome = ABORTED_SENT if request.phase == WIRE else ABORTED_UNSENT
        worker = finished(worker, request, outcome, guards)
    return worker


def lost(worker: Worker, guards: Guards) -> Worker:
    """React to a lease that could not be renewed: the held attempt is no longer this worker's."""
    attempt = frozenset({worker.held})
    if Request(worker.held, IN_DOUBT) in worker.requests and guards.doubt_unrecorded:
        return without(worker, [Request(worker.held, IN_DOUBT)])._replace(held=0)
    if Request(worker.held, RETURNING) in worker.requests or Request(worker.held, IN_DOUBT) in worker.requests:
        return aborted(worker, attempt, guards)
    in_engine = attempt & {request.attempt for request in worker.requests}
    aborts = worker.aborts | in_engine if guards.lost_aborted else worker.aborts
    return worker._replace(aborts=aborts, over=worker.over | in_engine)


def engine_aborts(worker: Worker, guards: Guards) -> Worker:
    """Carry out the aborts: by attempt, or without that guard all of the execution's requests."""
    attempts = worker.aborts if guards.abort_by_attempt else frozenset(request.attempt for request in worker.requests)
    worker = aborted(worker, attempts, guards)
    return worker._replace(aborts=frozenset())


def recorded(worker: Worker, batch: Iterable[Result], guards: Guards) -> Worker:
    """Forget recorded results."""
    batch = frozenset(batch)
    forgotten = not guards.forget_by_attempt or any(result.claim == worker.held for result in batch)
    return worker._replace(results=worker.results - batch, held=0 if forgotten else worker.held)
