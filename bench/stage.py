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
#: Longer than any measure takes: a target that is forgotten ends by itself.
_TARGET_SECONDS = 3 * 60 * 60
_AHEAD_SECONDS, _MOVED_PER_SECOND = 4, 10_000
#: For processes whose standard error goes among a benchmark's own words.
QUIET = {
    "HOURHAND_LOG_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
}


def set_up() -> None:
    """Migrate a database of one's own. Ends the program where there are jobs: benchmarks empty all that they find.

    From now on whoever ends the program ends what it started, too.
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
    }
    process = subprocess.Popen(
        command, env={**os.environ, **QUIET, **allowed, **environment}, stdout=subprocess.DEVNULL
    )
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
    process = subprocess.Popen(command, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL)
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
        environments=None, now=timezone.now(), actor=SYSTEM,
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


def held_back(job_environment: JobEnvironment, count: int) -> list[str]:
    """Pending executions that nobody takes before `release`: a worker that has nothing to do asks the database."""
    return pending(job_environment, count, due=timezone.now() + datetime.timedelta(days=1))


def release() -> datetime.datetime:
    """Make all executions due in a moment, and wait for it; that instant."""
    due = timezone.now() + datetime.timedelta(seconds=_AHEAD_SECONDS + Execution.objects.count() / _MOVED_PER_SECOND)
    Execution.objects.update(next_attempt_at=due)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE runs_execution")
    left = (due - timezone.now()).total_seconds()
    assert left > 0, "the machine is too busy to measure anything"
    time.sleep(left)
    return due


def copy_jobs(
    original: JobEnvironment, count: int, *, kinds: str, config: str, next_fire_at: str, values: dict[str, Any]
) -> None:
    """Copies of a job that fire instead of it, each with its own version: `config` and `next_fire_at` are the SQL of
    theirs, in terms of `original`, `place` (1 to `count`) and `values`; `kinds` are three digits for their ids."""
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


def tell(text: str) -> None:
    """Say how far it is, on standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def empty() -> None:
    """Forget all jobs with their history, and all messages."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_job, runs_execution, runs_run, django_celery_beat_periodictask CASCADE")
    redis.Redis.from_url(settings.REDIS_URL).flushall()


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
