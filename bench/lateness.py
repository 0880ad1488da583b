"""Lateness, from `scheduled_for` to the target, of a steady stream of firings by a real beat and worker.

    manage.py with_services -- python -m bench.lateness [--per-second 100] [--seconds 30] [--rounds 3] [--idle 0]

Every job fires each second, at its own fraction of the second (`spread`), or all at the same instant (`together`), as
with cron expressions. The target records each request's arrival and scheduled time, independently of Hourhand's own
records, with the same machine's clock. Every firing of the measured time must arrive once. `--idle` adds schedules
that are not due.
"""

import argparse
import collections
import datetime
import json
import os
import statistics
import time
import urllib.request
from dataclasses import dataclass
from typing import NamedTuple

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from bench import clock, stage  # noqa: E402

WARM_UP_SECONDS = 4
#: From adding the jobs, which takes some of this time, to the first firing.
_AHEAD_SECONDS = 10
#: Time for the last measured firings to arrive.
_AFTERWARDS_SECONDS = 5.0
#: Digits of the copies' ids, different from the idle jobs'.
_KINDS = "def"


class Percentiles(NamedTuple):
    """Percentiles of the lateness, in milliseconds."""

    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} ms, p99 {self.p99:,.1f} ms, max {self.most:,.1f} ms"


@dataclass(frozen=True, slots=True)
class Lateness:
    """The rounds of a measurement."""

    rounds: list[Percentiles]

    @property
    def median(self) -> Percentiles:
        return Percentiles(*map(statistics.median, zip(*self.rounds, strict=True)))


def percentiles(lateness: list[float]) -> Percentiles:
    """Nearest-rank percentiles of unsorted values."""
    ordered = sorted(lateness)
    p50, p99 = (ordered[max(0, -(-len(ordered) * share // 100) - 1)] for share in (50, 99))
    return Percentiles(p50, p99, ordered[-1])


def one_round(port: int, *, per_second: int, seconds: int, together: bool = False) -> Percentiles:
    """The lateness of `per_second` firings for some seconds, after a warm-up, beside existing schedules."""
    with stage.beat(), stage.worker():
        starts_at = timezone.now().replace(microsecond=0) + datetime.timedelta(seconds=_AHEAD_SECONDS)
        _add_jobs(port, per_second, starts_at, together=together)
        assert timezone.now() < starts_at, "the machine is too busy to measure anything"
        measured_from = starts_at + datetime.timedelta(seconds=WARM_UP_SECONDS)
        measured_until = measured_from + datetime.timedelta(seconds=seconds)
        arrivals = []
        while timezone.now() < measured_until + datetime.timedelta(seconds=_AFTERWARDS_SECONDS):
            time.sleep(1)
            arrivals += _arrivals(port)
    planned = [(_instant(scheduled_for), arrived) for scheduled_for, arrived in arrivals]
    measured = [(at, arrived) for at, arrived in planned if measured_from <= at < measured_until]
    _assert_complete(collections.Counter(at for at, _ in measured), per_second, seconds, together=together)
    return percentiles([(arrived - at.timestamp()) * 1000 for at, arrived in measured])


def _add_jobs(port: int, count: int, starts_at: datetime.datetime, *, together: bool) -> None:
    """Create jobs that fire every second from `starts_at`, each at its own fraction of the second."""
    original = stage.job(url=f"http://127.0.0.1:{port}/on-time", slug="late", schedule={"every_seconds": 1})
    step = datetime.timedelta(0) if together else datetime.timedelta(seconds=1) / count
    first = f"(%(starts_at)s::timestamptz + (place - 1) * interval '{step.total_seconds():.6f} s')"
    stage.copy_jobs(
        original, count, kinds=_KINDS, config=f"original.config || jsonb_build_object('starts_at', {first})",
        next_fire_at=first, values={"starts_at": starts_at},
    )  # fmt: skip


def _arrivals(port: int) -> list[tuple[str, float]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/arrivals", timeout=10) as answer:
        arrivals: list[tuple[str, float]] = json.loads(answer.read())
    return arrivals


def _instant(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _assert_complete(
    seen: "collections.Counter[datetime.datetime]", per_second: int, seconds: int, *, together: bool
) -> None:
    """Check that each scheduled time arrived once for each of its jobs."""
    each = per_second if together else 1
    wrong = {str(at): count for at, count in seen.items() if count != each}
    assert not wrong, f"firings lost or duplicated: {wrong}"
    assert seen.total() == per_second * seconds, f"{seen.total()} of {per_second * seconds} firings arrived"


def measured(*, per_second: int, seconds: int, rounds: int, together: bool = False, idle: int = 0) -> Lateness:
    lateness = Lateness([])
    with stage.target() as port:
        for number in range(rounds):
            if idle:
                clock.add_idle(idle)
            else:
                stage.empty()
            result = one_round(port, per_second=per_second, seconds=seconds, together=together)
            lateness.rounds.append(result)
            stage.report(f"round {number + 1}  {'all at once' if together else 'spread'}: {result}")
    return lateness


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--per-second", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=0, help="additional schedules that are not due")
    options = parser.parse_args()
    stage.set_up()
    for name, together in (("spread over each second", False), ("all at the same second", True)):
        lateness = measured(
            per_second=options.per_second,
            seconds=options.seconds,
            rounds=options.rounds,
            together=together,
            idle=options.idle,
        )
        print(f"{options.per_second} firings a second, {name}: {lateness.median}, medians of {options.rounds} rounds")


if __name__ == "__main__":
    main()
