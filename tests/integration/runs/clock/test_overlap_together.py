"""Concurrent beats, workers and people on jobs with overlap policies: no deadlock, and nothing is lost."""

import contextlib
import datetime
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from jobs.services.save import pause, resume
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.clock.requeue import requeue_due
from runs.errors import ExecutionNotCancelableError
from runs.executions import services
from runs.ledger.read import account_of
from runs.models import Execution
from runs.overlap import release_forgotten
from tests.support.finished_attempts import finished, record_on
from tests.support.jobs import MakeJob
from workers.connections import Link
from workers.worker.claim import Claimer

SECONDS = 3
POLICIES = ("skip", "queue", "cancel_running", "allow")


class RepeatingThreads:
    """Threads that each repeat one action, on their own connections, until they are stopped."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def keep(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                while not self._over.is_set():
                    work()
            except Exception as error:
                self.faults.append(error)
            finally:
                connection.close()

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)


def beat() -> None:
    now = timezone.now()
    settle_due(now)
    fire_due(now)
    requeue_due(now)
    release_forgotten()


def worker(name: str, link: Link) -> Callable[[], None]:
    claimer = Claimer(owner=name, lease_seconds=60, user_agent="test")

    def work() -> None:
        claimed = claimer.claim_any(link, limit=5)
        time.sleep(0.01)
        record_on(link, *map(finished, claimed))

    return work


def cancel_something() -> None:
    execution = Execution.objects.filter(finished_at__isnull=True).order_by("?").select_related("workspace").first()
    if execution is not None:
        with contextlib.suppress(ExecutionNotCancelableError):
            services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=timezone.now(), actor=SYSTEM)
    time.sleep(0.02)


def pause_something() -> None:
    row = JobEnvironment.objects.order_by("?").first()
    pause(job_environments=[row], until=None, note="", now=timezone.now(), actor=SYSTEM)
    time.sleep(0.05)
    resume(job_environments=[row], now=timezone.now(), actor=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_concurrent_beats_workers_and_people_lose_nothing_and_never_deadlock(make_job: MakeJob):
    began = timezone.now() - datetime.timedelta(seconds=5)
    rows = [make_job(schedule={"every_seconds": 1}, overlap=policy, now=began) for policy in POLICIES * 2]
    threads, links = RepeatingThreads(), [Link("one"), Link("two")]
    workers = [worker(f"worker-{number}", link) for number, link in enumerate(links)]
    for work in (beat, beat, *workers, cancel_something, pause_something):
        threads.keep(work)
    time.sleep(SECONDS)
    threads.stop()
    for link in links:
        link.close()
    assert threads.faults == []
    while settle_due(timezone.now()).due:
        pass
    release_forgotten()
    assert not orphans()
    for row in rows:
        now = timezone.now()
        ledger = account_of(row, start=began, end=now, now=now).ledger
        assert ledger.differences == ()
        assert ledger.fired
        assert ledger.planned == ledger.fired + sum(ledger.skipped.values()) + ledger.due


def orphans() -> list[Execution]:
    """Return queued executions without a live one before them."""
    waiting = Execution.objects.filter(queued=True)
    live = Execution.objects.filter(finished_at__isnull=True, queued=False).values("job_environment")
    return list(waiting.exclude(job_environment__in=live))
