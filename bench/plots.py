"""Line plots as SVG: linear or logarithmic axes with units, and series of medians with the rounds' range. Pure.

A plot has its own background and colors, light and dark, so that it is readable on any page.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from bench.budget import number

Scale = Literal["linear", "log"]
_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 84, 60
_INNER_WIDTH, _INNER_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
#: Steps between ticks, times a power of ten.
_STEPS = (1, 2, 2.5, 5, 10)
_MAX_TICKS = 6
#: A logarithmic axis of fewer powers of ten also has ticks at 2 and 5 times each.
_WIDE = 2
_THOUSAND, _MILLION = 1e3, 1e6
_STYLE = """
svg{--paper:#fff;--ink:#1f2328;--quiet:#59636e;--grid:#d9dee3;--c0:#0a58ca;--c1:#b35900;--c2:#1a7f37;
font:13px system-ui,sans-serif}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--quiet:#9aa4af;--grid:#30363d;--c0:#79b8ff;
--c1:#ffb366;--c2:#7ee787}}
.paper{fill:var(--paper)}text{fill:var(--ink)}.title{font-size:16px;font-weight:600}.quiet{fill:var(--quiet)}
.grid{stroke:var(--grid);fill:none}.curve{fill:none;stroke-width:2.5;stroke-linejoin:round}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}
.d0{fill:var(--c0)}.d1{fill:var(--c1)}.d2{fill:var(--c2)}
"""


@dataclass(frozen=True, slots=True)
class Point:
    """The median, minimum and maximum of a point's rounds."""

    x: float
    y: float
    low: float
    high: float


#: Measured values, one per round, by their position on the x-axis.
Rounds = Mapping[int, Sequence[float]]


def points(rounds: Rounds) -> list[Point]:
    """The points of a series: medians with the range of the rounds."""
    return [Point(x, statistics.median(values), min(values), max(values)) for x, values in sorted(rounds.items())]


@dataclass(frozen=True, slots=True)
class Series:
    """A name for the legend, and at least one point."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis' quantity and unit: "schedules", or "lateness" in "ms". A logarithmic one needs values above 0; a linear
    one starts at 0."""

    label: str
    unit: str = ""
    scale: Scale = "linear"

    @property
    def words(self) -> str:
        return f"{self.label}, {self.unit}" if self.unit else self.label


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot. `note` is a line below the title."""

    title: str
    note: str
    x: Axis
    y: Axis
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class _Range:
    """The range of an axis, and its ticks."""

    low: float
    high: float
    scale: Scale
    ticks: Sequence[float]

    def share(self, value: float) -> float:
        """The position of a value on the axis, from 0 to 1."""
        if self.scale == "log":
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


def linear_ticks(highest: float) -> list[float]:
    """At most seven round values from 0 to at least `highest`."""
    power = 10.0 ** math.floor(math.log10(highest / _MAX_TICKS)) if highest > 0 else 0.2
    step = next(power * step for step in _STEPS if power * step * _MAX_TICKS >= highest * (1 - 1e-9))
    return [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)] if highest > 0 else [0.0, 1.0]


def log_ticks(lowest: float, highest: float) -> list[float]:
    """Round values that enclose both: powers of ten, and 2 and 5 times them if those are few."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    last = max(last, first + 1)
    if last - first > _WIDE:
        return [10.0**power for power in range(first, last + 1)]
    fine = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    begins = max(index for index, tick in enumerate(fine) if tick <= lowest * (1 + 1e-9))
    ends = min(index for index, tick in enumerate(fine) if tick >= highest * (1 - 1e-9))
    return fine[begins : max(ends, begins + 1) + 1]


def short(value: float) -> str:
    """A tick's label: 1,000,000 is "1M", 10,000 is "10k", 0.5 is "0.5"."""
    if value >= _MILLION:
        return f"{value / _MILLION:g}M"
    return f"{value / _THOUSAND:g}k" if value >= _THOUSAND else f"{value:g}"


