"""Retries after short waits: on time, by the worker that remembers them, without a beat or a query."""

import datetime
import itertools
import time

import pytest

from accounts.actors import SYSTEM
from runs.executions import services
from runs.models import Execution, Run
from tests.support.engine import eventually
from tests.support.jobs import MakeJob
from tests.support.receiver import receiving
from tests.support.testcall_workers import service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("retry", "waits_ms"),
    [
        ({"backoff": "fixed", "delay_ms": 100}, [100, 100]),
        ({"backoff": "list", "delays_ms": [300, 900]}, [300, 900]),
        ({"backoff": "exponential", "delay_ms": 200}, [200, 400]),
        ({"backoff": "fixed", "delay_ms": 0}, [0, 0]),
    ],
)
def test_short_waits_end_on_time(make_job: MakeJob, monkeypatch, retry: dict, waits_ms: list[int]):
    monkeypatch.setattr("workers.worker.service.IDLE_POLL_SECONDS", 600.0)
    worker = service()
    worker.start()
    try:
        with receiving(lambda exchange: exchange.answer("503 Busy")) as receiver:
            job = make_job(request={"url": receiver.url()}, retry={"max_attempts": 3, "jitter": False, **retry})
            made = services.run_now(job_environment=job, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM)
            started = time.monotonic()
            worker.submit([str(made.pk)])
            eventually(Execution.objects.filter(pk=made.pk, status="failed").exists, seconds=30)
            assert time.monotonic() - started >= sum(waits_ms) / 1000
        runs = list(Run.objects.filter(execution=made).order_by("number"))
        assert [run.number for run in runs] == [1, 2, 3]
        gaps = [
            (after.started_at - before.finished_at).total_seconds() * 1000 for before, after in itertools.pairwise(runs)
        ]
        assert all(gap >= asked - 1 for gap, asked in zip(gaps, waits_ms, strict=True)), gaps
    finally:
        worker.stop(grace_seconds=1)


def test_a_wait_ends_though_its_worker_died(make_job: MakeJob):
    """The wait is in the database: any other worker finds it there when it is due."""
    first, second = service(), service(name="worker-2@test", owner="worker-2@test/1")
    first.start()
    with receiving(lambda exchange: exchange.answer("503 Busy")) as receiver:
        retry = {"max_attempts": 2, "backoff": "fixed", "delay_ms": 300, "jitter": False}
        job = make_job(request={"url": receiver.url()}, retry=retry)
        made = services.run_now(job_environment=job, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM)
        first.submit([str(made.pk)])
        eventually(Run.objects.filter(execution=made).exists, seconds=30)
        first.stop(grace_seconds=0)
        second.start()
        try:
            eventually(Execution.objects.filter(pk=made.pk, status="failed").exists, seconds=30)
        finally:
            second.stop(grace_seconds=1)
