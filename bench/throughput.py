"""Runs per second of one worker process, delivered and fully recorded.

Usage: manage.py with_services -- python -m bench.throughput [--runs 20000] [--rounds 3]
"""

import argparse
import os
import statistics
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from bench import stage  # noqa: E402
from runs.models import Execution, Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402


def one_round(runs: int, url: str) -> float:
    """Deliver that many executions with a fresh worker; runs per second from the first id sent to the last row."""
    stage.clear()
    ids = stage.pending(stage.job(url=url, slug=f"bench-{time.monotonic_ns()}"), runs)
    with stage.worker():
        started = time.monotonic()
        enqueue(ids)
        stage.await_finished(runs, seconds=120)
        seconds = time.monotonic() - started
    assert Execution.objects.filter(status="succeeded").count() == Run.objects.count() == runs
    return runs / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    with stage.target() as port:
        rates = []
        for number in range(options.rounds):
            rates.append(one_round(options.runs, f"http://127.0.0.1:{port}/"))
            print(f"round {number + 1}: {rates[-1]:,.0f} runs/s", flush=True)
    print(f"hourhand, one worker process: {statistics.median(rates):,.0f} runs/s (median of {options.rounds})")


if __name__ == "__main__":
    main()
