"""Transitions of real rows, logged by a trigger, against the model: all of the product's conform, no forged one."""

import datetime
import random
from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import SYSTEM
from proof import transition_log
from proof.conformance import Transition, allowed, move, violations
from runs.attempts.contract import FinishedAttempt
from runs.attempts.reaping import reap_expired
from runs.attempts.recording import record
from runs.attempts.retry import Canceled, GiveUp, RetryIn
from runs.clock.fire import fire_due
from runs.clock.requeue import requeue_due, requeue_lost
from runs.executions import services
from runs.failures import FailureReason
from runs.models import Execution
from tests.support.finished_attempts import finished
from tests.support.jobs import EPOCH, MakeJob
from workers.connections import Link
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = {"every_seconds": 60}


@pytest.fixture
def logged() -> Iterator[None]:
    with connection.cursor() as cursor:
        transition_log.install(cursor)
    yield
    with connection.cursor() as cursor:
        transition_log.remove(cursor)


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link("test")
    yield made
    made.close()


def seen() -> list[Transition]:
    with connection.cursor() as cursor:
        return transition_log.read(cursor)


def now() -> datetime.datetime:
    return timezone.now()


class Product:
    """The product's functions of workers, clock and people, on one job of three attempts."""

    def __init__(self, make_job: MakeJob, link: Link) -> None:
        self.link = link
        self.make_job = make_job
        self.job = make_job(retry={"max_attempts": 3})

    def run(self, *, later: bool = False) -> Execution:
        return services.run_now(job_environment=self.job, now=now(), delay_seconds=3600 if later else 0, actor=SYSTEM)

    def claim(self, execution: Execution, worker: str = "first") -> Claimed | None:
        claimer = Claimer(owner=worker, lease_seconds=60, user_agent="test")
        claimed = claimer.claim(self.link, [str(execution.pk)], limit=1)
        return claimed[0] if claimed else None

    def claimed(self, execution: Execution, worker: str = "first") -> Claimed:
        claimed = self.claim(execution, worker)
        assert claimed is not None
        return claimed

    def give_back(self, claimed: Claimed, wait_ms: int = 0) -> None:
        claimer = Claimer(owner=claimed.attempt.lease_owner, lease_seconds=60, user_agent="test")
        claimer.give_back(self.link, [claimed], wait_ms={claimed.attempt.execution_id: wait_ms})

    def record(self, *items: FinishedAttempt) -> None:
        with self.link.transaction() as cursor:
            record(cursor, items)

    def succeed(self, claimed: Claimed) -> None:
        self.record(finished(claimed))

    def fail(self, claimed: Claimed, *, last: bool = False) -> None:
        verdict = GiveUp(FailureReason.TIMEOUT) if last else RetryIn(60_000)
        self.record(finished(claimed, verdict, FailureReason.TIMEOUT, "too slow"))

    def expire(self, execution: Execution) -> None:
        Execution.objects.filter(pk=execution.pk, status="running").update(lease_expires_at=now() - MINUTE)

    def reap(self) -> None:
        reap_expired(user_agent="test", rng=random.Random(1))

    def come_due(self, execution: Execution) -> None:
        Execution.objects.filter(pk=execution.pk, status="pending", queued=False).update(next_attempt_at=now() - MINUTE)

    def cancel(self, execution: Execution) -> None:
        services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=now(), actor=SYSTEM)

    def at(self, minute: int) -> Execution:
        return Execution.objects.get(scheduled_for=EPOCH + minute * MINUTE)


def live_every_life(product: Product) -> None:
    """Everything that the product does to a row, at least once."""
    product.succeed(product.claimed(product.run()))
    product.cancel(product.run())
    product.cancel(product.run(later=True))
    sent = product.run()
    product.claimed(sent)
    product.cancel(sent)
    for last in (False, True):  # a retry that is canceled while it waits, and one when it has come due
        retried = product.run()
        product.fail(product.claimed(retried))
        if last:
            product.come_due(retried)
        product.cancel(retried)
    lost = product.run()
    for worker in ("first", "second", "first"):
        product.come_due(lost)
        product.claimed(lost, worker)
        product.expire(lost)
        product.reap()
    crowded = product.run()
    product.give_back(product.claimed(crowded), wait_ms=60_000)
    product.come_due(crowded)
    product.give_back(product.claimed(crowded, "second"))
    queue = product.make_job(schedule=EVERY_MINUTE, overlap="queue")
    for minute in (1, 2, 3):
        fire_due(EPOCH + minute * MINUTE)
    product.cancel(product.at(1))
    product.cancel(product.at(2))
    services.run_now(job_environment=queue, now=now(), actor=SYSTEM)
    fire_due(EPOCH + 4 * MINUTE)
    fire_due(EPOCH + 5 * MINUTE)
    product.cancel(Execution.objects.get(queued=True))
    product.make_job(schedule=EVERY_MINUTE, overlap="cancel_running", misfire="fire_all")
    fire_due(EPOCH + 9 * MINUTE)


def test_the_product_makes_exactly_the_models_transitions(make_job: MakeJob, link: Link, logged: None) -> None:
    live_every_life(Product(make_job, link))
    log = seen()
    assert violations(log) == []
    made = {move(one.before, one.after) for one in log if one.before is not None}
    assert made == {one for one in allowed() if not any(one.begun)}
    assert {one.after.status for one in log if one.before is None} == {"pending", "skipped", "canceled"}


