"""What retention costs those who are called meanwhile: lateness of a steady stream, with and without it.

    manage.py with_services -- python -m bench.retention [--executions 1000000] [--jobs 2000] [--seconds 30]

A long history of many jobs, of which about half is to go, in batches. The stream is 200 executions a second through one
worker process, which does the pruning too, as every worker may: alone for some seconds, then from the moment that the
nightly round begins until it has ended, then alone again. Told is the p99 of the time from when an execution was due to
its request on the wire, and what the batches were like.
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
#: Of each job's history what is kept; of the rest, its failures are kept too.
KEPT = 0.47
_MOST_KEPT = 100_000
_GIVEN_UP_SECONDS = 3600.0
_PERCENTILES = """
    SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
               ORDER BY extract(epoch FROM run.started_at - execution.created_at)), count(*)
      FROM runs_run AS run JOIN runs_execution AS execution ON execution.id = run.execution_id
     WHERE run.job_id = %s AND execution.created_at BETWEEN %s AND %s
"""
# No beat folds them: each batch's own count is still there.
_BATCHES = """
    SELECT count(*), max((counts ->> 'pruned/executions')::int) FROM runs_tallyslip WHERE counts ? 'pruned/executions'
"""


class Lateness(NamedTuple):
    """p50 and p99 in milliseconds, of so many runs."""

    p50: float
    p99: float
    runs: int

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} ms, p99 {self.p99:,.1f} ms of {self.runs:,} runs"


def streamed(job: JobEnvironment, goes_on: Callable[[float], bool]) -> Lateness:
    """Lateness of a stream that goes on for as long as that holds, given the seconds since it began."""
    before, since = Run.objects.filter(job=job.job_id).count(), timezone.now()
    began, sent = time.monotonic(), 0
    while goes_on(passed := time.monotonic() - began):
        wanted = int(passed * PER_SECOND) - sent
        if wanted:
            enqueue(stage.pending(job, wanted))
            sent += wanted
        time.sleep(BATCH_SECONDS)
    until = timezone.now()
    give_up = time.monotonic() + 120
    while Run.objects.filter(job=job.job_id).count() < before + sent:
        assert time.monotonic() < give_up, "the stream was not delivered"
        time.sleep(0.2)
    with connection.cursor() as cursor:
        cursor.execute(_PERCENTILES, [job.job_id, since, until])
        (p50, p99), runs = cursor.fetchone()
    return Lateness(p50 * 1000, p99 * 1000, runs)


def for_seconds(seconds: float) -> Callable[[float], bool]:
    return lambda passed: passed < seconds


def until_the_round_ends(passed: float) -> bool:
    assert passed < _GIVEN_UP_SECONDS, "the round did not end"
    return PruningRound.objects.filter(finished_at__isnull=True).exists()


def seeded(executions: int, jobs: int) -> None:
    seed_jobs(jobs=jobs)
    keep_last = max(1, int(executions / jobs * KEPT))
    for version in JobVersion.objects.iterator():
        version.config["retention"]["keep_last"] = keep_last
        version.save(update_fields=["config"])
    began = time.monotonic()
    seed_executions(executions)
    # Some of it lives, due long ago: a worker would call for it first.
    Execution.objects.filter(finished_at__isnull=True)._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"{executions:,} executions with their runs made in {time.monotonic() - began:.0f} s", flush=True)


def measured(port: int, seconds: float) -> tuple[list[Lateness], Lateness]:
    """The lateness of the stream alone, before and after, and beside retention."""
    retention = {"keep_last": _MOST_KEPT}
    stream = stage.job(url=f"http://127.0.0.1:{port}/", slug="stream", retention=retention)
    with stage.worker(queues="deliveries,chores"):
        enqueue(stage.pending(stage.job(url=f"http://127.0.0.1:{port}/", slug="warm", retention=retention), WARM_UP))
        before = streamed(stream, for_seconds(seconds))
        print(f"alone:            {before}", flush=True)
        began = time.monotonic()
        begin_round(timezone.now())
        beside = streamed(stream, until_the_round_ends)
        print(f"beside retention: {beside}, {time.monotonic() - began:.0f} s", flush=True)
        after = streamed(stream, for_seconds(seconds))
        print(f"alone again:      {after}", flush=True)
    return [before, after], beside


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the stream alone, before and after")
    given = parser.parse_args()
    stage.set_up()
    seeded(given.executions, given.jobs)
    with stage.target() as port:
        alone, beside = measured(port, given.seconds)
    done = PruningRound.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(_BATCHES)
        batches, largest = cursor.fetchone()
    ratio = beside.p99 / (sum(one.p99 for one in alone) / len(alone))
    print(
        f"{done.executions:,} executions with {done.runs:,} runs removed in {batches:,} batches of at most {largest:,}"
    )
    print(f"p99 beside retention is {ratio:.2f} x that without")


if __name__ == "__main__":
    main()
