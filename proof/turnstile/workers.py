"""What a worker does with the database, over as many threads as it has: claiming, sending, recording, renewing.

Of what a delivery service holds in memory only that is modeled which decides about its statements: which attempts it
holds, and what became of them.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from proof.turnstile.gate import pause
from proof.turnstile.stage import Pair, Sending, Stage
from runs.attempts.contract import Received, Timings
from runs.attempts.recording import record
from runs.failures import FailureReason
from workers.connections import Link
from workers.delivery.contract import DeliveryResult
from workers.delivery.transfer import unanswered
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import judge

#: What becomes of a claimed attempt: an answer, an answer that is tried again, no place here, aborted before it was
#: sent, or nothing, since its worker stands still for good.
FATES = ("succeeded", "failed", "unsent", "aborted", "lost")
_SENT = ("succeeded", "failed", "lost")
_NO_TIMINGS = Timings()


@dataclass(eq=False, slots=True)
class Held:
    """An attempt in its worker's hands. `in_doubt`: the answer to giving it back was lost."""

    item: Claimed
    fate: str
    in_doubt: bool = False

    @property
    def pair(self) -> Pair:
        return self.item.attempt.execution_id, self.item.attempt.number


@dataclass(eq=False, slots=True)
class Worker:
    """One owner of leases, and its attempts by what they are: `ready` ones can be recorded or given back."""

    stage: Stage
    owner: str
    claimer: Claimer
    held: list[Held] = field(default_factory=list)
    ready: list[Held] = field(default_factory=list)
    fates: Sequence[str] = FATES
    #: Whether the server's answer to a give back may be lost after its commit, so that it is asked for again.
    loses_answers: bool = False
    #: How many attempts it was given so far.
    taken: int = 0


def claims(worker: Worker, link: Link, ids: Sequence[str] | None, *, limit: int) -> None:
    """Claim these, or whatever is due; then send what is to be sent, one by one. First of all ask what is in doubt."""
    _settles(worker, link)
    with worker.stage.call("claims", owner=worker.owner) as call:
        if ids is None:
            items = worker.claimer.claim_any(link, limit=limit)
        else:
            items = worker.claimer.claim(link, ids, limit=limit)
        call.answered = _pairs(items)
    _take(worker, items)


def claims_of_job(worker: Worker, link: Link, job_id: str, *, limit: int) -> None:
    with worker.stage.call("claims of a job with a limit", owner=worker.owner) as call:
        items = worker.claimer.claim_of_job(link, job_id, limit=limit)
        call.answered = _pairs(items)
    _take(worker, items)


def gives_back(worker: Worker, link: Link) -> None:
    """Give back what was not sent, one attempt or all of them; on the thread that claims."""
    batch = _batch(worker, [held for held in worker.ready if held.fate == "unsent" and not held.in_doubt])
    if not batch:
        return
    with worker.stage.call("gives back", owner=worker.owner, named=frozenset(held.pair for held in batch)) as call:
        answered = frozenset(_give_back(worker.claimer, link, batch))
        if not worker.loses_answers:
            call.answered = answered
    if worker.loses_answers:
        pause("* the answer is lost")
        worker.loses_answers = False
        for held in batch:
            held.in_doubt = True
        worker.ready += batch
        return
    _forget(worker, batch)


def _settles(worker: Worker, link: Link) -> None:
    """Ask again for what may have been given back, and forget what is held no more: its number may come again."""
    batch = [held for held in worker.ready if held.in_doubt]
    if not batch:
        return
    worker.ready = [held for held in worker.ready if not held.in_doubt]
    with worker.stage.call("gives back", owner=worker.owner, named=frozenset(held.pair for held in batch)) as call:
        call.answered = frozenset(_give_back(worker.claimer, link, batch))
    left = [held for held in batch if held.pair not in call.answered]
    gone = worker.claimer.lost(link, [held.pair for held in left]) if left else set()
    for held in left:
        held.in_doubt = False
        if held.pair not in gone:
            worker.ready.append(held)
    _forget(worker, [held for held in batch if held.pair in call.answered or held.pair in gone])


