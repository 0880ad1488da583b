"""The beat's clock under load: thousands of jobs due at the same second, and a million schedules with none due.

    manage.py with_services -- python -m bench.clock [--due 10000] [--idle 1000000] [--rounds 3] [--without-peer]

1. A real beat fires jobs that are due at the same second, with a few dozen cron expressions and time zones and a
   version each. Measures the time from that second to the last execution and to the last id on Redis, with nothing
   else running; then with one real worker per core that calls a local target, also to the last request on the wire.
2. The peer: django-celery-beat's own scheduler with as many PeriodicTasks of one crontab, up to the last message on
   Redis, with nothing else running. After two minutes it is stopped, and the time is extrapolated from its rate.
3. Schedules of which none is due: the CPU time of a tick, of this process and of its PostgreSQL backend; then the
   time that a real beat takes to fire an added job.
"""

import argparse
import contextlib
import datetime
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import django

from accounts.actors import SYSTEM

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

import redis  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks  # noqa: E402

from accounts.models import Workspace  # noqa: E402
from bench import stage  # noqa: E402
from bench.budget import median_ratio  # noqa: E402
from jobs.services.save import save_job  # noqa: E402
from tests.support.copies import copied_id, copy_row  # noqa: E402
from tests.support.jobs import job_config  # noqa: E402
from workers.beat.clock import Clock  # noqa: E402

_POLL_SECONDS = 0.02
_MINUTE = datetime.timedelta(minutes=1)
_TICKS = 300
FEW = 100
_ADDED = 5
_PEER_QUEUE = "peer"
PEER_SECONDS = 120
_DAYS = ("* * *", "1-31 * *", "* 1-12 *", "* * 0-6", "* */1 *")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "America/Sao_Paulo")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--due", type=int, default=10_000, help="jobs due at the same second; 0 skips this part")
    parser.add_argument("--idle", type=int, default=1_000_000, help="schedules that are not due; 0 skips this part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-peer", action="store_true")
    options = parser.parse_args()
    stage.set_up()
    if options.due:
        print(due_at_once(options.due, rounds=options.rounds, with_peer=not options.without_peer))
    if options.idle:
        print(none_due(options.idle))


# -- many due at the same second ---------------------------------------------------------------------------------------


class Burst(NamedTuple):
    """Seconds from the due time to the last execution, the last id on Redis, and the last request on the wire."""

    fired: float
    sent: float
    wire: float

    def __str__(self) -> str:
        wire = f", on the wire {self.wire:.2f} s" if self.wire else ""
        return f"fired {self.fired:.2f} s, on Redis {self.sent:.2f} s{wire}"

    @classmethod
    def median(cls, bursts: Sequence["Burst"]) -> "Burst":
        return cls(*map(statistics.median, zip(*bursts, strict=True)))


@dataclass(frozen=True, slots=True)
class Bursts:
    """The rounds of a burst of `count` jobs. `theirs` are the peer's seconds, extrapolated from its rate."""

    count: int
    alone: list[Burst]
    together: list[Burst]
    theirs: list[float]

    @property
    def peer_ratio(self) -> float:
        """How many times longer the peer takes."""
        return median_ratio(self.theirs, [burst.sent for burst in self.alone])

    def __str__(self) -> str:
        lines = [f"{self.count:,} jobs due at the same second, medians of {len(self.alone)} rounds"]
        for name, bursts in (("a beat alone", self.alone), ("with workers", self.together)):
            lines.append(f"  hourhand, {name}: {Burst.median(bursts)}")
        if self.theirs:
            theirs = statistics.median(self.theirs)
            lines.append(f"  django-celery-beat, at its rate: on Redis {theirs:.2f} s, {self.peer_ratio:.0f} x as long")
        return "\n".join(lines)


def due_at_once(count: int, *, rounds: int, with_peer: bool) -> Bursts:
    bursts = Bursts(count, [], [], [])
    with stage.target() as port:
        for number in range(1, rounds + 1):
            for name, rounds_of, workers in (
                ("a beat alone", bursts.alone, 0),
                ("with workers", bursts.together, os.cpu_count() or 1),
            ):
                rounds_of.append(one_round(count, f"http://127.0.0.1:{port}/", workers=workers))
                stage.report(f"round {number}  hourhand, {name}: {rounds_of[-1]}")
            if with_peer:
                bursts.theirs.append(peer_round(count))
                stage.report(f"round {number}  django-celery-beat, at its rate: on Redis {bursts.theirs[-1]:.2f} s")
    return bursts


