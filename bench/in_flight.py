"""Runs per second and memory of one worker process, by its limit of transfers in flight.

    manage.py with_services -- python -m bench.in_flight [--in-flight 10 100 500 1000] [--seconds 10] [--rounds 3]

The target answers after 100 ms, like a real endpoint: with few in flight the worker waits for responses, with many
its own work limits the rate.
"""

import argparse
import os
import statistics
import time
from typing import NamedTuple

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from bench import stage  # noqa: E402
from runs.models import Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402

ANSWER_MS = 100
IN_FLIGHT = (10, 100, 500, 1000)
#: More than a worker process delivers per second with any limit.
_MAX_PER_SECOND = 4000
_LIMIT_SECONDS = 300


class WorkerLoad(NamedTuple):
    """Runs per second, and the worker's maximum memory in bytes."""

    rate: float
    bytes: int


def one_round(port: int, in_flight: int, *, seconds: float) -> WorkerLoad:
    """Deliver as many executions as take about `seconds`, with a fresh worker."""
    stage.clear()
    runs = round(min(in_flight * 1000 / ANSWER_MS, _MAX_PER_SECOND) * seconds)
    ids = stage.held_back(
        stage.job(url=f"http://127.0.0.1:{port}/sleep/{ANSWER_MS}", slug=f"held-{time.monotonic_ns()}"), runs
    )
    limits = {f"HOURHAND_MAX_{of}": str(in_flight) for of in ("IN_FLIGHT", "PER_HOST", "PER_WORKSPACE")}
    with stage.worker(**limits) as process:
        peak = 0
        stage.release()
        began = time.monotonic()
        enqueue(ids)
        while Run.objects.count() < runs:
            assert time.monotonic() - began < _LIMIT_SECONDS, "the worker did not deliver them"
            peak = max(peak, stage.resident_bytes(process))
            time.sleep(0.1)
        return WorkerLoad(runs / (time.monotonic() - began), peak)


def measured(in_flight: tuple[int, ...], *, seconds: float, rounds: int) -> dict[int, list[WorkerLoad]]:
    """Alternating rounds, by the number in flight."""
    loads: dict[int, list[WorkerLoad]] = {count: [] for count in in_flight}
    with stage.target() as port:
        for number in range(rounds):
            for count, rounds_of in loads.items():
                load = one_round(port, count, seconds=seconds)
                rounds_of.append(load)
                stage.report(
                    f"round {number + 1}  {count:5} in flight: {load.rate:,.0f} runs/s, {load.bytes / 1e6:,.0f} MB"
                )
    return loads


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--in-flight", type=int, nargs="+", default=IN_FLIGHT)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    stage.set_up()
    for count, loads in measured(tuple(options.in_flight), seconds=options.seconds, rounds=options.rounds).items():
        rate, size = (statistics.median(column) for column in zip(*loads, strict=True))
        print(f"{count:5} in flight: {rate:7,.0f} runs/s, {size / 1e6:4,.0f} MB, medians of {options.rounds} rounds")


if __name__ == "__main__":
    main()
