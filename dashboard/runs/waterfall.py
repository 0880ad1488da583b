"""The timeline of an execution as bars on one axis: its attempts and the waits between them. Pure: takes `now`.

A wait may last hours and an attempt milliseconds, so the axis is scaled to the attempts, and longer waits are cut short
and marked. The numbers beside the bars are never cut.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.runs.timing import milliseconds, ready_at
from runs.models import Execution, Run
from runs.states import ExecutionStatus, RunStatus

#: Most width of all waits together, as a share of the width of all attempts.
_WAITING_SHARE = 0.6
_SLIVER = 0.5  # percent: the least width of a bar
_WAIT = "wait"
#: The kinds of bars and their labels, in the order of time.
PHASES = (
    ("wait", "waited"), ("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("first-byte", "first byte"),
    ("body", "body"), ("no-answer", "no answer"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """A duration: its left edge and width in percent of the axis. `kind` names its colour."""

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
    """An attempt's row; `offset_ms` counts from the beginning of the axis."""

    run: Run
    bars: tuple[Bar, ...]
    offset_ms: float
    took_ms: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A row for time in which nothing was sent. `is_ahead`: it is in the future."""

    name: str
    bars: tuple[Bar, ...]
    offset_ms: float
    took_ms: float
    is_ahead: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The rows in the order of time."""

    rows: tuple[AttemptBars | Wait, ...]

    @classmethod
    def of(cls, execution: Execution, runs: Sequence[Run], now: datetime.datetime) -> "Waterfall":
        spans = list(_spans(execution, sorted(runs, key=lambda run: (run.started_at, run.number)), now))
        begin = min((span.start for span in spans), default=now)
        placed = laid_out([(span.took_ms, span.run is None) for span in spans])
        rows: list[AttemptBars | Wait] = []
        for span, (left, width, is_cut) in zip(spans, placed, strict=True):
            offset = milliseconds(begin, span.start) or 0.0
            if span.run is None:
                bar = Bar("ahead" if span.is_ahead else _WAIT, span.name, left, width, span.took_ms, is_cut)
                rows.append(Wait(span.name, (bar,), offset, span.took_ms, span.is_ahead))
            else:
                rows.append(AttemptBars(span.run, within(span.run, left, width), offset, span.took_ms))
        return cls(tuple(rows))

    @property
    def is_cut(self) -> bool:
        return any(bar.is_cut for row in self.rows for bar in row.bars)


def phases(run: Run) -> tuple[Bar, ...]:
    """The phases of an attempt from its due time on; a reused connection has fewer.

    The first four are stored as durations, first byte and total as offsets from the start.
    """
    parts = [("queue", "queued", run.queue_ms or 0), *_exchange(run)]
    placed = laid_out([(took, kind == "queue") for kind, _, took in parts])
    return tuple(
        Bar(kind, name, left, width, took, is_cut)
        for (kind, name, took), (left, width, is_cut) in zip(parts, placed, strict=True)
        if took
    )


def _exchange(run: Run) -> list[tuple[str, str, int]]:
    """The phases of the HTTP exchange as (kind, name, milliseconds)."""
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
    """Attempts and waits from when the execution could start to its end, or to its next attempt."""
    spans: list[_Span] = []
    reached = ready_at(execution)
    for run in runs:
        name = "Waited to start" if not spans else "Waited to retry"
        spans += _wait(name, reached, run.started_at)
        end = max(run.finished_at or now, run.started_at)
        spans.append(_Span(run.started_at, milliseconds(run.started_at, end) or 0.0, run=run))
        reached = end
    if execution.status == ExecutionStatus.PENDING:
        spans += _wait("Waiting to retry" if runs else "Waiting to start", reached, now)
        next_at = execution.next_attempt_at
        if next_at is not None and next_at > max(now, reached):
            name = "Until the next attempt" if runs else "Until due"
            spans += _wait(name, max(now, reached), next_at, ahead=True)
    elif execution.status == ExecutionStatus.CANCELED and not (runs and runs[-1].status == RunStatus.CANCELED):
        spans += _wait("Waited until canceled", reached, execution.finished_at)
    return spans


def _wait(name: str, start: datetime.datetime, end: datetime.datetime | None, *, ahead: bool = False) -> list[_Span]:
    took = milliseconds(start, end) or 0.0
    return [_Span(start, took, name, is_ahead=ahead)] if took >= 1 else []


def within(run: Run, left: float, width: float) -> tuple[Bar, ...]:
    """An attempt's bar divided into its phases; one bar in the colour of its status if none were measured."""
    parts = [part for part in _exchange(run) if part[2]] if run.finished_at else []
    total = sum(took for _, _, took in parts)
    if not total:
        return (Bar(run.status, run.status, left, width, run.duration_ms or 0),)
    bars, reached = [], left
    for kind, name, took in parts:
        share = took / total * width
        bars.append(Bar(kind, name, reached, share, took))
        reached += share
    return tuple(bars)


def laid_out(spans: Sequence[tuple[float, bool]]) -> list[tuple[float, float, bool]]:
    """Lay out each (milliseconds, is a wait) as (left, width, is cut short), in percent."""
    busy = sum(took for took, waits in spans if not waits)
    waits = sum(1 for took, waits in spans if waits and took)
    most = busy * _WAITING_SHARE / waits if busy and waits else float("inf")
    lengths = [min(took, most) if is_wait else took for took, is_wait in spans]
    total, reached, placed = sum(lengths) or 1.0, 0.0, []
    for (took, _), length in zip(spans, lengths, strict=True):
        left = min(reached / total * 100, 100 - _SLIVER)
        placed.append((left, min(max(length / total * 100, _SLIVER), 100 - left), length < took))
        reached += length
    return placed
