"""The effect of slow endpoints on others: latency beside responses of 10 s and of 20 s, and memory.

    manage.py with_services -- python -m bench.slow [--rounds 3] [--only NAME]

`mixed`: executions that are all due at once, 5 % of them to an endpoint that answers after 10 s, against as many fast
ones. `beside`: a steady stream beside 500 calls that take 20 s, against the stream alone. Both measure only the fast
calls, in alternating rounds with fresh workers. `memory`: a worker with 1,000 calls in flight.
"""

import argparse
import contextlib
import os
import random
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.db import connection  # noqa: E402

from bench import stage  # noqa: E402
from runs.models import Execution, Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402

SLOW_PART = 0.05
MIXED_SLOW_MS = 10_000
BESIDE_SLOW_MS, BESIDE_SLOW_COUNT = 20_000, 500
STREAM_SECONDS, STREAM_PER_SECOND, STREAM_BATCH_SECONDS = 12.0, 200, 0.05
WARM_UP = 500
IN_FLIGHT, IN_FLIGHT_MS = 1000, 15_000

Percentiles = tuple[float, float]


@dataclass(frozen=True)
class Targets:
    """The ports of two target processes, so that slow calls do not load the fast target."""

    fast: int
    slow: int

    def counted(self) -> int:
        """The number of requests that the slow target has received."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.slow}/count", timeout=10) as answer:
            return int(answer.read().split(b":")[1].strip(b" }"))


def mixed(targets: Targets, *, slow: bool, runs: int) -> Percentiles:
    """p50 and p99 of the fast calls, in seconds, from the due time to the request on the wire."""
    stage.clear()
    slow_count = round(runs * SLOW_PART) if slow else 0
    fast_job, slow_job = _jobs(targets, slow_ms=MIXED_SLOW_MS)
    with stage.worker():
        ids = stage.held_back(fast_job, runs - slow_count) + stage.held_back(slow_job, slow_count)
        random.Random(1).shuffle(ids)
        due = stage.release()
        enqueue(ids)
        stage.await_finished(runs, seconds=120)
    return _percentiles("run.started_at - %s", fast_job, due)


def beside(targets: Targets, *, slow: bool, runs: int) -> Percentiles:  # noqa: ARG001 - the stream has its own length
    """p50 and p99 of the stream, in seconds, from the due time to the end of the response."""
    stage.clear()
    fast_job, slow_job = _jobs(targets, slow_ms=BESIDE_SLOW_MS)
    with stage.worker():
        enqueue(
            stage.pending(
                stage.job(url=f"http://127.0.0.1:{targets.fast}/", slug=f"warm-{time.monotonic_ns()}"), WARM_UP
            )
        )
        stage.await_finished(WARM_UP, seconds=60)
        if slow:
            _in_flight(targets, slow_job, BESIDE_SLOW_COUNT)
        started, sent = time.monotonic(), 0
        while (passed := time.monotonic() - started) < STREAM_SECONDS:
            count = int(passed * STREAM_PER_SECOND) - sent
            if count:
                enqueue(stage.pending(fast_job, count))
                sent += count
            time.sleep(STREAM_BATCH_SECONDS)
        stage.await_finished(WARM_UP + sent + (BESIDE_SLOW_COUNT if slow else 0), seconds=120)
    return _percentiles("run.finished_at - execution.created_at", fast_job)


def memory(targets: Targets) -> tuple[int, int]:
    """A worker's memory in bytes with 1,000 calls in flight, and its maximum until they are recorded."""
    stage.clear()
    _, slow_job = _jobs(targets, slow_ms=IN_FLIGHT_MS)
    limits = {f"HOURHAND_MAX_{of}": str(IN_FLIGHT) for of in ("IN_FLIGHT", "PER_HOST", "PER_WORKSPACE")}
    with stage.worker(**limits) as process:
        _in_flight(targets, slow_job, IN_FLIGHT)
        in_flight = peak = stage.resident_bytes(process)
        while Run.objects.count() < IN_FLIGHT:
            peak = max(peak, stage.resident_bytes(process))
            time.sleep(0.1)
    return in_flight, peak


def _jobs(targets: Targets, *, slow_ms: int) -> tuple[stage.JobEnvironment, stage.JobEnvironment]:
    now = time.monotonic_ns()
    return (
        stage.job(url=f"http://127.0.0.1:{targets.fast}/", slug=f"fast-{now}"),
        stage.job(url=f"http://127.0.0.1:{targets.slow}/sleep/{slow_ms}", slug=f"slow-{now}"),
    )


def _in_flight(targets: Targets, job: stage.JobEnvironment, count: int) -> None:
    """Start `count` calls and wait until the target has received them all."""
    expected = targets.counted() + count
    enqueue(stage.pending(job, count))
    until = time.monotonic() + 30
    while targets.counted() < expected:
        assert time.monotonic() < until, f"{expected - targets.counted()} calls are not in flight"
        time.sleep(0.1)


def _percentiles(wait: str, job: stage.JobEnvironment, *parameters: object) -> Percentiles:
    """p50 and p99 of an SQL expression over this job's runs, in seconds."""
    assert not Execution.objects.exclude(status="succeeded").exists()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM {wait}))
                  FROM runs_run AS run JOIN runs_execution AS execution ON execution.id = run.execution_id
                 WHERE run.job_id = %s""",  # noqa: S608 - a constant expression
            [*parameters, job.job_id],
        )
        p50, p99 = cursor.fetchone()[0]
    return float(p50), float(p99)


@dataclass(frozen=True, slots=True)
class Compared:
    """p99 of the fast calls by round, in seconds, without and with slow calls."""

    alone: list[float]
    among: list[float]

    @property
    def ratios(self) -> list[float]:
        """The p99 with slow calls divided by the p99 without, by round."""
        return [among / alone for among, alone in zip(self.among, self.alone, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


def compare(name: str, measure: Callable[..., Percentiles], targets: Targets, *, rounds: int, runs: int) -> Compared:
    """Alternating rounds without and with slow calls."""
    compared = Compared([], [])
    for number in range(rounds):
        alone, among = measure(targets, slow=False, runs=runs), measure(targets, slow=True, runs=runs)
        compared.alone.append(alone[1])
        compared.among.append(among[1])
        stage.report(
            f"{name} {number + 1}: alone p50 {alone[0] * 1000:,.0f} ms, p99 {alone[1] * 1000:,.0f} ms; "
            f"with slow calls p50 {among[0] * 1000:,.0f} ms, p99 {among[1] * 1000:,.0f} ms; "
            f"ratio {among[1] / alone[1]:.2f}"
        )
    return compared


@contextlib.contextmanager
def both_targets() -> Iterator[Targets]:
    with stage.target() as fast, stage.target() as slow:
        yield Targets(fast, slow)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=10_000, help="executions of a `mixed` round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["mixed", "beside", "memory"])
    options = parser.parse_args()
    stage.set_up()
    with both_targets() as targets:
        for name, measure in (("mixed", mixed), ("beside", beside)):
            if options.only in {None, name}:
                result = compare(name, measure, targets, rounds=options.rounds, runs=options.runs)
                print(f"{name}: p99 with slow calls is {result.ratio:.2f} x that without (median of {options.rounds})")
        if options.only in {None, "memory"}:
            in_flight, peak = memory(targets)
            print(f"memory: {in_flight / 1e6:,.0f} MB with {IN_FLIGHT:,} in flight, {peak / 1e6:,.0f} MB at most")


if __name__ == "__main__":
    main()
