"""How long what took, and the bars of an execution's page. Pure: takes `now`."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from runs.models import Execution, Run

_SLIVER = 0.6  # percent; a bar is never too thin to be seen


def milliseconds(start: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    return None if start is None or end is None else (end - start) / datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Timings:
    """The durations of an execution, as the API has them. What goes on still is measured up to now."""

    pending_ms: float | None
    run_ms: float | None
    total_ms: float | None
    lateness_ms: float | None

    @classmethod
    def of(cls, execution: Execution, now: datetime.datetime) -> "Timings":
        skipped = execution.status == "skipped"
        end = execution.finished_at or now
        return cls(
            pending_ms=milliseconds(execution.created_at, execution.started_at or (None if skipped else end)),
            run_ms=milliseconds(execution.started_at, end),
            total_ms=None if skipped else milliseconds(execution.created_at, end),
            lateness_ms=milliseconds(execution.meant_at or execution.created_at, execution.started_at),
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time: where it begins and how wide it is, in percent of the whole."""

    name: str
    left: float
    width: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run, its place among the others, and the phases of its exchange."""

    run: Run
    bar: Bar
    phases: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The attempts of an execution on one axis of time."""

    attempts: tuple[Attempt, ...]
    total_ms: float

    @classmethod
    def of(cls, execution: Execution, runs: Iterable[Run], now: datetime.datetime) -> "Timeline":
        runs = list(runs)
        start = min((run.started_at for run in runs), default=execution.created_at)
        end = max((run.finished_at or now for run in runs), default=start)
        whole = max(milliseconds(start, end) or 0.0, 1.0)
        attempts = []
        for run in runs:
            before = milliseconds(start, run.started_at) or 0.0
            took = milliseconds(run.started_at, run.finished_at or now) or 0.0
            attempts.append(Attempt(run, _bar(f"attempt {run.number}", before, took, whole), phases(run)))
        return cls(tuple(attempts), whole)


def phases(run: Run) -> tuple[Bar, ...]:
    """The phases of an exchange, one after the other; those that a kept connection saves are left out.

    The first three are stored as durations, the first byte and the total as counted from the start.
    """
    total = run.total_ms if run.total_ms is not None else run.duration_ms or 0
    connected = (run.dns_ms or 0) + (run.connect_ms or 0) + (run.tls_ms or 0)
    first_byte = None if run.first_byte_ms is None else max(run.first_byte_ms - connected, 0)
    rest = max(total - connected - (first_byte or 0), 0)
    parts = [
        ("queue", run.queue_ms), ("dns", run.dns_ms), ("connect", run.connect_ms), ("tls", run.tls_ms),
        ("first byte", first_byte), ("rest" if first_byte is not None else "no answer", rest),
    ]  # fmt: skip
    whole, before, bars = max(sum(took or 0 for _, took in parts), 1), 0.0, []
    for name, took in parts:
        if took:
            bars.append(_bar(name, before, took, whole))
            before += took
    return tuple(bars)


def _bar(name: str, before: float, took: float, whole: float) -> Bar:
    width = max(took / whole * 100, _SLIVER)
    return Bar(name, min(before / whole * 100, 100 - _SLIVER), min(width, 100.0), took)
