"""Where the time of an execution went, as bars on one axis. Pure: takes `now`.

A wait between attempts may last hours where an attempt lasts milliseconds. So the axis is that of the attempts, and
waits that would dwarf them are cut short and say so; the numbers beside the bars are the whole ones.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.runs.timing import milliseconds, ready_at
from runs.models import Execution, Run
from runs.states import ExecutionStatus, RunStatus

#: All waits together take at most so much of what the rest of the axis takes.
_WAITING_SHARE = 0.6
_SLIVER = 0.5  # percent; a bar is never too thin to be seen
_WAIT = "wait"
#: The colours of a waterfall, in the order of time.
PHASES = (
    ("wait", "waited"), ("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("first-byte", "first byte"),
    ("body", "body"), ("no-answer", "no answer"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time: where it begins and how wide it is, in percent of the axis. `kind` is its colour's name."""

    kind: str
    name: str
    left: float
    width: float
    milliseconds: float
    is_cut: bool = False

    @property
    def alone(self) -> "tuple[Bar, ...]":
        """This bar as the only one of a row."""
        return (self,)


@dataclass(frozen=True, slots=True)
class AttemptBars:
    """A run and its place among the others; `offset_ms` counts from when the execution could start."""

    run: Run
    bars: tuple[Bar, ...]
    offset_ms: float
    took_ms: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Time in which nothing was sent. `is_ahead`: it is not over yet."""

    name: str
    bars: tuple[Bar, ...]
    offset_ms: float
    took_ms: float
    is_ahead: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The attempts of an execution and the waits between them, in order."""

    rows: tuple[AttemptBars | Wait, ...]

    @classmethod
    def of(cls, execution: Execution, runs: Sequence[Run], now: datetime.datetime) -> "Waterfall":
        spans = list(_spans(execution, sorted(runs, key=lambda run: (run.started_at, run.number)), now))
        begin = min((span.start for span in spans), default=now)
        placed = _laid_out([(span.took_ms, span.run is None) for span in spans])
        rows: list[AttemptBars | Wait] = []
        for span, (left, width, is_cut) in zip(spans, placed, strict=True):
            offset = milliseconds(begin, span.start) or 0.0
            if span.run is None:
                bar = Bar("ahead" if span.is_ahead else _WAIT, span.name, left, width, span.took_ms, is_cut)
                rows.append(Wait(span.name, (bar,), offset, span.took_ms, span.is_ahead))
            else:
                rows.append(AttemptBars(span.run, _within(span.run, left, width), offset, span.took_ms))
        return cls(tuple(rows))

    @property
    def is_cut(self) -> bool:
        return any(bar.is_cut for row in self.rows for bar in row.bars)


def phases(run: Run) -> tuple[Bar, ...]:
    """The phases of an exchange, one after the other, from when it was due on; a kept connection saves some.

    The first four are stored as durations, the first byte and the total as counted from the start.
    """
    parts = [("queue", "queued", run.queue_ms or 0), *_exchange(run)]
    placed = _laid_out([(took, kind == "queue") for kind, _, took in parts])
    return tuple(
        Bar(kind, name, left, width, took, is_cut)
        for (kind, name, took), (left, width, is_cut) in zip(parts, placed, strict=True)
        if took
    )


def _exchange(run: Run) -> list[tuple[str, str, int]]:
    """What happened on the wire, as (kind, name, milliseconds)."""
    total = run.total_ms if run.total_ms is not None else run.duration_ms or 0
    connected = (run.dns_ms or 0) + (run.connect_ms or 0) + (run.tls_ms or 0)
    answered = run.first_byte_ms is not None
    first_byte = max((run.first_byte_ms or 0) - connected, 0)
    rest = max(total - connected - first_byte, 0)
    return [
        ("dns", "DNS", run.dns_ms or 0),
        ("connect", "connect", run.connect_ms or 0),
        ("tls", "TLS", run.tls_ms or 0),
        ("first-byte", "first byte", first_byte),
        ("body", "body", rest) if answered else ("no-answer", "no answer", rest),
    ]


@dataclass(frozen=True, slots=True)
class _Span:
    start: datetime.datetime
    took_ms: float
    name: str = ""
    run: Run | None = None
    is_ahead: bool = False


def _spans(execution: Execution, runs: Sequence[Run], now: datetime.datetime) -> list[_Span]:
    """Every stretch from when the execution could start to its end, or to its next attempt."""
    spans: list[_Span] = []
    reached = ready_at(execution)
    for run in runs:
        name = "Waited to start" if not spans else "Waited to try again"
        spans += _wait(name, reached, run.started_at)
        end = max(run.finished_at or now, run.started_at)
        spans.append(_Span(run.started_at, milliseconds(run.started_at, end) or 0.0, run=run))
        reached = end
    if execution.status == ExecutionStatus.PENDING:
        spans += _wait("Waits" if runs else "Waits to start", reached, now)
        planned = execution.next_attempt_at
        if planned is not None and planned > max(now, reached):
            spans += _wait(
                "Until the next attempt" if runs else "Until it is due", max(now, reached), planned, ahead=True
            )
    elif execution.status == ExecutionStatus.CANCELED and not (runs and runs[-1].status == RunStatus.CANCELED):
        spans += _wait("Waited until it was canceled", reached, execution.finished_at)
    return spans


def _wait(name: str, start: datetime.datetime, end: datetime.datetime | None, *, ahead: bool = False) -> list[_Span]:
    took = milliseconds(start, end) or 0.0
    return [_Span(start, took, name, is_ahead=ahead)] if took >= 1 else []


def _within(run: Run, left: float, width: float) -> tuple[Bar, ...]:
    """The phases of an attempt inside its bar; one bar in the colour of its status where none were measured."""
    parts = [part for part in _exchange(run) if part[2]] if run.finished_at else []
    whole = sum(took for _, _, took in parts)
    if not whole:
        return (Bar(run.status, run.status, left, width, run.duration_ms or 0),)
    bars, reached = [], left
    for kind, name, took in parts:
        share = took / whole * width
        bars.append(Bar(kind, name, reached, share, took))
        reached += share
    return tuple(bars)


def _laid_out(stretches: Sequence[tuple[float, bool]]) -> list[tuple[float, float, bool]]:
    """Where each stretch of (milliseconds, is a wait) stands, as (left, width, is cut short), in percent."""
    busy = sum(took for took, waits in stretches if not waits)
    waits = sum(1 for took, waits in stretches if waits and took)
    most = busy * _WAITING_SHARE / waits if busy and waits else float("inf")
    shown = [min(took, most) if is_wait else took for took, is_wait in stretches]
    whole, reached, placed = sum(shown) or 1.0, 0.0, []
    for (took, _), length in zip(stretches, shown, strict=True):
        left = min(reached / whole * 100, 100 - _SLIVER)
        placed.append((left, min(max(length / whole * 100, _SLIVER), 100 - left), length < took))
        reached += length
    return placed
