"""The performance budget: demands, measured values, and tables of both. Pure.

A line's verdict is "ok", "missed" or "not measured"; the last has a reason in place of a number.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Sense = Literal["at least", "at most"]
Verdict = Literal["ok", "missed", "not measured"]
_COLUMNS = ("what", "must reach", "reached", "", "beside")
_GAP = "  "
#: Numbers from here on are written without decimals.
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound in a unit: `x` is a ratio."""

    sense: Sense
    value: float
    unit: str

    def holds(self, value: float) -> bool:
        return value >= self.value if self.sense == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{self.sense} {in_unit(self.value, self.unit)}"


@dataclass(frozen=True, slots=True)
class Line:
    """One demand of the budget and its measured value. `beside` is the peer and its number; `note` is a remark, or the
    reason why nothing was measured."""

    what: str
    limit: Limit
    reached: float | None
    beside: str = ""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.reached is None:
            return "not measured"
        return "ok" if self.limit.holds(self.reached) else "missed"


@dataclass(frozen=True, slots=True)
class Peer:
    """Runs per second of another implementation, and Hourhand's ratio to it in the same rounds. None: see `note`.

    `ratio` is the median of the rounds' ratios, not the ratio of medians, because a slow machine slows a whole round.
    """

    name: str
    rate: float | None
    ratio: float | None
    note: str = ""


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of each round's ratio of ours to theirs. Raises ValueError if their lengths differ."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def spread(values: Sequence[float]) -> str:
    """The range of rounds, as "2.4 to 2.6". Empty for a single round."""
    return f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else ""


def number(value: float) -> str:
    """Format with three digits at most: 1234.5 is "1,234", 12.34 is "12.3", 1.234 is "1.23", 0.01234 is "0.012"."""
    if value and abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.3g}"


def in_unit(value: float, unit: str) -> str:
    return f"{number(value)} {unit}"


def table(lines: Sequence[Line]) -> str:
    """The budget as a table. Notes follow below their rows."""
    rows = [_COLUMNS, *(_row(line) for line in lines)]
    notes = [""] + [line.note for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    printed = []
    for row, note in zip(rows, notes, strict=True):
        printed.append(_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if note:
            printed.append(f"    {note}")
    return "\n".join(printed)


def _row(line: Line) -> tuple[str, ...]:
    reached = "-" if line.reached is None else in_unit(line.reached, line.limit.unit)
    return line.what, str(line.limit), reached, line.verdict, line.beside


def peers_table(ours: float, peers: Sequence[Peer]) -> str:
    """Hourhand and its peers, which did the same work in the same rounds."""
    width = max(len("Hourhand, one worker process"), *(len(peer.name) for peer in peers), 0)
    written = [f"{'':{width}}  {'runs/s':>8}  Hourhand is", f"{'Hourhand, one worker process':{width}}  {ours:8,.0f}"]
    for peer in peers:
        if peer.rate is None or peer.ratio is None:
            written.append(f"{peer.name:{width}}  {'-':>8}  not measured: {peer.note}")
        else:
            written.append(f"{peer.name:{width}}  {peer.rate:8,.0f}  {number(peer.ratio)} x")
    return "\n".join(written)


def as_json(
    lines: Sequence[Line], ours: float | None, peers: Sequence[Peer], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything as plain data. `ours` is Hourhand's rate beside the peers, `about` describes the machine."""
    return {
        **about,
        "budget": [{**asdict(line), "verdict": line.verdict} for line in lines],
        "runs_per_second": ours,
        "peers": [asdict(peer) for peer in peers],
    }
