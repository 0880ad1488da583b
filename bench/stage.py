"""What every benchmark stands on: a fast target, worker processes, and executions made in bulk."""

import contextlib
import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from celery import current_app
from django.db import connection
from django.utils import timezone

from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from jobs.services import save_job
from runs.models import Execution, Heartbeat, Run
from runs.states import Trigger
from tests.conftest import job_config

_BATCH = 5000
_POLL_SECONDS = 0.2
_READY_SECONDS = 30


@contextlib.contextmanager
def target(*, cpu: int | None = None) -> Iterator[int]:
    """A target process; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.target", "--port", "0"], stdout=subprocess.PIPE, text=True, preexec_fn=_pin(cpu)
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[-1])
    finally:
        _end(process)


@contextlib.contextmanager
def worker(name: str = "bench", *, queues: str = "deliveries", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, as the product starts it, allowed to call loopback; yields once it has started."""
    command = [sys.executable, "-m", "celery", "-A", "scheduler_project", "worker", "--pool", "threads"]
    command += [
        "--concurrency",
        "4",
        "--queues",
        queues,
        "-n",
        f"{name}@%h",
        "--without-gossip",
        "--without-mingle",
    ]
    allowed = {
        "HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8",
        "HOURHAND_OUTBOUND_PORTS": "*",
        "HOURHAND_LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen(command, env={**os.environ, **allowed, **environment})
    try:
        _await_ready(name)
        yield process
    finally:
        _end(process)


@contextlib.contextmanager
def beat() -> Iterator[subprocess.Popen[bytes]]:
    """A beat process, as the product starts it; yields once it ticks."""
    Heartbeat.objects.all().delete()
    command = [sys.executable, "-m", "celery", "-A", "scheduler_project", "beat", "--pidfile="]
    process = subprocess.Popen(command, env={**os.environ, "HOURHAND_LOG_LEVEL": "WARNING"}, stdout=subprocess.DEVNULL)
    try:
        _await(Heartbeat.objects.filter(kind="beat").exists, "the beat did not start")
        yield process
    finally:
        _end(process)


def job(*, url: str, slug: str = "bench", **changes: object) -> JobEnvironment:
    """A manual job in the bench's workspace."""
    workspace = Workspace.objects.first() or create_workspace(slug="bench", name="Bench")
    made = save_job(
        workspace=workspace, job=None, slug=slug, config=job_config(request={"url": url, "method": "GET"}, **changes),
        environments=None, now=timezone.now(),
    )  # fmt: skip
    return JobEnvironment.objects.select_related("job").get(job=made)


def pending(job_environment: JobEnvironment, count: int, *, due: datetime.datetime | None = None) -> list[str]:
    """Make that many pending executions that are due then, or now; their ids."""
    now = timezone.now()
    ids = []
    for start in range(0, count, _BATCH):
        made = Execution.objects.bulk_create(
            Execution(
                workspace_id=job_environment.workspace_id,
                job_id=job_environment.job_id,
                environment_id=job_environment.environment_id,
                job_environment=job_environment,
                job_version_id=job_environment.job.current_version_id,
                trigger=Trigger.MANUAL,
                created_at=now,
                next_attempt_at=due or now,
                enqueued_at=now,
            )
            for _ in range(min(_BATCH, count - start))
        )
        ids += [execution.pk for execution in made]
    return ids


def await_finished(count: int, *, seconds: float) -> None:
    """Wait until that many runs are recorded; asks rarely, so as not to compete with what is measured."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if Run.objects.count() >= count:
            return
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"not all of {count} executions ended within {seconds} s")


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    """How much memory a process holds now."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def recorded_span() -> datetime.timedelta:
    """From the first request on the wire to the last answer, as recorded."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(finished_at) - min(started_at) FROM runs_run")
        span: datetime.timedelta = cursor.fetchone()[0]
    return span


def clear() -> None:
    """Forget all history, so that each round starts alike."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE runs_run, runs_execution, runs_endedslip, runs_digest")
        cursor.execute("VACUUM ANALYZE jobs_jobenvironment")


def _await_ready(name: str) -> None:
    """A worker answers once it takes messages: what it needs to start is not what is measured."""
    place = f"{name}@{socket.gethostname()}"
    _await(lambda: bool(current_app.control.ping(destination=[place], timeout=0.2)), "the worker did not start")


def _await(holds: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if holds():
            return
        time.sleep(0.05)
    raise TimeoutError(otherwise)


def _pin(cpu: int | None) -> Callable[[], None] | None:
    return None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