def one_round(count: int, url: str, *, workers: int) -> Burst:
    """Fire a burst, and deliver it if there are workers; without them `wire` is 0."""
    stage.empty()
    broker = redis.Redis.from_url(settings.REDIS_URL)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stage.beat())
        for number in range(workers):
            stack.enter_context(stage.worker(f"bench-{number}"))
        due_at = _next_minute(at_least_seconds=10 + count / 1000)
        make_due(count, url, due_at)
        _sleep_until(due_at - datetime.timedelta(seconds=0.5))
        messages, fired_at, sent_at = _pushed(broker), due_at, due_at
        while (now := timezone.now()) < due_at + _MINUTE:
            if _pushed(broker) > messages:
                messages, sent_at = _pushed(broker), now
            if fired_at == due_at and _fired() == count:
                fired_at = now
            quiet = fired_at > due_at and (now - sent_at).total_seconds() > 1
            if quiet and (not workers or _ended() == count):
                break
            time.sleep(_POLL_SECONDS)
        assert fired_at > due_at, "not all jobs fired"
    fired, sent = ((instant - due_at).total_seconds() for instant in (fired_at, sent_at))
    return Burst(fired, sent, (_last_request() - due_at).total_seconds() if workers else 0.0)


def make_due(count: int, url: str, due_at: datetime.datetime) -> None:
    """Create jobs that fire daily at this minute, each with its own version."""
    original = stage.job(url=url, slug="due", schedule=f"{due_at.minute} {due_at.hour} * * *")
    stage.copy_jobs(
        original, count, kinds="abc", config=_varied(due_at),
        next_fire_at="%(due_at)s::timestamptz", values={"due_at": due_at},
    )  # fmt: skip


def _varied(due_at: datetime.datetime) -> str:
    """SQL of a version's configuration: one of many expressions and time zones that are due at `due_at`."""
    changes = []
    for days, zone in itertools.product(_DAYS, _ZONES):
        local = due_at.astimezone(ZoneInfo(zone))
        changes.append(json.dumps({"schedule": f"{local.minute} {local.hour} {days}", "timezone": zone}))
    listed = ", ".join(f"'{change}'" for change in changes)
    return f"original.config || (ARRAY[{listed}]::jsonb[])[1 + place %% {len(changes)}]"


def _pushed(broker: "redis.Redis") -> int:
    """The number of messages sent to Redis so far."""
    return int(broker.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0))  # type: ignore[union-attr]


def _fired() -> int:
    return _count("SELECT count(*) FROM runs_execution WHERE trigger = 'schedule'")


def _ended() -> int:
    return _count("SELECT count(*) FROM runs_execution WHERE finished_at IS NOT NULL")


