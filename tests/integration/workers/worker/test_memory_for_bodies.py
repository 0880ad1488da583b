"""A worker's memory for bodies is bounded, per workspace too: the rest waits, and is delivered later."""

import datetime
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from accounts.actors import SYSTEM
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from jobs.services.save import save_job
from runs.clock.requeue import requeue_due
from runs.executions import services
from runs.models import Execution, Run
from tests.support.engine import eventually
from tests.support.jobs import MakeJob, job_config
from tests.support.receiver import Receiver, receiving
from tests.support.testcall_workers import service
from workers.connections import Link
from workers.worker import held_bodies, versions
from workers.worker.claim import Claimer
from workers.worker.held_bodies import HeldBodies
from workers.worker.service import DeliveryService

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1_000_000
GREEDY, ROOM_FOR = 12, 3


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def slow_endpoint() -> Iterator[tuple[Receiver, threading.Event]]:
    """An endpoint that answers /slow once released, and everything else at once."""
    let_go = threading.Event()

    def answer(exchange) -> None:
        if exchange.path == "/slow":
            let_go.wait(20)
        exchange.answer()

    with receiving(answer) as receiver:
        yield receiver, let_go
        let_go.set()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeliveryService]:
    monkeypatch.setattr(held_bodies, "MAX_BODIES_BYTES_OF_WORKSPACE", ROOM_FOR * MEGABYTE + 100_000)
    monkeypatch.setattr("workers.worker.service._HEAVY_WAIT_SECONDS", 0.1)
    started = service(max_in_flight=100, max_per_host=100, max_per_workspace=100)
    started.start()
    yield started
    started.stop(grace_seconds=1)


def other_job(url: str) -> JobEnvironment:
    job: Job = save_job(
        workspace=create_workspace(slug="modest", name="Modest"), job=None, slug="small", environments=None, now=now(),
        config=job_config(request={"url": url, "body": "{{execution_id}}"}), actor=SYSTEM,
    )  # fmt: skip
    return JobEnvironment.objects.get(job=job)


def test_one_workspace_with_large_bodies_leaves_room_for_the_others(make_job: MakeJob, slow_endpoint, worker) -> None:
    receiver, let_go = slow_endpoint
    large = make_job(request={"url": receiver.url("/slow"), "body": "{{execution_id}}" + "x" * MEGABYTE})
    for _ in range(GREEDY):
        services.run_now(job_environment=large, now=now(), actor=SYSTEM)
    worker.submit([str(key) for key in Execution.objects.values_list("pk", flat=True)])
    eventually(lambda: len(receiver.exchanges) == ROOM_FOR)
    modest = services.run_now(job_environment=other_job(receiver.url("/fast")), now=now(), actor=SYSTEM)
    worker.submit([str(modest.pk)])
    eventually(lambda: Run.objects.filter(execution=modest, status="succeeded").exists())
    assert Counter(one.path for one in receiver.exchanges) == {"/slow": ROOM_FOR, "/fast": 1}
    let_go.set()

    def all_ended() -> bool:
        requeue_due(now=now())
        return Execution.objects.filter(status="succeeded").count() == GREEDY + 1

    eventually(all_ended, seconds=20)
    assert Counter(Run.objects.values_list("number", flat=True)) == {1: GREEDY + 1}
    assert Counter(one.path for one in receiver.exchanges) == {"/slow": GREEDY, "/fast": 1}


def test_bodies_beyond_the_limit_are_claimed_unloaded(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_bodies, "MAX_BODIES_BYTES_OF_WORKSPACE", ROOM_FOR * MEGABYTE + 100_000)
    rendered = make_job(request={"body": "{{execution_id}}" + "x" * MEGABYTE})
    for _ in range(GREEDY):
        services.run_now(job_environment=rendered, now=now(), actor=SYSTEM)
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test", held_bodies=HeldBodies())
    claimed = claimer.claim_any(Link("test"), limit=100)
    assert [one.is_too_heavy for one in claimed] == [False] * ROOM_FOR + [True] * (GREEDY - ROOM_FOR)
    assert {one.bodies for one in claimed if one.is_too_heavy} == {(None, None)}


def test_a_body_shared_by_executions_of_a_version_is_held_once(make_job: MakeJob) -> None:
    shared = make_job(request={"body": "x" * MEGABYTE})
    for _ in range(GREEDY):
        services.run_now(job_environment=shared, now=now(), actor=SYSTEM)
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test", held_bodies=HeldBodies())
    claimed = claimer.claim_any(Link("test"), limit=100)
    assert len({id(one.request.body) for one in claimed}) == 1
    assert not any(one.is_too_heavy for one in claimed)


def test_the_version_cache_is_bounded_by_size(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_MAX_BYTES", ROOM_FOR * MEGABYTE)
    known = versions.Versions("Hourhand/test")
    ids = [str(make_job(request={"body": "x" * MEGABYTE}).job.current_version_id) for _ in range(GREEDY)]
    with Link("test").transaction() as cursor:
        found = known.read(cursor, set(ids))
        assert set(found) == set(ids)
        assert len(known._cached) == ROOM_FOR
        again = known.read(cursor, set(ids))
    assert [len(again[key].common.definition.request.body) for key in ids] == [MEGABYTE] * GREEDY
