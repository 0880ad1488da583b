"""How late requests are, from `scheduled_for` to the target: a steady stream of firings by a real beat and worker.

    manage.py with_services -- python -m bench.lateness [--per-second 100] [--seconds 30] [--rounds 3] [--idle 0]

Jobs that each fire every second: their seconds begin one after the other (`spread`), or all at once (`together`), as
cron expressions do. The target notes when each request arrived and for when it was planned, so nothing that Hourhand
says about itself is believed; it runs on the same machine, by the same clock. Every firing of the measured time must
have arrived, once. `--idle` adds schedules of which none is due.
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
#: From adding the jobs until the first fires; adding them takes a part of it.
_AHEAD_SECONDS = 10
#: The last firings of the measured time get so long to arrive.
_AFTERWARDS_SECONDS = 5.0
#: Of the copies' ids: others than those of the idle ones.
_KINDS = "def"


class Percentiles(NamedTuple):
    """Of the lateness, in milliseconds."""

    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} ms, p99 {self.p99:,.1f} ms, at most {self.most:,.1f} ms"


@dataclass(frozen=True, slots=True)
class Lateness:
    """Rounds of it."""

    rounds: list[Percentiles]

    @property
    def median(self) -> Percentiles:
        return Percentiles(*map(statistics.median, zip(*self.rounds, strict=True)))


def percentiles(lateness: list[float]) -> Percentiles:
    """Of values in any order, the nearest rank."""
    ordered = sorted(lateness)
    p50, p99 = (ordered[max(0, -(-len(ordered) * share // 100) - 1)] for share in (50, 99))
    return Percentiles(p50, p99, ordered[-1])


def one_round(port: int, *, per_second: int, seconds: int, together: bool = False) -> Percentiles:
    """The lateness of that many firings a second for so many seconds, after some to warm up, beside what is there."""
    with stage.beat(), stage.worker():
        starts_at = timezone.now().replace(microsecond=0) + datetime.timedelta(seconds=_AHEAD_SECONDS)
        _add_jobs(port, per_second, starts_at, together=together)
        assert timezone.now() < starts_at, "the machine is too busy to measure anything"
        begins_at = starts_at + datetime.timedelta(seconds=WARM_UP_SECONDS)
        ends_at = begins_at + datetime.timedelta(seconds=seconds)
        arrivals = []
        while timezone.now() < ends_at + datetime.timedelta(seconds=_AFTERWARDS_SECONDS):
            time.sleep(1)
            arrivals += _arrivals(port)
    planned = [(_instant(scheduled_for), arrived) for scheduled_for, arrived in arrivals]
    measured = [(at, arrived) for at, arrived in planned if begins_at <= at < ends_at]
    _assert_complete(collections.Counter(at for at, _ in measured), per_second, seconds, together=together)
    return percentiles([(arrived - at.timestamp()) * 1000 for at, arrived in measured])


def _add_jobs(port: int, count: int, starts_at: datetime.datetime, *, together: bool) -> None:
    """Jobs that fire every second from then on, the first of each at its own part of the first second."""
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
    """Each planned instant came as often as jobs fire at it."""
    each = per_second if together else 1
    wrong = {str(at): count for at, count in seen.items() if count != each}
    assert not wrong, f"firings lost or doubled: {wrong}"
    assert seen.total() == per_second * seconds, f"{seen.total()} of {per_second * seconds} firings arrived"


def measured(*, per_second: int, seconds: int, rounds: int, together: bool = False, idle: int = 0) -> Lateness:
    found = Lateness([])
    with stage.target() as port:
        for number in range(rounds):
            if idle:
                clock.add_idle(idle)
            else:
                stage.empty()
            one = one_round(port, per_second=per_second, seconds=seconds, together=together)
            found.rounds.append(one)
            stage.tell(f"round {number + 1}  {'all at once' if together else 'spread'}: {one}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--per-second", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=0, help="schedules beside them, none of which is due")
    given = parser.parse_args()
    stage.set_up()
    for name, together in (("spread over each second", False), ("all at the same second", True)):
        found = measured(
            per_second=given.per_second, seconds=given.seconds, rounds=given.rounds, together=together, idle=given.idle
        )
        print(f"{given.per_second} firings a second, {name}: {found.median}, medians of {given.rounds} rounds")


if __name__ == "__main__":
    main()
