"""The steps of an execution as bars on one axis, a row for each: its calls, and what it waited for. Pure: takes `now`.

The axis is that of `dashboard.runs.waterfall`: long waits are cut short and marked.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dashboard.runs.timing import milliseconds
from dashboard.runs.waterfall import Bar, laid_out, within
from runs.models import Run
from runs.states import StepStatus
from runs.workflows.representation import StepView

#: The kinds of bars and their labels, beside those of an exchange.
KINDS = (("parked", "waited for something"),)
#: The latest calls of a step that are drawn. A step that polls may have a thousand.
MOST_BARS = 100
_GAP, _PARKED = "wait", "parked"
_WAIT_NAMES = {"delay": "Delay", "webhook": "Waited for a request", "approval": "Waited for approval"}


@dataclass(frozen=True, slots=True)
class StepBars:
    """The row of a step; `offset_ms` counts from the beginning of the axis. Without bars it did not happen here."""

    bars: tuple[Bar, ...] = ()
    offset_ms: float | None = None
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class StepTimeline:
    """The rows in the order of the steps."""

    rows: tuple[StepBars, ...]

    @classmethod
    def of(
        cls, steps: Sequence[tuple[StepView, Sequence[Run]]], *, polling: frozenset[str], now: datetime.datetime
    ) -> "StepTimeline":
        """Draw the steps with their runs in order. `polling` are the ids of those that poll."""
        placed_in: list[int] = []
        spans: list[_StepSpan] = []
        reached: datetime.datetime | None = None
        for index, (view, runs) in enumerate(steps):
            for span in () if view.carried_from else _spans(view, runs[-MOST_BARS:], view.id in polling, now):
                if reached is not None and (gap := milliseconds(reached, span.start) or 0.0) >= 1:
                    is_retry = placed_in[-1] == index
                    kind = _PARKED if is_retry and view.id in polling else _GAP
                    spans.append(_StepSpan(reached, gap, kind, "Waited to call again" if is_retry else "Queued"))
                    placed_in.append(index)
                spans.append(span)
                placed_in.append(index)
                reached = span.end
        bars = _bars(spans)
        begin = spans[0].start if spans else now
        rows = []
        for index, (view, _) in enumerate(steps):
            own = [(span, bar) for at, span, bar in zip(placed_in, spans, bars, strict=True) if at == index]
            rows.append(_row(view, own, begin, now))
        return cls(tuple(rows))

    @property
    def is_cut(self) -> bool:
        return any(bar.is_cut for row in self.rows for bar in row.bars)


@dataclass(frozen=True, slots=True)
class _StepSpan:
    """A call or a wait. `kind` is that of its bar; a call has its `run`."""

    start: datetime.datetime
    took_ms: float
    kind: str
    name: str
    run: Run | None = None

    @property
    def end(self) -> datetime.datetime:
        return self.start + datetime.timedelta(milliseconds=self.took_ms)


def _spans(view: StepView, runs: Sequence[Run], polls: bool, now: datetime.datetime) -> Iterator[_StepSpan]:
    """The calls of a step, and its waits other than those between calls."""
    if view.type in _WAIT_NAMES:
        if view.started_at is not None:
            yield _wait(view.started_at, view.finished_at or now, _WAIT_NAMES[view.type])
        return
    end = view.started_at
    for run in runs:
        end = max(run.finished_at or now, run.started_at)
        yield _StepSpan(run.started_at, milliseconds(run.started_at, end) or 0.0, "", "", run)
    if runs and end is not None and view.status in (StepStatus.WAITING, StepStatus.PENDING, StepStatus.CANCELED):
        until = view.finished_at or now
        if until > end:
            kind, name = (_PARKED, "Waits for its next call") if polls else (_GAP, "Waits to retry")
            yield _StepSpan(end, milliseconds(end, until) or 0.0, kind, name)


def _wait(start: datetime.datetime, end: datetime.datetime, name: str) -> _StepSpan:
    return _StepSpan(start, max(milliseconds(start, end) or 0.0, 0.0), _PARKED, name)


def _bars(spans: Sequence[_StepSpan]) -> list[tuple[Bar, ...]]:
    placed = laid_out([(span.took_ms, span.run is None) for span in spans])
    return [
        (Bar(span.kind, span.name, left, width, span.took_ms, is_cut),)
        if span.run is None
        else within(span.run, left, width)
        for span, (left, width, is_cut) in zip(spans, placed, strict=True)
    ]


def _row(
    view: StepView,
    own: Sequence[tuple[_StepSpan, tuple[Bar, ...]]],
    begin: datetime.datetime,
    now: datetime.datetime,
) -> StepBars:
    """A step's row: from its first call or wait, without the time in which it was queued."""
    proper = [span for span, _ in own if not (span.kind == _GAP and span is own[0][0])]
    if not proper:
        return StepBars()
    start = proper[0].start
    end = view.finished_at or now
    bars = tuple(bar for _, each in own for bar in each)
    return StepBars(bars, milliseconds(begin, start) or 0.0, max(milliseconds(start, end) or 0.0, 0.0))
