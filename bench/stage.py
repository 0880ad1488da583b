"""Shared by the benchmarks: a fast target, beat and worker processes, and executions created in bulk."""

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
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from jobs.services.save import save_job
from runs.models import Execution, Heartbeat, Run
from runs.states import Trigger
from tests.support.copies import copied_id, copy_row
from tests.support.jobs import job_config

_BATCH = 5000
_POLL_SECONDS = 0.2
_READY_SECONDS = 120
#: Longer than any measure: an abandoned target ends by itself.
_TARGET_SECONDS = 3 * 60 * 60
_AHEAD_SECONDS, _MOVED_PER_SECOND = 4, 10_000
#: For beats and workers: those whose outbound rules differ from the others' claim nothing.
_LOOPBACK = {"HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8", "HOURHAND_OUTBOUND_PORTS": "*"}
#: For processes that share a benchmark's standard error.
QUIET = {
    "HOURHAND_LOG_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
}


def set_up() -> None:
    """Migrate the database. Exits if it holds jobs, because benchmarks delete everything.

    From now on SIGTERM also ends the processes that the benchmark started.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if Job._meta.db_table in connection.introspection.table_names() and Job.objects.exists():
        sys.exit("This database holds jobs. Run benchmarks through: manage.py with_services -- python -m bench")
    call_command("migrate", verbosity=0)


@contextlib.contextmanager
def target(*, cpu: int | None = None) -> Iterator[int]:
    """A target process; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.target", "--seconds", str(_TARGET_SECONDS)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_pin(cpu),
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[-1])
    finally:
        _end(process)


@contextlib.contextmanager
def worker(name: str = "bench", *, queues: str = "deliveries", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process as Hourhand starts it, but allowed to call loopback. Yields once it is ready."""
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
    process = subprocess.Popen(
        command, env={**os.environ, **QUIET, **_LOOPBACK, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        _await_ready(name)
        yield process
    finally:
        _end(process)


@contextlib.contextmanager
def beat() -> Iterator[subprocess.Popen[bytes]]:
    """A beat process as Hourhand starts it, with the workers' outbound rules. Yields once it ticks."""
    Heartbeat.objects.all().delete()
    command = [sys.executable, "-m", "celery", "-A", "scheduler_project", "beat", "--pidfile="]
    process = subprocess.Popen(command, env={**os.environ, **QUIET, **_LOOPBACK}, stdout=subprocess.DEVNULL)
    try:
        _await(Heartbeat.objects.filter(kind="beat").exists, "the beat did not start")
        yield process
    finally:
        _end(process)


def job(*, url: str, slug: str = "bench", **changes: object) -> JobEnvironment:
    """Create a manual job in the benchmark's workspace."""
    workspace = Workspace.objects.first() or create_workspace(slug="bench", name="Bench")
    saved = save_job(
        workspace=workspace, job=None, slug=slug, config=job_config(request={"url": url, "method": "GET"}, **changes),
        environments=None, now=timezone.now(), actor=SYSTEM,
    )  # fmt: skip
    return JobEnvironment.objects.select_related("job").get(job=saved)


def pending(job_environment: JobEnvironment, count: int, *, due: datetime.datetime | None = None) -> list[str]:
    """Create `count` pending executions, due at `due` or now. Returns their ids."""
    now = timezone.now()
    ids = []
    for start in range(0, count, _BATCH):
        executions = Execution.objects.bulk_create(
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
        ids += [execution.pk for execution in executions]
    return ids


def held_back(job_environment: JobEnvironment, count: int) -> list[str]:
    """Create pending executions that no worker claims before `release`: idle workers also query the database."""
    return pending(job_environment, count, due=timezone.now() + datetime.timedelta(days=1))


def release() -> datetime.datetime:
    """Make all executions due in a few seconds, and wait for that time. Returns it."""
    due = timezone.now() + datetime.timedelta(seconds=_AHEAD_SECONDS + Execution.objects.count() / _MOVED_PER_SECOND)
    Execution.objects.update(next_attempt_at=due)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE runs_execution")
    seconds = (due - timezone.now()).total_seconds()
    assert seconds > 0, "the machine is too busy to measure anything"
    time.sleep(seconds)
    return due


def copy_jobs(
    original: JobEnvironment, count: int, *, kinds: str, config: str, next_fire_at: str, values: dict[str, Any]
) -> None:
    """Copy a job with its version `count` times; the copies fire in its place.

    `config` and `next_fire_at` are SQL over `original`, `place` (1 to `count`) and `values`. `kinds` are three digits
    of the copies' ids.
    """
    job_id, version_id, place_id = map(copied_id, kinds)
    slug = f"'{original.job.slug}-' || place"
    copy_row("jobs_job", original.job_id, count, id=job_id, slug=slug, current_version_id="NULL")
    copy_row(
        "jobs_jobversion", original.job.current_version_id, count,
        id=version_id, job_id=job_id, config=config, values=values,
    )  # fmt: skip
    copy_row(
        "jobs_jobenvironment", original.pk, count,
        id=place_id, job_id=job_id, next_fire_at=next_fire_at, values=values,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET current_version_id = version.id FROM jobs_jobversion AS version"
            " WHERE version.job_id = jobs_job.id AND current_version_id IS NULL"
        )
        cursor.execute(
            "UPDATE jobs_jobenvironment SET enabled = false, next_fire_at = NULL WHERE id = %s", [original.pk]
        )
        cursor.execute("VACUUM ANALYZE jobs_job, jobs_jobversion, jobs_jobenvironment")


def await_finished(count: int, *, seconds: float) -> None:
    """Wait until `count` runs are recorded. Polls rarely, to not disturb the measurement. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if Run.objects.count() >= count:
            return
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"not all of {count} executions ended within {seconds} s")


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    """The resident memory of a process."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def recorded_span() -> datetime.timedelta:
    """From the first recorded request to the last recorded response."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(finished_at) - min(started_at) FROM runs_run")
        span: datetime.timedelta = cursor.fetchone()[0]
    return span


def report(text: str) -> None:
    """Print progress to standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def empty() -> None:
    """Delete all jobs, their history, and all messages."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_job, runs_execution, runs_run, django_celery_beat_periodictask CASCADE")
    redis.Redis.from_url(settings.REDIS_URL).flushall()


def clear() -> None:
    """Delete all history, so that every round starts the same."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE runs_run, runs_stepstate, runs_execution, runs_endedslip, runs_digest")
        cursor.execute("VACUUM ANALYZE jobs_jobenvironment")


def _await_ready(name: str) -> None:
    """Wait until a worker answers pings, so that its start is not measured."""
    node = f"{name}@{socket.gethostname()}"
    _await(lambda: bool(current_app.control.ping(destination=[node], timeout=0.2)), "the worker did not start")


def _await(condition: Callable[[], bool], failure: str) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError(failure)


def _pin(cpu: int | None) -> Callable[[], None] | None:
    return None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
