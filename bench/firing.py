"""Executions created per second by one beat's `fire_due`, which locks, evaluates, inserts and reschedules due jobs.

    manage.py with_services -- python -m bench.firing [--due 10000] [--rounds 5]

Jobs with thirty cron expressions and time zones, each with its own version, are all due. A round fires them all, one
batch per transaction. In the first round the beat reads each version for the first time; later ones are cached.
"""

import argparse
import datetime
import os
import statistics
import time
from dataclasses import dataclass

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from bench import clock, stage  # noqa: E402
from jobs.models import JobEnvironment  # noqa: E402
from runs.clock.fire import BATCH, fire_due  # noqa: E402
from runs.models import Execution  # noqa: E402


@dataclass(frozen=True, slots=True)
class Rates:
    """Executions per second: in the first round, and in each round with cached versions."""

    cold: float
    warm: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.warm)


def one_round(count: int, due_at: datetime.datetime) -> float:
    """Executions per second of one round, in which every job is due."""
    stage.clear()
    JobEnvironment.objects.exclude(next_fire_at=None).update(next_fire_at=due_at)
    started = time.perf_counter()
    while fire_due(due_at).due == BATCH:
        pass
    seconds = time.perf_counter() - started
    fired = Execution.objects.filter(scheduled_for=due_at).count()
    assert fired >= count, f"{fired} of {count} fired"
    return fired / seconds


def measured(count: int, *, rounds: int) -> Rates:
    stage.empty()
    due_at = timezone.now().replace(second=0, microsecond=0)
    clock.make_due(count, "http://127.0.0.1:9/", due_at)
    cold = one_round(count, due_at)
    stage.report(f"first round: {cold:,.0f} executions/s")
    rates = Rates(cold, [])
    for number in range(rounds):
        rates.warm.append(one_round(count, due_at))
        stage.report(f"round {number + 1}  {rates.warm[-1]:,.0f} executions/s")
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    stage.set_up()
    rates = measured(options.due, rounds=options.rounds)
    print(f"fire_due: {rates.median:,.0f} executions/s, median of {options.rounds} rounds")
    print(f"          {rates.cold:,.0f} executions/s when each version is read for the first time")


if __name__ == "__main__":
    main()