@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_the_product_makes_only_transitions_of_the_model(
    make_job: MakeJob, link: Link, logged: None, seed: int
) -> None:
    """Two workers that remember all their claims, as if each had been paused, and act on them at any time."""
    product, rng = Product(make_job, link), random.Random(seed)
    executions = [product.run(), product.run(), product.run(later=True)]
    remembered: list[Claimed] = []
    for _ in range(80):
        execution = rng.choice(executions)
        old = rng.choice(remembered) if remembered else None
        match rng.choice(
            ["claim", "claim", "claim", "due", "due", "expire", "reap", "requeue", "old", "old", "cancel"]
        ):
            case "claim":
                claimed = product.claim(execution, rng.choice(["first", "second"]))
                remembered += [claimed] if claimed else []
            case "due":
                product.come_due(execution)
            case "expire":
                product.expire(execution)
            case "reap":
                product.reap()
            case "requeue":
                requeue_due(now())
                requeue_lost(now() + MINUTE)
            case "cancel":
                if rng.random() < 0.2 and not Execution.objects.get(pk=execution.pk).is_terminal:
                    product.cancel(execution)
            case "old" if old is not None:
                bring(product, old, rng)
    log = seen()
    assert violations(log) == []
    assert len({move(one.before, one.after) for one in log if one.before is not None}) >= 4


def bring(product: Product, claimed: Claimed, rng: random.Random) -> None:
    """A worker's possible actions on an attempt that it holds, or believes to hold."""
    last = claimed.attempt.number >= 3
    match rng.choice(["succeed", "fail", "fail", "abort", "give back", "give back"]):
        case "succeed":
            product.succeed(claimed)
        case "fail":
            product.fail(claimed, last=last)
        case "abort":
            product.record(finished(claimed, Canceled(sent=False)))
        case "give back":
            product.give_back(claimed, wait_ms=rng.choice([0, 60_000]))


RUN = "status = 'running', lease_owner = 'third', lease_expires_at = now() + interval '1 minute'"
END = "finished_at = now(), lease_owner = NULL, lease_expires_at = NULL"
WAIT = "status = 'pending', finished_at = NULL, next_attempt_at = now(), lease_owner = NULL, lease_expires_at = NULL"
#: What the table's constraints allow but no code does: from which state, and how.
PARKED = "wait_kind = 'delay', wait_expires_at = clock_timestamp()"
FORGED = {
    "alive again": ("ended", WAIT),
    "taken up again": ("ended", f"{RUN}, attempts = attempts + 1, finished_at = NULL"),
    "ended twice": ("ended", "status = 'failed'"),
    "claimed before it is due": ("later", f"{RUN}, attempts = attempts + 1"),
    "claimed while it queues": ("queued", f"{RUN}, attempts = attempts + 1, queued = false"),
    "claimed without an attempt": ("due", RUN),
    "claimed with two attempts": ("due", f"{RUN}, attempts = attempts + 2"),
    "taken from its owner": ("running", "lease_owner = 'third'"),
    "claimed while it runs": ("running", "attempts = attempts + 1"),
    "given back twice": ("running again", f"{WAIT}, attempts = attempts - 2"),
    "repeated with an attempt too many": ("running", f"{WAIT}, attempts = attempts + 1"),
    "ended with another attempt": ("running", f"status = 'succeeded', attempts = attempts + 1, {END}"),
    "ended without an attempt": ("due", f"status = 'succeeded', {END}"),
    "failed while it waits": ("due", f"status = 'failed', {END}"),
    "skipped late": ("later", f"status = 'skipped', skip_reason = 'missed', {END}"),
    "queued late": ("later", "queued = true, next_attempt_at = NULL"),
    "waiting": ("running", f"status = 'waiting', lease_owner = NULL, lease_expires_at = NULL, {PARKED}"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_transition_is_found(make_job: MakeJob, link: Link, logged: None, kind: str) -> None:
    state, change = FORGED[kind]
    execution = execution_in(Product(make_job, link), state)
    assert violations(seen()) == []
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE runs_execution SET {change} WHERE id = %s", [execution.pk])  # noqa: S608 - our own text
    (told,) = violations(seen())
    assert "no step of the model" in told
    assert str(execution.pk) in told


def execution_in(product: Product, state: str) -> Execution:
    if state == "queued":
        services.run_now(
            job_environment=product.make_job(schedule=EVERY_MINUTE, overlap="queue"), now=now(), actor=SYSTEM
        )
        fire_due(EPOCH + MINUTE)
        return product.at(1)
    execution = product.run(later=state == "later")
    if state in ("running", "running again", "ended"):
        claimed = product.claimed(execution)
        if state == "ended":
            product.succeed(claimed)
        if state == "running again":
            product.fail(claimed)
            product.come_due(execution)
            product.claimed(execution)
    return execution


def test_an_unlogged_transition_is_found_at_the_next_one(make_job: MakeJob, link: Link, logged: None) -> None:
    product = Product(make_job, link)
    execution = product.run()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE runs_execution DISABLE TRIGGER proof_transition_moves")
        claimed = product.claimed(execution)
        cursor.execute("ALTER TABLE runs_execution ENABLE TRIGGER proof_transition_moves")
    product.succeed(claimed)
    (told,) = violations(seen())
    assert "a change was not logged" in told


def test_rollbacks_and_renewals_are_not_logged(make_job: MakeJob, link: Link, logged: None) -> None:
    product = Product(make_job, link)
    execution = product.run()
    product.claimed(execution)
    before = seen()
    product.expire(execution)
    with link.transaction() as cursor:
        cursor.execute("UPDATE runs_execution SET attempts = 9")
        cursor.connection.rollback()
    assert seen() == before
    assert [one.after.status for one in before] == ["pending", "running"]
