"""Runs per second, delivered and recorded, against one Celery task per call, asyncio + asyncpg, and graphile-worker.

    manage.py with_services -- python -m bench.delivery [--rounds 3] [--runs 20000] [--processes 1]

Contenders alternate, call the same target, and write the same rows to the same PostgreSQL. Slow ones get fewer runs.
Prints each median rate, and the median of the rounds' ratios.
"""

import argparse
import contextlib
import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from bench import stage  # noqa: E402
from bench.budget import Peer, median_ratio, peers_table  # noqa: E402
from bench.peers import graphile  # noqa: E402
from bench.throughput import bare_round  # noqa: E402
from runs.models import Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402

HOURHAND = "hourhand"
ASYNCIO = "asyncio + asyncpg"
BARE = "bare pycurl loop with COPY"
GRAPHILE = "graphile-worker"
CELERY = "celery task per call"
CELERY_KEPT = f"{CELERY}, threads, kept connections"
_SLOW_RUNS = 1500


def hourhand(processes: int) -> Callable[[int, str], float]:
    def one_round(runs: int, url: str) -> float:
        ids = _prepared(runs, url, stage.held_back)
        with contextlib.ExitStack() as stack:
            for number in range(processes):
                stack.enter_context(stage.worker(f"bench-{number}"))
            stage.release()
            started = time.monotonic()
            enqueue(ids)
            stage.await_finished(runs, seconds=180)
            return runs / (time.monotonic() - started)

    return one_round


def asyncio_peer(processes: int) -> Callable[[int, str], float]:
    def one_round(runs: int, url: str) -> float:
        _prepared(runs, url)
        command = [sys.executable, "-m", "bench.peers.asyncio_asyncpg", "--runs", str(runs)]
        started = time.monotonic()
        working = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        seconds = [float(process.communicate()[0]) for process in working]
        assert Run.objects.count() == runs, time.monotonic() - started
        return runs / max(seconds)

    return one_round


def celery_peer(pool: str, concurrency: int, *, keep: bool) -> Callable[[int, str], float]:
    def one_round(runs: int, url: str) -> float:
        runs = min(runs, _SLOW_RUNS)
        ids = _prepared(runs, url)
        with _celery_worker(pool, concurrency, keep=keep):
            from bench.peers.celery_app import deliver

            deliver.delay(str(ids[0]))
            stage.await_finished(1, seconds=60)  # the worker has started once the first run is recorded
            started = time.monotonic()
            for execution_id in ids[1:]:
                deliver.delay(str(execution_id))
            stage.await_finished(runs, seconds=180)
            return (runs - 1) / (time.monotonic() - started)

    return one_round


@contextlib.contextmanager
def _celery_worker(pool: str, concurrency: int, *, keep: bool) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "bench.peers.celery_app", "worker", "--pool", pool]
    command += ["--concurrency", str(concurrency), "--queues", "peer", "-n", "peer@%h"]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    environment = {**os.environ, **stage.QUIET, "BENCH_POOL": pool, "BENCH_KEEP_CONNECTIONS": "1" if keep else "0"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _prepared(runs: int, url: str, create: Callable[..., list[str]] = stage.pending) -> list[str]:
    stage.clear()
    return create(stage.job(url=url, slug=f"bench-{time.monotonic_ns()}"), runs)


def graphile_peer(runs: int, url: str) -> float:
    _prepared(runs, url)
    seconds = graphile.deliver(runs)
    assert Run.objects.count() == runs
    return runs / seconds


@dataclass(frozen=True, slots=True)
class Contender:
    """An implementation of the work. `missing` returns why it cannot run, or None."""

    name: str
    one_round: Callable[[int, str], float]
    missing: Callable[[], str | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Contest:
    """Runs per second by contender and round, and the reasons of contenders that did not run."""

    rates: dict[str, list[float]]
    missing: dict[str, str]

    @property
    def hourhand(self) -> float:
        return statistics.median(self.rates[HOURHAND])

    def ratio(self, name: str) -> float:
        """How many times faster Hourhand is: the median of the rounds' ratios."""
        return median_ratio(self.rates[HOURHAND], self.rates[name])

    def last_round(self, name: str) -> str:
        """The rate of its last round, or why it did not run."""
        return self.missing.get(name) or f"{self.rates[name][-1]:,.0f} runs/s"

    def peers(self) -> list[Peer]:
        ran = [
            Peer(name, statistics.median(rates), self.ratio(name))
            for name, rates in self.rates.items()
            if name != HOURHAND
        ]
        return ran + [Peer(name, None, None, reason) for name, reason in self.missing.items()]


def all_contenders(processes: int) -> list[Contender]:
    contenders = [
        Contender(HOURHAND, hourhand(processes)),
        Contender(ASYNCIO, asyncio_peer(processes), _without("aiohttp", "asyncpg")),
    ]
    if processes == 1:
        contenders += [Contender(BARE, bare_round), Contender(GRAPHILE, graphile_peer, graphile.missing)]
        for pool, concurrency, needed in (
            ("prefork", 4, ()),
            ("threads", 16, ()),
            ("gevent", 50, ("gevent", "psycogreen")),
        ):
            one_round = celery_peer(pool, concurrency, keep=False)
            contenders.append(Contender(f"{CELERY}, {pool}", one_round, _without(*needed)))
        contenders.append(Contender(CELERY_KEPT, celery_peer("threads", 16, keep=True)))
    return contenders


def _without(*modules: str) -> Callable[[], str | None]:
    """A function that returns why the modules are missing, or None."""

    def missing() -> str | None:
        absent = [module for module in modules if importlib.util.find_spec(module) is None]
        return f"{', '.join(absent)} not installed: pip install -r requirements-bench.txt" if absent else None

    return missing


def hold_contest(port: int, *, runs: int, rounds: int, processes: int = 1, only: str = "") -> Contest:
    """Alternate the contenders for some rounds. `only` limits the peers to names that contain it."""
    contest = Contest({}, {})
    for contender in all_contenders(processes):
        if contender.name == HOURHAND or only in contender.name:
            if reason := contender.missing():
                contest.missing[contender.name] = reason
            else:
                contest.rates[contender.name] = []
    for number in range(rounds):
        for contender in all_contenders(processes):
            if contender.name in contest.rates:
                _run_round(contender, contest, runs, f"http://127.0.0.1:{port}/")
                stage.report(f"round {number + 1}  {contender.name}: {contest.last_round(contender.name)}")
    return contest


def _run_round(contender: Contender, contest: Contest, runs: int, url: str) -> None:
    """One round of one contender. A peer that fails is removed, with its earlier rounds."""
    try:
        contest.rates[contender.name].append(contender.one_round(runs, url))
    except Exception as error:
        if contender.name == HOURHAND:
            raise
        del contest.rates[contender.name]
        contest.missing[contender.name] = f"it failed: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", default="", help="besides hourhand, only contenders whose name contains this")
    options = parser.parse_args()
    stage.set_up()
    with stage.target() as port:
        contest = hold_contest(
            port, runs=options.runs, rounds=options.rounds, processes=options.processes, only=options.only
        )
    print(peers_table(contest.hourhand, contest.peers()))


if __name__ == "__main__":
    main()