def _count(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def _last_request() -> datetime.datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(started_at) FROM runs_run")
        last: datetime.datetime = cursor.fetchone()[0]
    return last


# -- the peer ----------------------------------------------------------------------------------------------------------


def peer_round(count: int) -> float:
    """Seconds from the due minute to the last message on Redis, extrapolated after PEER_SECONDS; infinite without any
    message by then.
    """
    stage.empty()
    due_at = _next_minute(at_least_seconds=20 + count / 200)  # it makes one query for each task's crontab
    crontab, _ = CrontabSchedule.objects.get_or_create(minute=due_at.minute, timezone="UTC")
    PeriodicTask.objects.bulk_create(
        PeriodicTask(name=f"due-{number}", task="peer.deliver", args=f'["{number}"]', crontab=crontab)
        for number in range(count)
    )
    PeriodicTasks.update_changed()
    broker = redis.Redis.from_url(settings.REDIS_URL)
    with _peer_beat():
        _sleep_until(due_at)
        while True:
            messages = int(broker.llen(_PEER_QUEUE))  # type: ignore[arg-type]
            seconds = (timezone.now() - due_at).total_seconds()
            if messages >= count or seconds > PEER_SECONDS:
                return seconds * count / messages if messages else math.inf
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _peer_beat() -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "bench.peers.celery_app", "beat", "--pidfile="]
    command += ["--scheduler", "django_celery_beat.schedulers:DatabaseScheduler", "--loglevel", "WARNING"]
    process = subprocess.Popen(
        command,
        env={**os.environ, **stage.QUIET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)  # SIGTERM would save every task, one by one
        process.wait()


# -- none due ----------------------------------------------------------------------------------------------------------


class Tick(NamedTuple):
    """Milliseconds of an idle tick: elapsed, CPU of this process, CPU of its PostgreSQL backend."""

    elapsed: float
    own: float
    backend: float

    def __str__(self) -> str:
        return f"{self.elapsed:.3f} / {self.own:.3f} / {self.backend:.3f}"


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle tick with 100 schedules and with `count`, and the seconds until jobs added to the latter fire."""

    count: int
    few: Tick
    many: Tick
    added: list[float]

    def __str__(self) -> str:
        return (
            f"an idle tick, median of {_TICKS}: milliseconds elapsed / CPU of the beat / CPU of Postgres\n"
            f"  {FEW:9,} schedules   {self.few}\n  {self.count:9,} schedules   {self.many}\n"
            f"a job added to {self.count:,}: fired after {statistics.median(self.added):.3f} s,"
            f" the slowest {max(self.added):.3f} s"
        )


def none_due(count: int) -> Idle:
    return Idle(count, idle(FEW), idle(count), added())


def idle(count: int) -> Tick:
    """The median tick with `count` schedules, none of them due. The schedules remain."""
    add_idle(count)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    clock = Clock(lease_seconds=60, user_agent="bench")
    clock.tick()
    elapsed = []
    own, theirs = time.process_time(), _cpu_seconds(backend)
    for _ in range(_TICKS):
        started = time.perf_counter()
        clock.tick()
        elapsed.append(time.perf_counter() - started)
    own, theirs = time.process_time() - own, _cpu_seconds(backend) - theirs
    clock.stop()
    return Tick(statistics.median(elapsed) * 1000, own / _TICKS * 1000, theirs / _TICKS * 1000)


def add_idle(count: int) -> None:
    """Replace all schedules by `count` that are not due within two hours."""
    stage.empty()
    original = stage.job(url="http://127.0.0.1:9/", slug="idle-0", schedule="0 9 * * *")
    later = timezone.now() + datetime.timedelta(hours=2)
    copy_row("jobs_job", original.job_id, count, id=copied_id("a"), slug="'idle-' || place")
    copy_row(
        "jobs_jobenvironment", original.pk, count,
        id=copied_id("c"), job_id=copied_id("a"),
        next_fire_at="%(later)s::timestamptz + (random() * 86400) * interval '1 second'", values={"later": later},
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE jobs_job, jobs_jobenvironment")


def added() -> list[float]:
    """Seconds from saving a job with the schedule `now` to its execution, with a real beat."""
    workspace = Workspace.objects.get()
    waits = []
    with stage.beat():
        for number in range(_ADDED):
            time.sleep(0.7 + 0.13 * number)  # at different times of the beat's sleep
            before = _fired()
            config = job_config(schedule="now", request={"url": "http://127.0.0.1:9/", "method": "GET"})
            started = time.monotonic()
            save_job(
                workspace=workspace, job=None, slug=f"added-{number}", config=config, environments=None,
                now=timezone.now(), actor=SYSTEM,
            )  # fmt: skip
            while _fired() == before:
                time.sleep(0.005)
                assert time.monotonic() - started < 10, "the added job did not fire"
            waits.append(time.monotonic() - started)
    return waits


# -- shared -----------------------------------------------------------------------------------------------------------


def _next_minute(*, at_least_seconds: float) -> datetime.datetime:
    earliest = timezone.now() + datetime.timedelta(seconds=at_least_seconds)
    return earliest.replace(second=0, microsecond=0) + _MINUTE


def _sleep_until(instant: datetime.datetime) -> None:
    seconds = (instant - timezone.now()).total_seconds()
    assert seconds > 0, "setting up took too long"
    time.sleep(seconds)


def _cpu_seconds(pid: int) -> float:
    """User and system time of another process (proc(5), stat: fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
