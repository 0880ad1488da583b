"""A canceled run's request: only its worker knows if it was sent, and corrects the run."""

import datetime
import random
import threading
from collections.abc import Iterator

import pytest
from django.db import transaction

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from runs.attempts.recording import record
from runs.executions import services
from runs.failures import FailureReason
from runs.models import Execution, Run
from tests.support.engine import LOOPBACK_ALLOWED, eventually
from tests.support.jobs import MakeJob
from tests.support.receiver import Exchange, Receiver, receiving
from workers.connections import Link
from workers.delivery.transfer import unanswered
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate
from workers.worker.service import DeliveryService

pytestmark = pytest.mark.django_db(transaction=True)

UNSENT = "Canceled before the request was sent."
MAYBE = "Canceled in flight; the request may have arrived."


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def asked(row: JobEnvironment) -> Execution:
    return services.run_now(job_environment=row, now=now(), actor=SYSTEM)


def cancel(execution: Execution) -> None:
    services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=now(), actor=SYSTEM)


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link("test")
    yield made
    made.close()


def claim(execution: Execution, link: Link) -> Claimed:
    claimer = Claimer(owner="first", lease_seconds=60, user_agent="Hourhand/test")
    (claimed,) = claimer.claim(link, [str(execution.pk)], limit=1)
    return claimed


def aborted(claimed: Claimed, link: Link, *, sent: bool) -> set[str]:
    """Record that the worker aborted this attempt. Returns what moved."""
    result = unanswered(claimed.request, FailureReason.UNKNOWN, "canceled", aborted=True, sent=sent)
    with link.transaction() as cursor:
        return record(cursor, [evaluate(claimed, result, worker="w", rng=random.Random(1))])


@pytest.mark.parametrize(("sent", "told"), [(False, UNSENT), (True, MAYBE)])
def test_the_worker_corrects_the_run_of_an_unsent_call(make_job: MakeJob, link: Link, sent: bool, told: str) -> None:
    execution = asked(make_job())
    claimed = claim(execution, link)
    cancel(execution)
    assert Run.objects.get().error == MAYBE
    assert aborted(claimed, link, sent=sent) == set()
    execution.refresh_from_db()
    run = Run.objects.get()
    assert (execution.status, run.status, run.error, execution.error) == ("canceled", "canceled", told, told)


def test_a_late_result_changes_no_other_attempts_run(make_job: MakeJob, link: Link) -> None:
    execution = asked(make_job())
    claimed = claim(execution, link)
    Claimer(owner="first", lease_seconds=60, user_agent="Hourhand/test").give_back(link, [claimed])
    Claimer(owner="second", lease_seconds=60, user_agent="Hourhand/test").claim(link, [str(execution.pk)], limit=1)
    cancel(execution)
    aborted(claimed, link, sent=False)
    assert Run.objects.get().error == MAYBE


@pytest.fixture
def long_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough to lock the executions to be given back."""
    for module in ("fairness", "engine"):
        monkeypatch.setattr(f"workers.delivery.{module}.PATIENCE_SECONDS", 2.0)


@pytest.fixture
def service(long_patience: None) -> Iterator[DeliveryService]:
    made = DeliveryService(
        name="worker@test",
        owner="worker@test/1",
        policy=LOOPBACK_ALLOWED,
        max_in_flight=16,
        max_per_host=2,
        max_per_workspace=16,
        lease_seconds=60,
        user_agent="Hourhand/test",
    )
    made.start()
    yield made
    made.stop(grace_seconds=1)


@pytest.fixture
def slow() -> Iterator[Receiver]:
    release = threading.Event()

    def behave(exchange: Exchange) -> None:
        release.wait(20)
        exchange.answer()

    with receiving(behave) as receiver:
        yield receiver
        release.set()


def test_calls_waiting_for_a_slot_are_canceled_unsent(
    make_job: MakeJob, service: DeliveryService, slow: Receiver
) -> None:
    row = make_job(request={"url": slow.url("/")})
    made = [asked(row) for _ in range(5)]
    service.submit([str(execution.pk) for execution in made])
    eventually(lambda: len(slow.exchanges) == 2 and service.waiting_count == 3)
    with transaction.atomic():
        # Locked rows are not given back: two of those waiting are between the engine and the database then.
        list(Execution.objects.select_for_update())
        eventually(lambda: service.waiting_count == 1, seconds=10)
        for execution in made:
            cancel(execution)
    for execution in reversed(made):  # a call that ends leaves its place to the next that waits
        eventually(lambda id_=str(execution.pk): not service.abort(id_))
    eventually(lambda: Run.objects.filter(error=UNSENT).count() == 3)
    assert Run.objects.filter(error=MAYBE).count() == 2
    assert set(Execution.objects.values_list("status", flat=True)) == {"canceled"}
    assert len(slow.exchanges) == 2
