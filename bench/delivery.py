"""Runs per second, delivered and recorded, beside one Celery task per call and hand-written asyncio + asyncpg.

    manage.py with_services -- python -m bench.delivery [--rounds 3] [--runs 20000] [--processes 1]

Every contender calls the same target and writes the same rows to the same PostgreSQL, in turn. The slow ones get fewer
runs. Prints the median rate of each, and the median of the round-by-round ratios.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from bench import stage  # noqa: E402
from bench.throughput import bare_round  # noqa: E402
from runs.models import Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402

_SLOW_RUNS = 1500


def hourhand(processes: int) -> Callable[[int, str], float]:
    def one_round(runs: int, url: str) -> float:
        ids = _prepared(runs, url)
        with contextlib.ExitStack() as stack:
            for number in range(processes):
                stack.enter_context(stage.worker(f"bench-{number}"))
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
            stage.await_finished(1, seconds=60)  # the worker is up once the first is through
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
    environment = {**os.environ, "BENCH_POOL": pool, "BENCH_KEEP_CONNECTIONS": "1" if keep else "0"}
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


def _prepared(runs: int, url: str) -> list[str]:
    stage.clear()
    return stage.pending(stage.job(url=url, slug=f"bench-{time.monotonic_ns()}"), runs)


def contenders(processes: int) -> dict[str, Callable[[int, str], float]]:
    found: dict[str, Callable[[int, str], float]] = {
        "hourhand": hourhand(processes),
        "asyncio + asyncpg": asyncio_peer(processes),
    }
    if processes == 1:
        found["bare pycurl loop with COPY"] = bare_round
        for pool, concurrency in (("prefork", 4), ("threads", 16), ("gevent", 100)):
            found[f"celery task per call, {pool}"] = celery_peer(pool, concurrency, keep=False)
        found["celery task per call, threads, kept connections"] = celery_peer("threads", 16, keep=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", help="only the contenders with this in their name, besides hourhand")
    given = parser.parse_args()
    call_command("migrate", verbosity=0)
    measured: dict[str, list[float]] = {}
    with stage.target() as port:
        for number in range(given.rounds):
            for name, one_round in contenders(given.processes).items():
                if given.only and name != "hourhand" and given.only not in name:
                    continue
                rate = one_round(given.runs, f"http://127.0.0.1:{port}/")
                measured.setdefault(name, []).append(rate)
                print(f"round {number + 1}  {name}: {rate:,.0f} runs/s", flush=True)
    print(f"\n{'contender':50} {'runs/s':>8}  hourhand is")
    for name, rates in measured.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(measured["hourhand"], rates, strict=True))
        print(f"{name:50} {statistics.median(rates):8,.0f}  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
