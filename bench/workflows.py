"""Workflow steps per second of one worker process, against its plain jobs; and chains against hand-written asyncio.

    manage.py with_services -- python -m bench.workflows [--runs 12000] [--rounds 3]

All alternate, call the same target, and write to the same PostgreSQL. A chain has three steps whose target answers at
once; the peer records as much. Chains that are due together are timed from that instant to their last record; one at a
time, from the first claim.
"""

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.db import connection  # noqa: E402

from bench import stage  # noqa: E402
from bench.budget import median_ratio  # noqa: E402
from bench.throughput import one_round as plain_round  # noqa: E402
from jobs.models import JobEnvironment, JobVersion  # noqa: E402
from runs.models import Execution, Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402
from tests.support.workflows import step, workflow_config  # noqa: E402

STEPS = 3
_FEW = 40


@dataclass(slots=True)
class Comparison:
    """Each round's rates per second, and medians of chains' durations in seconds."""

    plain: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    theirs_together: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    theirs_alone: list[float] = field(default_factory=list)


def workflow(url: str) -> JobEnvironment:
    """A job whose workflow calls the target STEPS times, one after the other."""
    place = stage.job(url=url, slug=f"bench-{time.monotonic_ns()}")
    calls = [step(f"step_{number}", request={"url": url, "method": "GET"}) for number in range(STEPS)]
    JobVersion.objects.filter(job=place.job_id).update(config=workflow_config(*calls))
    return place


def chains_round(chains: int, url: str) -> tuple[float, float]:
    """Deliver chains, all due at once, with a fresh worker. Returns steps per second, and a chain's median seconds."""
    stage.clear()
    ids = stage.held_back(workflow(url), chains)
    with stage.worker():
        due = stage.release()
        started = time.monotonic()
        enqueue(ids)
        stage.await_finished(chains * STEPS, seconds=180)
        seconds = time.monotonic() - started
        _await_ended(chains)
    assert Run.objects.count() == chains * STEPS
    return chains * STEPS / seconds, _median_seconds(since=due)


def alone_round(url: str) -> float:
    """The median seconds of a chain, one at a time."""
    stage.clear()
    ids = stage.held_back(workflow(url), _FEW)
    with stage.worker():
        stage.release()
        for number, execution_id in enumerate(ids, start=1):
            enqueue([execution_id])
            _await_ended(number)
    return _median_seconds()


def peer_round(chains: int, url: str, *, in_flight: int = 200) -> float:
    """The median seconds of the peer's chains: one at a time from each chain's start, else from the start of all."""
    stage.clear()
    stage.pending(workflow(url), chains)
    command = [sys.executable, "-m", "bench.peers.asyncio_chain", "--chains", str(chains)]
    output = subprocess.run(
        [*command, "--in-flight", str(in_flight)], check=True, capture_output=True, text=True
    ).stdout
    alone, since_start = map(float, output.split())
    return alone if in_flight == 1 else since_start


def compare(runs: int, *, rounds: int, url: str) -> Comparison:
    comparison, chains = Comparison(), runs // STEPS
    for number in range(rounds):
        comparison.plain.append(plain_round(runs, url))
        rate, seconds = chains_round(chains, url)
        comparison.steps.append(rate)
        comparison.together.append(seconds)
        comparison.theirs_together.append(peer_round(chains, url))
        comparison.alone.append(alone_round(url))
        comparison.theirs_alone.append(peer_round(_FEW, url, in_flight=1))
        stage.report(
            f"round {number + 1}: {comparison.plain[-1]:,.0f} plain runs/s, {rate:,.0f} steps/s; chains together "
            f"{seconds * 1000:,.0f} ms (peer {comparison.theirs_together[-1] * 1000:,.0f}), one at a time "
            f"{comparison.alone[-1] * 1000:,.1f} ms (peer {comparison.theirs_alone[-1] * 1000:,.1f})"
        )
    return comparison


def _await_ended(count: int) -> None:
    until = time.monotonic() + 60
    while Execution.objects.filter(finished_at__isnull=False).count() < count:
        if time.monotonic() > until:
            raise TimeoutError("the chains did not end")
        time.sleep(0.005)


_MEDIAN = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - coalesce(%s, started_at)))
      FROM runs_execution WHERE status = 'succeeded'
"""


def _median_seconds(*, since: datetime.datetime | None = None) -> float:
    with connection.cursor() as cursor:
        cursor.execute(_MEDIAN, [since])
        return float(cursor.fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    stage.set_up()
    with stage.target() as port:
        compared = compare(options.runs, rounds=options.rounds, url=f"http://127.0.0.1:{port}/")
    print(f"plain jobs:      {statistics.median(compared.plain):,.0f} runs/s")
    print(f"workflow steps:  {statistics.median(compared.steps):,.0f} /s")
    print(f"ratio:           {median_ratio(compared.steps, compared.plain):.2f}")
    print(f"chains together: {median_ratio(compared.together, compared.theirs_together):.2f} x the peer's duration")
    print(f"one at a time:   {median_ratio(compared.alone, compared.theirs_alone):.2f} x the peer's duration")


if __name__ == "__main__":
    main()
