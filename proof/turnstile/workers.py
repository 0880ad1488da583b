"""A worker's actions on the database, on as many threads as a real one has: claim, send, record, renew.

Of a delivery service's memory only the part that decides its statements is modeled: its attempts and their results.
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
from workers.worker.evaluate import evaluate

#: The results of a claimed attempt: a success, a failure that is retried, no room in the worker, aborted before it was
#: sent, or none, since its worker is paused for good.
FATES = ("succeeded", "failed", "unsent", "aborted", "lost")
_SENT = ("succeeded", "failed", "lost")
_NO_TIMINGS = Timings()


@dataclass(eq=False, slots=True)
class HeldAttempt:
    """An attempt that a worker holds. `in_doubt`: the answer to giving it back was lost."""

    claimed: Claimed
    fate: str
    in_doubt: bool = False

    @property
    def pair(self) -> Pair:
        return self.claimed.attempt.execution_id, self.claimed.attempt.number


@dataclass(eq=False, slots=True)
class Worker:
    """A lease owner and its attempts; those in `ready` can be recorded or given back."""

    stage: Stage
    owner: str
    claimer: Claimer
    held: list[HeldAttempt] = field(default_factory=list)
    ready: list[HeldAttempt] = field(default_factory=list)
    fates: Sequence[str] = FATES
    #: Whether the answer to a give-back may be lost after its commit, so that it is repeated.
    loses_answers: bool = False
    #: How many attempts it has claimed so far.
    claim_count: int = 0


def claims(worker: Worker, link: Link, ids: Sequence[str] | None, *, limit: int) -> None:
    """Settle attempts in doubt; then claim these ids, or whatever is due, and send the requests one by one."""
    _settles(worker, link)
    with worker.stage.call("claims", owner=worker.owner) as call:
        if ids is None:
            batch = worker.claimer.claim_any(link, limit=limit)
        else:
            batch = worker.claimer.claim(link, ids, limit=limit)
        call.answered = _pairs(batch)
    _take(worker, batch)


def claims_of_job(worker: Worker, link: Link, job_id: str, *, limit: int) -> None:
    with worker.stage.call("claims of a job with a limit", owner=worker.owner) as call:
        batch, _ = worker.claimer.claim_of_job(link, job_id, limit=limit)
        call.answered = _pairs(batch)
    _take(worker, batch)


def gives_back(worker: Worker, link: Link) -> None:
    """Give back unsent attempts, one or all; on the thread that claims."""
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
    """Repeat give-backs in doubt, and forget attempts that are no longer held, since their number may be reused."""
    batch = [held for held in worker.ready if held.in_doubt]
    if not batch:
        return
    worker.ready = [held for held in worker.ready if not held.in_doubt]
    with worker.stage.call("gives back", owner=worker.owner, named=frozenset(held.pair for held in batch)) as call:
        call.answered = frozenset(_give_back(worker.claimer, link, batch))
    unmoved = [held for held in batch if held.pair not in call.answered]
    lost = worker.claimer.lost(link, [held.pair for held in unmoved]) if unmoved else set()
    for held in unmoved:
        held.in_doubt = False
        if held.pair not in lost:
            worker.ready.append(held)
    _forget(worker, [held for held in batch if held.pair in call.answered or held.pair in lost])


def records(worker: Worker, link: Link, *, times: int, renewing: bool = True) -> None:
    """Record ended attempts, one or all in one transaction, or renew leases: one thread does both."""
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
    """Renew the held attempts. Those that are no longer its own are aborted if they were not sent yet."""
    held = list(worker.held)
    if not held:
        return
    with worker.stage.call(
        "renews", owner=worker.owner, named=frozenset(held_attempt.pair for held_attempt in held)
    ) as call:
        call.answered = frozenset(_extend(worker.claimer, link, held))
    unmoved = [held_attempt.pair for held_attempt in held if held_attempt.pair not in call.answered]
    lost = worker.claimer.lost(link, unmoved) if unmoved else set()
    for held_attempt in held:
        if (
            held_attempt.pair in lost
            and held_attempt in worker.ready
            and held_attempt.fate == "unsent"
            and not held_attempt.in_doubt
        ):
            held_attempt.fate = "aborted"


def _extend(claimer: Claimer, link: Link, held: Sequence[HeldAttempt]) -> set[Pair]:
    """Renew leases. Returns the renewed attempts."""
    return claimer.extend(link, [held_attempt.pair for held_attempt in held])


def _give_back(claimer: Claimer, link: Link, held: Sequence[HeldAttempt]) -> set[Pair]:
    """Give attempts back. Returns those that moved."""
    return claimer.give_back(link, [held_attempt.claimed for held_attempt in held])


def _take(worker: Worker, batch: Sequence[Claimed]) -> None:
    worker.stage.claimed = worker.stage.claimed or bool(batch)
    for claimed in batch:
        held = HeldAttempt(claimed, worker.stage.rng.choice(worker.fates))
        worker.held.append(held)
        worker.claim_count += 1
        if claimed.refusal is not None:
            held.fate = "refused"
        elif held.fate in _SENT:
            pause(f"* sends {worker.stage.named(held.pair)}")
            worker.stage.sent.append(Sending(held.pair, claimed.attempt.run_id, worker.owner))
        if held.fate != "lost":
            worker.ready.append(held)


def _ended(worker: Worker) -> list[HeldAttempt]:
    return [held for held in worker.ready if held.fate != "unsent"]


def _batch(worker: Worker, candidates: Sequence[HeldAttempt]) -> list[HeldAttempt]:
    """Take one or all of these out of `ready`."""
    if not candidates:
        return []
    # One attempt of an execution at a time: answers name executions.
    by_execution = {held.claimed.attempt.execution_id: held for held in candidates}
    batch = list(by_execution.values()) if worker.stage.rng.random() < 0.5 else [worker.stage.rng.choice(candidates)]
    worker.ready = [held for held in worker.ready if held not in batch]
    return batch


def _pairs(batch: Sequence[Claimed]) -> frozenset[Pair]:
    return frozenset((claimed.attempt.execution_id, claimed.attempt.number) for claimed in batch)


def _records(worker: Worker, link: Link, batch: Sequence[HeldAttempt]) -> None:
    rng = random.Random(1)
    finished = [evaluate(held.claimed, _result(held), worker=worker.owner, rng=rng) for held in batch]
    with worker.stage.call("records", owner=worker.owner, named=frozenset(held.pair for held in batch)) as call:
        with link.transaction() as cursor:
            moved = record(cursor, finished)
        call.answered = frozenset(moved)
    _forget(worker, batch)


def _forget(worker: Worker, batch: Sequence[HeldAttempt]) -> None:
    worker.held = [held for held in worker.held if held not in batch]


def _result(held: HeldAttempt) -> DeliveryResult:
    request = held.claimed.request
    if held.claimed.refusal is not None:
        return unanswered(request, *held.claimed.refusal)
    if held.fate == "aborted":
        return unanswered(request, FailureReason.UNKNOWN, "canceled", aborted=True)
    status, reason = (200, None) if held.fate == "succeeded" else (503, FailureReason.HTTP_SERVER_ERROR)
    response = Received(status, {}, held.claimed.attempt.run_id.encode(), 36, False, "1.1")
    now = time.monotonic()
    return DeliveryResult(request, reason, reason and "503", response, "127.0.0.1", _NO_TIMINGS, now, now)