def svg(plot: Plot) -> str:
    """The plot as an SVG file."""
    points = [point for series in plot.series for point in series.points]
    across = _range(plot.x, [point.x for point in points])
    up = _range(plot.y, [value for point in points for value in (point.low, point.high)])
    opening = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
    parts = [
        f'<svg {opening} aria-labelledby="title desc"><title id="title">{escape(plot.title)}</title>',
        f'<desc id="desc">{escape(described(plot))}</desc><style>{_STYLE}</style>',
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>',
        f'<text class="title" x="{_LEFT}" y="28">{escape(plot.title)}</text>',
        f'<text class="quiet" x="{_LEFT}" y="47">{escape(plot.note)}</text>',
        *_across(plot.x, across),
        *_up(plot.y, up),
        *_key(plot.series),
    ]
    for index, series in enumerate(plot.series):
        parts += _curve(index, series, plot, across, up)
    return "\n".join([*parts, "</svg>\n"])


def described(plot: Plot) -> str:
    """All numbers as text, for screen readers."""
    unit = f" {plot.y.unit}" if plot.y.unit else ""
    texts = [
        f"{series.name}: "
        + ", ".join(f"{number(point.y)}{unit} at {point.x:,g} {plot.x.label}" for point in series.points)
        for series in plot.series
    ]
    return "; ".join(texts)


def _range(axis: Axis, values: Sequence[float]) -> _Range:
    ticks = log_ticks(min(values), max(values)) if axis.scale == "log" else linear_ticks(max(values))
    return _Range(ticks[0], ticks[-1], axis.scale, ticks)


def _x(share: float) -> str:
    return f"{_LEFT + share * _INNER_WIDTH:.1f}"


def _y(share: float) -> str:
    return f"{_TOP + (1 - share) * _INNER_HEIGHT:.1f}"


def _across(axis: Axis, reach: _Range) -> Iterator[str]:
    for tick in reach.ticks:
        x = _x(reach.share(tick))
        yield f'<path class="grid" d="M{x} {_TOP}V{_TOP + _INNER_HEIGHT}"/>'
        yield f'<text x="{x}" y="{_TOP + _INNER_HEIGHT + 19}" text-anchor="middle">{short(tick)}</text>'
    middle = _LEFT + _INNER_WIDTH / 2
    yield f'<text class="quiet" x="{middle:.0f}" y="{_HEIGHT - 14}" text-anchor="middle">{escape(axis.words)}</text>'


def _up(axis: Axis, reach: _Range) -> Iterator[str]:
    for tick in reach.ticks:
        y = _y(reach.share(tick))
        yield f'<path class="grid" d="M{_LEFT} {y}H{_LEFT + _INNER_WIDTH}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{short(tick)}</text>'
    middle = _TOP + _INNER_HEIGHT / 2
    turned = f'transform="translate(20 {middle:.0f}) rotate(-90)" text-anchor="middle"'
    yield f'<text class="quiet" {turned}>{escape(axis.words)}</text>'


def _key(series: Sequence[Series]) -> Iterator[str]:
    """The legend, if there are several series."""
    if len(series) == 1:
        return
    x = float(_LEFT)
    for index, one in enumerate(series):
        yield f'<g transform="translate({x + 6:.0f} 62)">{_mark(index)}</g>'
        yield f'<text x="{x + 17:.0f}" y="66">{escape(one.name)}</text>'
        x += 34 + 7.2 * len(one.name)


def _curve(index: int, series: Series, plot: Plot, across: _Range, up: _Range) -> Iterator[str]:
    positions = [(_x(across.share(point.x)), _y(up.share(point.y))) for point in series.points]
    yield f'<path class="curve s{index}" d="M{"L".join(f"{x} {y}" for x, y in positions)}"/>'
    for point, (x, y) in zip(series.points, positions, strict=True):
        text = f"{point.x:,g} {plot.x.label}: {number(point.y)} {plot.y.unit}".strip()
        yield f'<path class="s{index}" d="M{x} {_y(up.share(point.low))}V{_y(up.share(point.high))}"/>'
        yield f'<g transform="translate({x} {y})"><title>{escape(text)}</title>{_mark(index)}</g>'


def _mark(index: int) -> str:
    """A disc, square or diamond, because color alone must not distinguish series."""
    shapes = ('<circle r="4.5"', '<rect x="-4" y="-4" width="8" height="8"', '<path d="M0-6L6 0L0 6L-6 0Z"')
    return f'{shapes[index]} class="d{index}"/>'
