"""The effect of retention on calls: lateness of a steady stream, with and without it.

    manage.py with_services -- python -m bench.retention [--executions 1000000] [--jobs 2000] [--seconds 30]

Retention removes about half of a long history of many jobs, in batches. The stream is 200 executions per second
through one worker process, which also prunes, as any worker may: alone for some seconds, then during the whole
nightly round, then alone again. Prints the p99 of the time from an execution's due time to its request on the wire,
and the batches' sizes.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench import stage  # noqa: E402
from jobs.models import JobEnvironment, JobVersion  # noqa: E402
from runs.models import Execution, PruningRound, Run  # noqa: E402
from runs.queue import enqueue  # noqa: E402
from runs.retention.nightly import begin_round  # noqa: E402
from tests.support.seeded_history import seed_executions, seed_jobs  # noqa: E402

PER_SECOND, BATCH_SECONDS = 200, 0.05
WARM_UP = 500
#: The share of each job's history that is kept, besides the failures in the rest.
KEPT = 0.47
_MOST_KEPT = 100_000
_LIMIT_SECONDS = 3600.0
_PERCENTILES = """
    SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
               ORDER BY extract(epoch FROM run.started_at - execution.created_at)), count(*)
      FROM runs_run AS run JOIN runs_execution AS execution ON execution.id = run.execution_id
     WHERE run.job_id = %s AND execution.created_at BETWEEN %s AND %s
"""
# Without a beat nothing merges them, so each batch's count is still a row.
_BATCHES = """
    SELECT count(*), max((counts ->> 'pruned/executions')::int) FROM runs_tallyslip WHERE counts ? 'pruned/executions'
"""


class Lateness(NamedTuple):
    """p50 and p99 in milliseconds, and the number of runs."""

    p50: float
    p99: float
    runs: int

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} ms, p99 {self.p99:,.1f} ms of {self.runs:,} runs"


def streamed(job: JobEnvironment, continues: Callable[[float], bool]) -> Lateness:
    """Lateness of a stream that runs while `continues(seconds since its start)` holds."""
    before, since = Run.objects.filter(job=job.job_id).count(), timezone.now()
    started, sent = time.monotonic(), 0
    while continues(passed := time.monotonic() - started):
        count = int(passed * PER_SECOND) - sent
        if count:
            enqueue(stage.pending(job, count))
            sent += count
        time.sleep(BATCH_SECONDS)
    until = timezone.now()
    deadline = time.monotonic() + 120
    while Run.objects.filter(job=job.job_id).count() < before + sent:
        assert time.monotonic() < deadline, "the stream was not delivered"
        time.sleep(0.2)
    with connection.cursor() as cursor:
        cursor.execute(_PERCENTILES, [job.job_id, since, until])
        (p50, p99), runs = cursor.fetchone()
    return Lateness(p50 * 1000, p99 * 1000, runs)


def for_seconds(seconds: float) -> Callable[[float], bool]:
    return lambda passed: passed < seconds


def until_the_round_ends(passed: float) -> bool:
    assert passed < _LIMIT_SECONDS, "the round did not end"
    return PruningRound.objects.filter(finished_at__isnull=True).exists()


def seeded(executions: int, jobs: int) -> None:
    seed_jobs(jobs=jobs)
    keep_last = max(1, int(executions / jobs * KEPT))
    for version in JobVersion.objects.iterator():
        version.config["retention"]["keep_last"] = keep_last
        version.save(update_fields=["config"])
    began = time.monotonic()
    seed_executions(executions)
    # Unfinished executions are long due: the worker would deliver them first.
    Execution.objects.filter(finished_at__isnull=True)._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"{executions:,} executions with their runs created in {time.monotonic() - began:.0f} s", flush=True)


def measured(port: int, seconds: float) -> tuple[list[Lateness], Lateness]:
    """The lateness of the stream alone, before and after, and during retention."""
    retention = {"keep_last": _MOST_KEPT}
    stream = stage.job(url=f"http://127.0.0.1:{port}/", slug="stream", retention=retention)
    with stage.worker(queues="deliveries,chores"):
        enqueue(stage.pending(stage.job(url=f"http://127.0.0.1:{port}/", slug="warm", retention=retention), WARM_UP))
        before = streamed(stream, for_seconds(seconds))
        print(f"alone:            {before}", flush=True)
        began = time.monotonic()
        begin_round(timezone.now())
        beside = streamed(stream, until_the_round_ends)
        print(f"with retention:   {beside}, {time.monotonic() - began:.0f} s", flush=True)
        after = streamed(stream, for_seconds(seconds))
        print(f"alone again:      {after}", flush=True)
    return [before, after], beside


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of the stream alone, before and after")
    options = parser.parse_args()
    stage.set_up()
    seeded(options.executions, options.jobs)
    with stage.target() as port:
        alone, beside = measured(port, options.seconds)
    done = PruningRound.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(_BATCHES)
        batches, largest = cursor.fetchone()
    ratio = beside.p99 / (sum(lateness.p99 for lateness in alone) / len(alone))
    print(
        f"{done.executions:,} executions with {done.runs:,} runs removed in {batches:,} batches of at most {largest:,}"
    )
    print(f"p99 with retention is {ratio:.2f} x the p99 without")


if __name__ == "__main__":
    main()
