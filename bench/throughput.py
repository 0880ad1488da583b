"""Runs per second of one worker process, delivered and fully recorded, against a bare loop without scheduling.

    manage.py with_services -- python -m bench.throughput [--runs 20000] [--rounds 5]

They alternate, call the same target, and write to the same PostgreSQL. The worker is a real one, fed through Valkey.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from bench import stage  # noqa: E402
from runs.models import Execution, Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402


def one_round(runs: int, url: str) -> float:
    """Deliver executions with a fresh worker. Returns runs per second, from the first id sent to the last row."""
    stage.clear()
    ids = stage.held_back(stage.job(url=url, slug=f"bench-{time.monotonic_ns()}"), runs)
    with stage.worker():
        stage.release()
        started = time.monotonic()
        enqueue(ids)
        stage.await_finished(runs, seconds=120)
        seconds = time.monotonic() - started
    assert Execution.objects.filter(status="succeeded").count() == Run.objects.count() == runs
    return runs / seconds


def bare_round(runs: int, url: str) -> float:
    """Make as many calls with the bare loop, with as many in flight."""
    command = [sys.executable, "-m", "bench.bare_curl", "--runs", str(runs), "--in-flight", "1000", "--url", url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.rsplit(":", 1)[1].split()[0].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    stage.set_up()
    with stage.target() as port:
        url = f"http://127.0.0.1:{port}/"
        worker, bare = [], []
        for number in range(options.rounds):
            worker.append(one_round(options.runs, url))
            bare.append(bare_round(options.runs, url))
            print(
                f"round {number + 1}: hourhand {worker[-1]:,.0f} runs/s, bare loop {bare[-1]:,.0f} runs/s", flush=True
            )
    ratio = statistics.median(ours / limit for ours, limit in zip(worker, bare, strict=True))
    print(f"hourhand, one worker process, delivered and recorded: {statistics.median(worker):,.0f} runs/s")
    print(f"bare pycurl loop with a writer thread and COPY:       {statistics.median(bare):,.0f} runs/s")
    print(f"ratio, median of {options.rounds} interleaved rounds:                {ratio:.2f}")


if __name__ == "__main__":
    main()