def records(worker: Worker, link: Link, *, times: int, renewing: bool = True) -> None:
    """Record what has ended, one attempt or all in one transaction, or renew leases: both are the same thread's."""
    for _ in range(times):
        if not pause("", ready=lambda: bool(worker.held)):
            return
        if renewing and worker.stage.rng.random() < 0.4:
            _renews(worker, link)
            continue
        if not pause("", ready=lambda: bool(_ended(worker))):
            return
        _records(worker, link, _batch(worker, _ended(worker)))


def _renews(worker: Worker, link: Link) -> None:
    """Renew what is held. What is not its own any more is aborted, where it was not sent yet."""
    held = list(worker.held)
    if not held:
        return
    with worker.stage.call("renews", owner=worker.owner, named=frozenset(one.pair for one in held)) as call:
        call.answered = frozenset(_extend(worker.claimer, link, held))
    left = [one.pair for one in held if one.pair not in call.answered]
    gone = worker.claimer.lost(link, left) if left else set()
    for one in held:
        if one.pair in gone and one in worker.ready and one.fate == "unsent" and not one.in_doubt:
            one.fate = "aborted"


def _extend(claimer: Claimer, link: Link, held: Sequence[Held]) -> set[Pair]:
    """The one place that knows how a renewal is asked for, and what it answers."""
    return claimer.extend(link, [one.pair for one in held])


def _give_back(claimer: Claimer, link: Link, held: Sequence[Held]) -> set[Pair]:
    """The same of giving back."""
    return claimer.give_back(link, [one.item for one in held])


def _take(worker: Worker, items: Sequence[Claimed]) -> None:
    worker.stage.claimed = worker.stage.claimed or bool(items)
    for item in items:
        held = Held(item, worker.stage.rng.choice(worker.fates))
        worker.held.append(held)
        worker.taken += 1
        if item.refusal is not None:
            held.fate = "refused"
        elif held.fate in _SENT:
            pause(f"* sends {worker.stage.named(held.pair)}")
            worker.stage.sent.append(Sending(held.pair, item.attempt.run_id, worker.owner))
        if held.fate != "lost":
            worker.ready.append(held)


def _ended(worker: Worker) -> list[Held]:
    return [held for held in worker.ready if held.fate != "unsent"]


def _batch(worker: Worker, found: Sequence[Held]) -> list[Held]:
    """One of these or all of them, which are not `ready` any more then."""
    if not found:
        return []
    # Of an execution one attempt at a time: answers name executions.
    by_execution = {held.item.attempt.execution_id: held for held in found}
    batch = list(by_execution.values()) if worker.stage.rng.random() < 0.5 else [worker.stage.rng.choice(found)]
    worker.ready = [held for held in worker.ready if held not in batch]
    return batch


def _pairs(items: Sequence[Claimed]) -> frozenset[Pair]:
    return frozenset((item.attempt.execution_id, item.attempt.number) for item in items)


def _records(worker: Worker, link: Link, batch: Sequence[Held]) -> None:
    rng = random.Random(1)
    finished = [judge(held.item, _result(held), worker=worker.owner, rng=rng) for held in batch]
    with worker.stage.call("records", owner=worker.owner, named=frozenset(held.pair for held in batch)) as call:
        with link.transaction() as cursor:
            moved = record(cursor, finished)
        call.answered = frozenset(moved)
    _forget(worker, batch)


def _forget(worker: Worker, batch: Sequence[Held]) -> None:
    worker.held = [held for held in worker.held if held not in batch]


def _result(held: Held) -> DeliveryResult:
    request = held.item.request
    if held.item.refusal is not None:
        return unanswered(request, *held.item.refusal)
    if held.fate == "aborted":
        return unanswered(request, FailureReason.UNKNOWN, "canceled", aborted=True)
    status, reason = (200, None) if held.fate == "succeeded" else (503, FailureReason.HTTP_SERVER_ERROR)
    response = Received(status, {}, held.item.attempt.run_id.encode(), 36, False, "1.1")
    now = time.monotonic()
    return DeliveryResult(request, reason, reason and "503", response, "127.0.0.1", _NO_TIMINGS, now, now)
