"""Charts over time: stacked bars and lines. Each is a figure with a legend, an SVG and a table."""

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from core.words import NOTHING
from dashboard.base.charts.markup import drawn, link, shape_link, table, text
from dashboard.base.charts.scales import anchor, head, instant_of, percent, ticks

_HEIGHT = 156  # of the shapes, in pixels; the labels of the time axis are below
_NOTHING = '<p class="hh-quiet">No data in this period.</p>'
_EMPTY = (NOTHING, "0")
#: The least height of a bar's part, as a share.
_LEAST = 0.02
_GAP = 0.14  # of a bucket's width, between two bars


@dataclass(frozen=True, slots=True)
class Axis:
    """A period divided into `count` buckets of the same width."""

    starts_at: datetime.datetime
    width: datetime.timedelta
    count: int

    @property
    def ends_at(self) -> datetime.datetime:
        return self.starts_at + self.count * self.width

    def start_of(self, bucket: int) -> datetime.datetime:
        return self.starts_at + bucket * self.width


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each bucket, or None.

    `tone` is that of a state (`ok`, `bad`, ...) or of a line (`p50`, `p95`, `p99`); `note` is shown beside the name: a
    total, or the value of the whole period.
    """

    name: str
    tone: str
    values: Sequence[float | None]
    note: str = ""


Words = Callable[[float], str]
#: The address of a series' data, by its index, from one instant up to, but without, another.
SeriesUrl = Callable[[int, datetime.datetime, datetime.datetime], str]


def count_words(count: float) -> str:
    """3200 is "3,200"."""
    return f"{count:,.0f}"


def stacked_bars(
    title: str, axis: Axis, series: Sequence[Series], *, words: Words = count_words, url_of: SeriesUrl | None = None
) -> SafeString:
    """Draw a bar for each bucket, its first series at the bottom. With `url_of`, each part of a bar is a link."""
    totals = [sum(each.values[bucket] or 0 for each in series) for bucket in range(axis.count)]
    top = head(max(totals, default=0))
    boxes: list[list[tuple[int, str]]] = [[] for _ in series]
    for bucket in range(axis.count):
        left, right = percent((bucket + _GAP / 2) / axis.count), percent((bucket + 1 - _GAP / 2) / axis.count)
        for index, foot, end in _stacked([each.values[bucket] for each in series], top):
            box = f"M{left} {percent(1 - foot)}V{percent(1 - end)}H{right}V{percent(1 - foot)}Z"
            boxes[index].append((bucket, box))
    plot = _Plot(title, axis, series, words, top, url_of)
    return plot.figure("".join(plot.parts(index, parts) for index, parts in enumerate(boxes) if parts))


def lines(title: str, axis: Axis, series: Sequence[Series], *, words: Words = count_words) -> SafeString:
    """Draw a line for each series, interrupted where a bucket has no value."""
    top = head(max((value for each in series for value in each.values if value is not None), default=0))
    shapes = [
        f'<path class="hh-line hh-line-{each.tone}" d="{path}"/>'
        for each in reversed(series)
        if (path := _path(axis, each.values, top))
    ]
    return _Plot(title, axis, series, words, top).figure("".join(shapes))


def _stacked(values: Sequence[float | None], top: float) -> list[tuple[int, float, float]]:
    """The parts of a bar as (series, bottom, top), in shares of the height."""
    shares = [(index, max(value / top, _LEAST)) for index, value in enumerate(values) if value]
    # Raising small parts to _LEAST must not push the bar beyond the top.
    too_high = max(1.0, sum(share for _, share in shares))
    ends = list(itertools.accumulate((share / too_high for _, share in shares), initial=0.0))
    return [(index, *between) for (index, _), between in zip(shares, itertools.pairwise(ends), strict=True)]


def _path(axis: Axis, values: Sequence[float | None], top: float) -> str:
    """An SVG path with gaps where values are None; a single value is a dot."""
    strokes = []
    before: float | None = None
    for bucket, value in enumerate(values):
        if value is not None:
            point = f"{percent((bucket + 0.5) / axis.count)} {percent(1 - value / top)}"
            strokes.append(f"M{point}h0" if before is None else f"L{point}")
        before = value
    return "".join(strokes)


@dataclass(frozen=True, slots=True)
class _Plot:
    """The frame of a chart: title, legend, scales and table."""

    title: str
    axis: Axis
    series: Sequence[Series]
    words: Words
    top: float
    url_of: SeriesUrl | None = None

    def parts(self, index: int, parts: Sequence[tuple[int, str]]) -> str:
        """A series' parts of bars, as (bucket, path): one shape, or one link each."""
        tone = self.series[index].tone
        if self.url_of is None:
            return f'<path class="hh-{tone}" d="{"".join(box for _, box in parts)}"/>'
        return "".join(
            shape_link(f'<path class="hh-{tone}" d="{box}"><title>{self._title(*self._bucket(bucket))}</title></path>',
                   self._url(index, bucket))
            for bucket, box in parts
        )  # fmt: skip

    def figure(self, shapes: str) -> SafeString:
        key = "".join(
            f'<li><span class="hh-swatch hh-{each.tone} hh-line-{each.tone}" aria-hidden="true"></span>'
            f"{self._legend_label(index)} <strong>{text(each.note)}</strong></li>"
            for index, each in enumerate(self.series)
        )
        return drawn(
            f'<figure class="hh-chart"><figcaption><h3>{text(self.title)}</h3>',
            f'<ul class="hh-key">{key}</ul></figcaption>',
            self._drawing(shapes) if shapes else _NOTHING,
            "</figure>",
        )

    def _drawing(self, shapes: str) -> str:
        """Shapes stretch to the width, text does not. The table below has the numbers, newest first."""
        axis, width = self.axis, percent(1 / self.axis.count)
        buckets = [self._bucket(bucket) for bucket in range(axis.count)]
        hits = "".join(
            f'<rect class="hh-hit" x="{percent(bucket / axis.count)}" y="0" width="{width}" height="100">'
            f"<title>{self._title(start, values)}</title></rect>"
            for bucket, (start, values) in enumerate(buckets)
        )
        labels = "".join(
            f'<text x="{percent(share)}%" y="{_HEIGHT + 17}" text-anchor="{anchor(share)}">{words}</text>'
            for share, words in ticks(axis.starts_at, axis.ends_at)
        )
        # A chart with links is hidden from screen readers, which have the legend and the table.
        summary = ", ".join(f"{each.name} {each.note}".strip() for each in self.series)
        picture = (
            'aria-hidden="true"' if self.url_of else f'role="img" aria-label="{text(self.title)}: {text(summary)}"'
        )
        return (
            f'<div class="hh-plot"><div class="hh-scale" aria-hidden="true"><span>{text(self.words(self.top))}</span>'
            f"<span>{text(self.words(self.top / 2))}</span><span>0</span></div>"
            f'<svg class="hh-drawing" {picture} width="100%" height="{_HEIGHT + 20}">'
            f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="{_HEIGHT}">'
            f'<path class="hh-grid" d="M0 0H100M0 50H100M0 100H100"/>{hits}{shapes}</svg>{labels}</svg></div>'
        ) + table(
            ["From, UTC", *(each.name for each in self.series)],
            (
                (start, [self._cell(index, bucket, value) for index, value in enumerate(values)])
                for bucket, (start, values) in reversed(list(enumerate(buckets)))
                if any(value not in _EMPTY for value in values)
            ),
        )

    def _url(self, index: int, bucket: int) -> str:
        assert self.url_of is not None
        return self.url_of(index, self.axis.start_of(bucket), self.axis.start_of(bucket + 1))

    def _cell(self, index: int, bucket: int, value: str) -> str:
        return value if self.url_of is None or value in _EMPTY else link(value, self._url(index, bucket))

    def _legend_label(self, index: int) -> str:
        """A series' name in the legend, with a link to its data of the whole period."""
        name = self.series[index].name
        return (
            text(name)
            if self.url_of is None
            else link(name, self.url_of(index, self.axis.starts_at, self.axis.ends_at))
        )

    def _bucket(self, bucket: int) -> tuple[str, list[str]]:
        """The beginning of a bucket, and its values in words."""
        values = (each.values[bucket] for each in self.series)
        words = [NOTHING if value is None else self.words(value) if value else "0" for value in values]
        return instant_of(self.axis.start_of(bucket), self.axis.width), words

    def _title(self, start: str, values: Sequence[str]) -> str:
        parts = (f"{each.name} {value}" for each, value in zip(self.series, values, strict=True) if value not in _EMPTY)
        return text(f"{start} UTC: {', '.join(parts) or 'no data'}")
