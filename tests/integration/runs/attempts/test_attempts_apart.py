"""Two attempts of one execution in one worker: it was paused past its lease, and claims the next itself."""

import datetime
import random
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import transaction

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from runs.attempts.reaping import reap_expired
from runs.attempts.recording import record
from runs.executions import services
from runs.failures import FailureReason
from runs.models import Execution, Run
from tests.support.engine import LOOPBACK_ALLOWED, Running, eventually, request
from tests.support.jobs import MakeJob
from tests.support.receiver import Exchange, Receiver, receiving
from workers.connections import DatabaseAwayError, Link
from workers.delivery.contract import Crowded
from workers.delivery.transfer import unanswered
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate
from workers.worker.held import HeldAttempts
from workers.worker.service import DeliveryService
from workers.worker.unsent import UnsentAttempts

pytestmark = pytest.mark.django_db(transaction=True)

LEASE_SECONDS = 60


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link("test")
    yield made
    made.close()


@pytest.fixture
def worker() -> Claimer:
    return Claimer(owner="worker", lease_seconds=LEASE_SECONDS, user_agent="Hourhand/test")


@pytest.fixture
def execution(make_job: MakeJob) -> Execution:
    return services.run_now(job_environment=make_job(retry={"max_attempts": 5}), now=now(), actor=SYSTEM)


def claim(worker: Claimer, link: Link, execution: Execution) -> Claimed:
    (claimed,) = worker.claim(link, [str(execution.pk)], limit=1)
    return claimed


def lose(execution: Execution) -> None:
    """Let the lease expire, reap the attempt, and make the next one due."""
    Execution.objects.filter(pk=execution.pk).update(lease_expires_at=now() - datetime.timedelta(seconds=1))
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    Execution.objects.filter(pk=execution.pk).update(next_attempt_at=now() - datetime.timedelta(seconds=1))


@pytest.fixture
def two(worker: Claimer, link: Link, execution: Execution) -> tuple[Claimed, Claimed]:
    """A lost attempt and the next one, claimed by the same worker."""
    first = claim(worker, link, execution)
    lose(execution)
    return first, claim(worker, link, execution)


# -- statements --------------------------------------------------------------------------------------------------------


def test_a_lost_attempt_is_not_renewed_by_the_holder_of_the_next(worker, link, execution, two) -> None:
    first, second = two
    keys = [first.attempt.key, second.attempt.key]
    assert worker.extend(link, keys) == {second.attempt.key}
    assert worker.lost(link, keys) == {first.attempt.key}


def test_a_lost_attempt_is_not_given_back_by_the_holder_of_the_next(worker, link, execution, two) -> None:
    first, second = two
    assert worker.give_back(link, [first]) == set()
    execution.refresh_from_db()
    assert (execution.status, execution.attempts) == ("running", 2)
    assert worker.give_back(link, [first, second]) == {second.attempt.key}


def test_of_two_attempts_in_a_batch_only_the_held_one_is_recorded(link, execution, two) -> None:
    batch = [evaluate(one, _answer(one), worker="worker", rng=random.Random(1)) for one in two]
    with link.transaction() as cursor:
        assert record(cursor, batch) == {two[1].attempt.key}
    lost, kept = Run.objects.order_by("number")
    assert (lost.number, lost.failure_reason, kept.number, kept.error) == (1, "worker_lost", 2, "of 2")


def _answer(claimed: Claimed):
    return unanswered(claimed.request, FailureReason.TIMEOUT, f"of {claimed.attempt.number}", sent=True)


def test_a_locked_execution_is_not_lost_and_blocks_no_other_lease(worker, link, make_job: MakeJob) -> None:
    row = make_job()
    claimed = [claim(worker, link, services.run_now(job_environment=row, now=now(), actor=SYSTEM)) for _ in range(3)]
    keys = [one.attempt.key for one in claimed]
    with transaction.atomic():
        Execution.objects.select_for_update().get(pk=keys[1][0])
        assert worker.extend(link, keys) == {keys[0], keys[2]}
        assert worker.lost(link, keys) == set()


# -- what a worker holds -----------------------------------------------------------------------------------------------


def test_a_claim_drops_the_previous_attempt(two) -> None:
    first, second = two
    held = HeldAttempts(LEASE_SECONDS)
    assert held.hold([first]) == []
    assert held.hold([second]) == [first]
    assert (held.of(first.request), held.of(second.request)) == (None, second)
    held.forget([first])
    assert held.all() == {second.attempt.key: second}, "recording the first made the worker forget the second"


def test_a_request_goes_out_only_while_its_lease_is_known_to_hold(two) -> None:
    first, second = two
    held = HeldAttempts(LEASE_SECONDS)
    held.hold([first])
    held.hold([second])
    ends = second.asked_monotonic + LEASE_SECONDS
    assert held.may_send(second.request, ends - 0.001)
    assert not held.may_send(second.request, ends)
    assert not held.may_send(first.request, first.asked_monotonic)
    held.renewed([first.attempt.key], asked_monotonic=ends)
    assert not held.may_send(second.request, ends), "another attempt's renewal counted for it"
    held.renewed([second.attempt.key], asked_monotonic=ends)
    assert held.may_send(second.request, ends + LEASE_SECONDS - 0.001)


def test_a_request_after_its_lease_is_not_sent_and_returned() -> None:
    back: list[Crowded] = []
    asked: list[float] = []
    running = Running(on_crowded=back.extend, may_send=lambda _request, at: bool(asked.append(at)))
    with receiving() as receiver:
        late = request(receiver.url())
        running.engine.submit([late])
        eventually(lambda: bool(back))
        assert (back, len(asked), receiver.exchanges, running.results) == ([Crowded(late, 0.0)], 1, [], [])
        assert (running.engine.in_flight_count, running.engine.queued_count) == (0, 0)
    running.engine.stop(grace_seconds=0)


