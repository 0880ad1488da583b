"""How cost grows: plots against the number of schedules, rows of history, transfers in flight, and jobs due at once.

    manage.py with_services -- python -m bench.curves [--quick] [--only CURVE ...] [--rounds N] [--to docs/curves]

Writes a drawing for each plot, and all numbers with the machine and the versions to `curves.json` beside them; what an
earlier run measured of other plots stays there. `--quick` goes a few steps only, and writes to a temporary directory
unless told where.
"""

import argparse
import datetime
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from bench import clock, history, in_flight, lateness, machine, stage  # noqa: E402
from bench.plots import Axis, Plot, Rounds, Series, points, svg  # noqa: E402

PER_SECOND = 100
HOME = Path(__file__).parent.parent / "docs" / "curves"


@dataclass(frozen=True, slots=True)
class Steps:
    """Where along each axis it is measured, and how long."""

    schedules: tuple[int, ...] = (100, 1000, 10_000, 100_000, 1_000_000)
    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    in_flight: tuple[int, ...] = in_flight.IN_FLIGHT
    due: tuple[int, ...] = (100, 300, 1000, 3000, 10_000)
    seconds: int = 20
    pages: int = 15


FULL = Steps()
QUICK = Steps(schedules=(100, 1000), rows=(100, 1000), in_flight=(10, 100), due=(10, 100), seconds=3, pages=3)


def by_turns(steps: Iterable[int], rounds: int, measure: Callable[[int], Sequence[float]]) -> list[Rounds]:
    """Measure every step once a round; for each of the numbers that come of it, the rounds of all steps."""
    found: dict[int, list[Sequence[float]]] = {step: [] for step in steps}
    for number in range(rounds):
        for step, taken in found.items():
            taken.append(measure(step))
            told = ", ".join(f"{value:,.3g}" for value in taken[-1])
            stage.tell(f"round {number + 1}  {step:9,}: {told}")
    columns = {step: list(zip(*taken, strict=True)) for step, taken in found.items()}
    count = len(next(iter(columns.values())))
    return [{step: column[place] for step, column in columns.items()} for place in range(count)]


def schedules(steps: Steps, rounds: int) -> dict[str, Plot]:
    """An idle tick, and how late a stream of firings is, beside so many schedules of which none is due."""
    with stage.target() as port:

        def measure(count: int) -> tuple[float, ...]:
            tick = clock.idle(count)
            late = lateness.one_round(port, per_second=PER_SECOND, seconds=steps.seconds)
            return tick.elapsed, tick.backend, late.p50, late.p99

        elapsed, backend, p50, p99 = by_turns(steps.schedules, rounds, measure)
    across = Axis("schedules", scale="log")
    return {
        "schedules-tick": Plot(
            "A tick with nothing due",
            "one beat; the median of 300 ticks, and the processor time of its PostgreSQL backend",
            across,
            Axis("a tick", "ms"),
            [Series("elapsed", points(elapsed)), Series("CPU of PostgreSQL", points(backend))],
        ),
        "schedules-lateness": Plot(
            f"Lateness at {PER_SECOND} firings a second",
            "from scheduled_for to the target, by the target's clock; a beat and a worker",
            across,
            Axis("lateness", "ms", "log"),
            [Series("p50", points(p50)), Series("p99", points(p99))],
        ),
    }


def rows(steps: Steps, rounds: int) -> dict[str, Plot]:
    """Pages of executions in histories of different lengths."""
    names = {f"curve_{count}": count for count in steps.rows}
    pages = {"": "newest first", "status=failed": "failed ones", "search=receiver.test/1": "search of a URL"}
    taken: dict[str, dict[int, list[float]]] = {query: {count: [] for count in steps.rows} for query in pages}
    with history.databases(names) as places:
        for _ in range(rounds):
            for name, found in history.measured(places, list(pages), steps.pages).items():
                for query, (milliseconds, _shown) in found.items():
                    taken[query][names[name]].append(milliseconds)
    return {
        "history-page": Plot(
            "A page of executions",
            "50 executions through the API, serialised; 2,000 jobs",
            Axis("executions in the history", scale="log"),
            Axis("a page", "ms"),
            [Series(words, points(taken[query])) for query, words in pages.items()],
        )
    }


def transfers(steps: Steps, rounds: int) -> dict[str, Plot]:
    """Runs per second and memory by how many transfers may be in flight."""
    held = in_flight.measured(steps.in_flight, seconds=steps.seconds, rounds=rounds)
    rates = {count: [one.rate for one in rounds_of] for count, rounds_of in held.items()}
    sizes = {count: [one.bytes / 1e6 for one in rounds_of] for count, rounds_of in held.items()}
    note = f"one worker process, each answer after {in_flight.ANSWER_MS} ms, every run recorded"
    across = Axis("transfers in flight at most", scale="log")
    return {
        "in-flight-rate": Plot(
            "Runs a second by transfers in flight", note, across, Axis("delivered and recorded", "runs/s", "log"),
            [Series("runs/s", points(rates))],
        ),
        "in-flight-memory": Plot(
            "Memory by transfers in flight", note, across, Axis("resident memory of the worker", "MB"),
            [Series("memory", points(sizes))],
        ),
    }  # fmt: skip


def due(steps: Steps, rounds: int) -> dict[str, Plot]:
    """Jobs due in the same second: until all executions are made, and until all are on the wire."""
    workers = os.cpu_count() or 1
    with stage.target() as port:
        made, _, wire = by_turns(
            steps.due, rounds, lambda count: clock.one_round(count, f"http://127.0.0.1:{port}/", workers=workers)
        )
    return {
        "due-at-once": Plot(
            "Jobs due in the same second",
            f"a beat, {workers} workers, the target and PostgreSQL on {workers} cores",
            Axis("jobs", scale="log"),
            Axis("after that second began", "s", "log"),
            [Series("all on the wire", points(wire)), Series("all executions made", points(made))],
        )
    }


CURVES: dict[str, Callable[[Steps, int], dict[str, Plot]]] = {
    "schedules": schedules,
    "history": rows,
    "in-flight": transfers,
    "due": due,
}


def write(plots: Mapping[str, Plot], about: Mapping[str, Any], to: Path) -> None:
    """The drawings, and their numbers beside those that are there already."""
    to.mkdir(parents=True, exist_ok=True)
    numbers = to / "curves.json"
    kept: dict[str, Any] = json.loads(numbers.read_text()) if numbers.exists() else {}
    for name, plot in plots.items():
        (to / f"{name}.svg").write_text(svg(plot))
        kept[name] = {**about, **asdict(plot)}
    numbers.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only", nargs="+", choices=CURVES, default=tuple(CURVES), metavar="CURVE", help=", ".join(CURVES)
    )
    parser.add_argument("--rounds", type=int, help="three unless told, one with --quick")
    parser.add_argument("--to", type=Path, help="where to write; docs/curves unless told")
    given = parser.parse_args()
    steps, rounds = (QUICK, given.rounds or 1) if given.quick else (FULL, given.rounds or 3)
    to = given.to or (Path(tempfile.mkdtemp(prefix="hourhand-curves-")) if given.quick else HOME)
    stage.set_up()
    about = {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "rounds": rounds,
    }
    for name in given.only:
        stage.tell(f"\n== {name}")
        stage.empty()
        write(CURVES[name](steps, rounds), about, to)
        print(f"{name}: written to {to}", flush=True)


if __name__ == "__main__":
    main()
