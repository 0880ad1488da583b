"""Plots of cost against the number of schedules, rows of history, transfers in flight, and jobs due at once.

    manage.py with_services -- python -m bench.curves [--quick] [--only CURVE ...] [--rounds N] [--to docs/curves]

Writes an SVG for each plot, and all numbers with the machine and versions to `curves.json` beside them, which keeps
other plots' numbers of earlier runs. `--quick` measures few steps, and writes to a temporary directory unless `--to`
is given.
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
    """The measured points of each axis, and the durations."""

    schedules: tuple[int, ...] = (100, 1000, 10_000, 100_000, 1_000_000)
    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    in_flight: tuple[int, ...] = in_flight.IN_FLIGHT
    due: tuple[int, ...] = (100, 300, 1000, 3000, 10_000)
    seconds: int = 20
    pages: int = 15


FULL = Steps()
QUICK = Steps(schedules=(100, 1000), rows=(100, 1000), in_flight=(10, 100), due=(10, 100), seconds=3, pages=3)


def by_turns(steps: Iterable[int], rounds: int, measure: Callable[[int], Sequence[float]]) -> list[Rounds]:
    """Measure every step once per round. Returns the rounds of all steps, for each measured number."""
    samples: dict[int, list[Sequence[float]]] = {step: [] for step in steps}
    for number in range(rounds):
        for step, rounds_of in samples.items():
            rounds_of.append(measure(step))
            values = ", ".join(f"{value:,.3g}" for value in rounds_of[-1])
            stage.report(f"round {number + 1}  {step:9,}: {values}")
    columns = {step: list(zip(*rounds_of, strict=True)) for step, rounds_of in samples.items()}
    count = len(next(iter(columns.values())))
    return [{step: column[index] for step, column in columns.items()} for index in range(count)]


def schedules(steps: Steps, rounds: int) -> dict[str, Plot]:
    """An idle tick, and the lateness of a stream of firings, by the number of schedules that are not due."""
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
            "one beat; median of 300 ticks, and CPU time of its PostgreSQL backend",
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
    """A page of executions, by the length of the history."""
    names = {f"curve_{count}": count for count in steps.rows}
    pages = {"": "newest first", "status=failed": "failed", "search=receiver.test/1": "search of a URL"}
    taken: dict[str, dict[int, list[float]]] = {query: {count: [] for count in steps.rows} for query in pages}
    with history.databases(names) as databases:
        for _ in range(rounds):
            for name, by_query in history.measured(databases, list(pages), steps.pages).items():
                for query, (milliseconds, _shown) in by_query.items():
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
    """Runs per second and memory, by the limit of transfers in flight."""
    loads = in_flight.measured(steps.in_flight, seconds=steps.seconds, rounds=rounds)
    rates = {count: [load.rate for load in rounds_of] for count, rounds_of in loads.items()}
    sizes = {count: [load.bytes / 1e6 for load in rounds_of] for count, rounds_of in loads.items()}
    note = f"one worker process, each answer after {in_flight.ANSWER_MS} ms, every run recorded"
    across = Axis("transfers in flight at most", scale="log")
    return {
        "in-flight-rate": Plot(
            "Runs per second by transfers in flight", note, across, Axis("delivered and recorded", "runs/s", "log"),
            [Series("runs/s", points(rates))],
        ),
        "in-flight-memory": Plot(
            "Memory by transfers in flight", note, across, Axis("resident memory of the worker", "MB"),
            [Series("memory", points(sizes))],
        ),
    }  # fmt: skip


def due(steps: Steps, rounds: int) -> dict[str, Plot]:
    """Jobs due at the same second: time until all have fired, and until all requests are on the wire."""
    workers = os.cpu_count() or 1
    with stage.target() as port:
        fired, _, wire = by_turns(
            steps.due, rounds, lambda count: clock.one_round(count, f"http://127.0.0.1:{port}/", workers=workers)
        )
    return {
        "due-at-once": Plot(
            "Jobs due at the same second",
            f"a beat, {workers} workers, the target and PostgreSQL on {workers} cores",
            Axis("jobs", scale="log"),
            Axis("after that second began", "s", "log"),
            [Series("all on the wire", points(wire)), Series("all fired", points(fired))],
        )
    }


CURVES: dict[str, Callable[[Steps, int], dict[str, Plot]]] = {
    "schedules": schedules,
    "history": rows,
    "in-flight": transfers,
    "due": due,
}


def write(plots: Mapping[str, Plot], about: Mapping[str, Any], to: Path) -> None:
    """Write the plots, and add their numbers to `curves.json`."""
    to.mkdir(parents=True, exist_ok=True)
    numbers = to / "curves.json"
    stored: dict[str, Any] = json.loads(numbers.read_text()) if numbers.exists() else {}
    for name, plot in plots.items():
        (to / f"{name}.svg").write_text(svg(plot))
        stored[name] = {**about, **asdict(plot)}
    numbers.write_text(json.dumps(dict(sorted(stored.items())), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only", nargs="+", choices=CURVES, default=tuple(CURVES), metavar="CURVE", help=", ".join(CURVES)
    )
    parser.add_argument("--rounds", type=int, help="default: 3, or 1 with --quick")
    parser.add_argument("--to", type=Path, help="directory to write to (docs/curves)")
    options = parser.parse_args()
    steps, rounds = (QUICK, options.rounds or 1) if options.quick else (FULL, options.rounds or 3)
    to = options.to or (Path(tempfile.mkdtemp(prefix="hourhand-curves-")) if options.quick else HOME)
    stage.set_up()
    about = {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "rounds": rounds,
    }
    for name in options.only:
        stage.report(f"\n== {name}")
        stage.empty()
        write(CURVES[name](steps, rounds), about, to)
        print(f"{name}: written to {to}", flush=True)


if __name__ == "__main__":
    main()
