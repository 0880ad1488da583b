"""Runs per second and memory of one worker process, by how many transfers it may have in flight.

    manage.py with_services -- python -m bench.in_flight [--in-flight 10 100 500 1000] [--seconds 10] [--rounds 3]

The target answers after 100 ms, as a real endpoint may: with few in flight the answers are waited for, with many the
worker's own work is what takes time.
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
#: More than a worker process delivers in a second, whatever it may have in flight.
_MOST_PER_SECOND = 4000
_GIVEN_UP_SECONDS = 300


class Held(NamedTuple):
    """Runs per second, and the most memory that the worker held meanwhile, in bytes."""

    rate: float
    bytes: int


def one_round(port: int, in_flight: int, *, seconds: float) -> Held:
    """A fresh worker on as many executions as it can deliver in about that time."""
    stage.clear()
    runs = round(min(in_flight * 1000 / ANSWER_MS, _MOST_PER_SECOND) * seconds)
    ids = stage.held_back(
        stage.job(url=f"http://127.0.0.1:{port}/sleep/{ANSWER_MS}", slug=f"held-{time.monotonic_ns()}"), runs
    )
    limits = {f"HOURHAND_MAX_{of}": str(in_flight) for of in ("IN_FLIGHT", "PER_HOST", "PER_WORKSPACE")}
    with stage.worker(**limits) as process:
        most = 0
        stage.release()
        began = time.monotonic()
        enqueue(ids)
        while Run.objects.count() < runs:
            assert time.monotonic() - began < _GIVEN_UP_SECONDS, "the worker did not deliver them"
            most = max(most, stage.resident_bytes(process))
            time.sleep(0.1)
        return Held(runs / (time.monotonic() - began), most)


def measured(in_flight: tuple[int, ...], *, seconds: float, rounds: int) -> dict[int, list[Held]]:
    """Rounds by turns, by the number in flight."""
    found: dict[int, list[Held]] = {count: [] for count in in_flight}
    with stage.target() as port:
        for number in range(rounds):
            for count, held in found.items():
                one = one_round(port, count, seconds=seconds)
                held.append(one)
                stage.tell(
                    f"round {number + 1}  {count:5} in flight: {one.rate:,.0f} runs/s, {one.bytes / 1e6:,.0f} MB"
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--in-flight", type=int, nargs="+", default=IN_FLIGHT)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    stage.set_up()
    for count, held in measured(tuple(given.in_flight), seconds=given.seconds, rounds=given.rounds).items():
        rate, size = (statistics.median(column) for column in zip(*held, strict=True))
        print(f"{count:5} in flight: {rate:7,.0f} runs/s, {size / 1e6:4,.0f} MB, medians of {given.rounds} rounds")


if __name__ == "__main__":
    main()