def test_an_attempt_in_doubt_is_not_recorded(two) -> None:
    _, claimed = two
    unsent = UnsentAttempts()
    unsent.add(claimed, 1.0)
    given = unsent.begin(10)
    assert unsent.is_in_doubt(claimed.attempt.key)
    assert not unsent.cancel(claimed.attempt.key), "the database may hand the number out again"
    assert unsent.settle(given, moved=set()) == [claimed], "it was not taken back, and is canceled after all"
    assert len(unsent) == 0


def test_an_attempt_that_was_given_back_is_not_canceled(two) -> None:
    _, claimed = two
    unsent = UnsentAttempts()
    unsent.add(claimed, 1.0)
    given = unsent.begin(10)
    unsent.cancel(claimed.attempt.key)
    assert unsent.settle(given, moved={claimed.attempt.key}) == []
    assert len(unsent) == 0


# -- a whole worker ----------------------------------------------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[DeliveryService]:
    made = DeliveryService(
        name="worker@test",
        owner="worker@test/1",
        policy=LOOPBACK_ALLOWED,
        max_in_flight=16,
        max_per_host=16,
        max_per_workspace=16,
        lease_seconds=LEASE_SECONDS,
        user_agent="Hourhand/test",
    )
    made.start()
    yield made
    made.stop(grace_seconds=1)


class Target:
    """Answer each attempt with its number, once the test releases it."""

    def __init__(self, receiver: Receiver, released: dict[str, threading.Event]) -> None:
        self.receiver = receiver
        self._released = released

    @property
    def calls(self) -> int:
        return len(self.receiver.exchanges)

    def release(self, *attempts: str) -> None:
        for attempt in attempts or self._released:
            self._released[attempt].set()


@pytest.fixture
def target() -> Iterator[Target]:
    released = {number: threading.Event() for number in "123"}

    def behave(exchange: Exchange) -> None:
        attempt = dict(exchange.headers)["x-hourhand-attempt"]
        released[attempt].wait(20)
        exchange.answer(body=attempt.encode())

    with receiving(behave) as receiver:
        made = Target(receiver, released)
        yield made
        made.release()


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_each_exchange_is_in_its_own_run(
    make_job: MakeJob, service: DeliveryService, target: Target, order: tuple[str, str]
) -> None:
    row: JobEnvironment = make_job(request={"url": target.receiver.url("/")}, retry={"max_attempts": 5})
    execution = services.run_now(job_environment=row, now=now(), actor=SYSTEM)
    service.submit([str(execution.pk)])
    eventually(lambda: target.calls == 1)
    lose(execution)
    service.submit([str(execution.pk)])
    eventually(lambda: target.calls == 2)
    for attempt in order:
        target.release(attempt)
        time.sleep(0.2)  # So that the first answer arrives before the second.
    eventually(lambda: Execution.objects.get(pk=execution.pk).status == "succeeded")
    lost, kept = Run.objects.order_by("number")
    assert (lost.failure_reason, lost.response_body) == ("worker_lost", None)
    assert (kept.status, kept.response_body) == ("succeeded", "2")
    eventually(lambda: service.in_flight_count == 0)
    assert target.calls == 2


def test_a_lost_claim_is_distinct_from_the_next_with_the_same_number(
    make_job: MakeJob, service: DeliveryService, target: Target
) -> None:
    """A renewal reports an attempt lost that was given back, after its number is in use again."""
    execution = services.run_now(
        job_environment=make_job(request={"url": target.receiver.url("/")}), now=now(), actor=SYSTEM
    )
    service.submit([str(execution.pk)])
    eventually(lambda: target.calls == 1)
    claimed = service._held.of_execution(str(execution.pk))
    given_back = claimed._replace(
        attempt=claimed.attempt._replace(run_id="0" * 32), request=claimed.request._replace(run_id="0" * 32)
    )
    service._abort_lost([given_back])
    target.release()
    eventually(lambda: Execution.objects.get(pk=execution.pk).status == "succeeded")
    assert Run.objects.get().status == "succeeded"


def test_a_lost_answer_to_a_give_back_is_harmless(
    make_job: MakeJob, service: DeliveryService, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database took an attempt back without the worker's knowledge: its number is soon in use again."""
    give_back, answers = Claimer.give_back, []

    def lost_answer(*args, **kwargs):
        answers.append(give_back(*args, **kwargs))
        if len(answers) == 1:
            raise DatabaseAwayError("the answer was lost")
        return answers[-1]

    may_send, refused = HeldAttempts.may_send, []

    def late_once(self, wanted, at):
        if refused:
            return may_send(self, wanted, at)
        refused.append(wanted)
        return False

    monkeypatch.setattr(Claimer, "give_back", lost_answer)
    monkeypatch.setattr(HeldAttempts, "may_send", late_once)
    execution = services.run_now(
        job_environment=make_job(request={"url": target.receiver.url("/")}), now=now(), actor=SYSTEM
    )
    service.submit([str(execution.pk)])
    eventually(lambda: len(answers) >= 1)
    target.release()
    service.submit([str(execution.pk)])
    eventually(lambda: Execution.objects.get(pk=execution.pk).status == "succeeded", seconds=15)
    (run,) = Run.objects.all()
    assert (run.number, run.response_body, target.calls) == (1, "1", 1)
