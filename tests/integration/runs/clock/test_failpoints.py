"""A process dies at each step of a firing, and the next one completes its work: nothing is lost or repeated needlessly.

One turn does all that beats and workers do. It runs in a fork that kills itself at a failpoint, then here, to its end.
"""

import collections
import datetime
import os
import random
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection

from accounts.actors import SYSTEM
from core import failpoints
from jobs.models import JobEnvironment
from jobs.services.save import pause, resume
from runs.attempts.reaping import reap_expired
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.clock.requeue import requeue_due, requeue_lost
from runs.executions import services
from runs.ledger.read import account_of
from runs.models import Execution, Run
from runs.queue import DELIVERIES_QUEUE, enqueue
from tests.acceptance.chaos.process_faults import OF_WORKFLOWS, STEPS
from tests.support.engine import eventually
from tests.support.jobs import MakeJob
from tests.support.receiver import Receiver, receiving
from tests.support.testcall_workers import service
from workers.connections import Link
from workers.worker.claim import Claimer

pytestmark = pytest.mark.django_db(transaction=True)

#: Those of workflows: tests/acceptance/test_workflows.py.
POINTS = [point for step, points in STEPS.items() if step not in OF_WORKFLOWS for point in points]
SECOND, MINUTE = datetime.timedelta(seconds=1), datetime.timedelta(minutes=1)
AT_ONCE = {"delay_ms": 0}
DEAD, DYING, LIVING = (f"worker@test/{number}" for number in (1, 2, 3))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def everything_due(make_job: MakeJob, receiver: Receiver) -> Iterator[JobEnvironment]:
    """An occurrence to fire, a pause to settle, an execution to send, and one that a dead worker held."""
    request = {"url": receiver.url(), "method": "POST"}
    past = database_now() - MINUTE
    row = make_job(schedule={"every_seconds": 7}, request=request, retry=AT_ONCE, misfire="fire_all", now=past)
    pause(job_environments=[row], until=None, note="", now=past + 20 * SECOND, actor=SYSTEM)
    resume(job_environments=[row], now=past + 40 * SECOND, actor=SYSTEM)
    by_hand = make_job(slug="by-hand", request=request, retry=AT_ONCE)
    services.run_now(job_environment=by_hand, now=past, actor=SYSTEM)
    link = Link("test")
    Claimer(owner=DEAD, lease_seconds=60, user_agent="test").claim_any(link, limit=1)
    link.close()
    expire(DEAD)
    unsent = services.run_now(job_environment=by_hand, now=past, actor=SYSTEM)
    Execution.objects.filter(pk=unsent.pk).update(enqueued_at=None)
    yield row
    redis.Redis.from_url(settings.REDIS_URL).delete(DELIVERIES_QUEUE)


@pytest.mark.parametrize("point", POINTS)
def test_the_next_process_completes_the_work_of_one_killed_here(
    point: str, everything_due: JobEnvironment, receiver: Receiver, tmp_path: Path
):
    assert died_by(lambda: turn(DYING), at=point, orders=tmp_path) == signal.SIGKILL
    expire(DYING)
    eventually(lambda: turn(LIVING) or ended(), 20)

    now = database_now()
    ledger = account_of(everything_due, start=now - 2 * MINUTE, end=now, now=now).ledger
    assert ledger.differences == ()
    assert ledger.fired > 0
    assert ledger.skipped["paused"] > 0
    assert set(Execution.objects.exclude(skip_reason="paused").values_list("status", flat=True)) == {"succeeded"}
    lost = collections.Counter(
        str(key) for key in Run.objects.filter(failure_reason="worker_lost").values_list("execution", flat=True)
    )
    seen = collections.Counter(dict(exchange.headers)["x-hourhand-execution-id"] for exchange in receiver.exchanges)
    fired = {str(key) for key in Execution.objects.filter(skip_reason="").values_list("pk", flat=True)}
    assert set(seen) == fired
    assert all(times <= 1 + lost[key] for key, times in seen.items())
    assert Run.objects.filter(status="succeeded").count() == len(fired)


def turn(owner: str) -> None:
    """Settle, fire, requeue, reap, claim, deliver and record everything that is due."""
    now = database_now()
    ids = settle_due(now).execution_ids + fire_due(now).execution_ids
    ids += requeue_due(now) + requeue_lost(now + MINUTE)
    enqueue(ids)
    reap_expired(user_agent="Hourhand/test", rng=random.Random(0))
    worker = service(owner=owner)
    worker.start()
    waiting = [str(key) for key in Execution.objects.filter(status="pending").values_list("pk", flat=True)]
    worker.submit(waiting)
    eventually(lambda: not Execution.objects.filter(pk__in=waiting, finished_at=None).exists())
    worker.stop(grace_seconds=1)


def died_by(work: Callable[[], None], *, at: str, orders: Path) -> int:
    """Run `work` in a fork of this process, killed at a failpoint; return the signal that ended it, or 0."""
    (orders / at).write_text(str(int(signal.SIGKILL)))
    connection.close()
    pid = os.fork()
    if pid == 0:
        try:
            failpoints._DIRECTORY = str(orders)
            work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) * -1


def expire(owner: str) -> None:
    """Expire its lease."""
    Execution.objects.filter(lease_owner=owner).update(lease_expires_at=database_now() - MINUTE)


def ended() -> bool:
    return not Execution.objects.filter(finished_at=None).exists()


def database_now() -> datetime.datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]
