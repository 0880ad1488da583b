"""Charts over time: bars stacked by state, and lines. Each is a figure with a legend, an SVG and a table."""

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from core.words import NOTHING
from dashboard.base.charts.markup import behind, drawn, link, table, text
from dashboard.base.charts.scales import anchor, head, instant_of, percent, ticks

_HEIGHT = 156  # of the shapes, in pixels; the labels of time stand below
_NOTHING = '<p class="hh-quiet">Nothing in this time.</p>'
_EMPTY = (NOTHING, "0")
#: What is there can be seen, though it is one in a million.
_LEAST = 0.02
_GAP = 0.14  # of a bucket's width, between two bars


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time, cut into `count` buckets of the same width."""

    starts_at: datetime.datetime
    width: datetime.timedelta
    count: int

    @property
    def ends_at(self) -> datetime.datetime:
        return self.starts_at + self.count * self.width

    def start_of(self, place: int) -> datetime.datetime:
        return self.starts_at + place * self.width


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each bucket, None where there is none. `tone` is a state's (`ok`, `bad`, ...) or a line's (`p50`,
    `p95`, `p99`); `note` stands beside the name: a total, or the value of the whole time."""

    name: str
    tone: str
    values: Sequence[float | None]
    note: str = ""


Words = Callable[[float], str]
#: Where what is told of a series leads: by its place among the others, from an instant up to, but without, another.
Leads = Callable[[int, datetime.datetime, datetime.datetime], str]


def count_words(count: float) -> str:
    """3200 is "3,200"."""
    return f"{count:,.0f}"


def stacked_bars(
    title: str, axis: Axis, series: Sequence[Series], *, words: Words = count_words, leads: Leads | None = None
) -> SafeString:
    """A bar for each bucket, its first series at the bottom. With `leads`, each part of a bar is a link."""
    totals = [sum(one.values[place] or 0 for one in series) for place in range(axis.count)]
    top = head(max(totals, default=0))
    boxes: list[list[tuple[int, str]]] = [[] for _ in series]
    for place in range(axis.count):
        left, right = percent((place + _GAP / 2) / axis.count), percent((place + 1 - _GAP / 2) / axis.count)
        for which, foot, end in _stacked([one.values[place] for one in series], top):
            box = f"M{left} {percent(1 - foot)}V{percent(1 - end)}H{right}V{percent(1 - foot)}Z"
            boxes[which].append((place, box))
    plot = _Plot(title, axis, series, words, top, leads)
    return plot.figure("".join(plot.boxes(which, those) for which, those in enumerate(boxes) if those))


def lines(title: str, axis: Axis, series: Sequence[Series], *, words: Words = count_words) -> SafeString:
    """A line for each series, interrupted where a bucket has no value."""
    top = head(max((value for one in series for value in one.values if value is not None), default=0))
    shapes = [
        f'<path class="hh-line hh-line-{one.tone}" d="{path}"/>'
        for one in reversed(series)
        if (path := _path(axis, one.values, top))
    ]
    return _Plot(title, axis, series, words, top).figure("".join(shapes))


def _stacked(values: Sequence[float | None], top: float) -> list[tuple[int, float, float]]:
    """Which series stand in a bar, each with where it begins and ends as a share of the height."""
    shares = [(which, max(value / top, _LEAST)) for which, value in enumerate(values) if value]
    # Lifting the small ones must not push the tall ones out of the picture.
    too_high = max(1.0, sum(share for _, share in shares))
    ends = list(itertools.accumulate((share / too_high for _, share in shares), initial=0.0))
    return [(which, *between) for (which, _), between in zip(shares, itertools.pairwise(ends), strict=True)]


def _path(axis: Axis, values: Sequence[float | None], top: float) -> str:
    """A stroke for each stretch without a gap; a lonely value is a dot."""
    strokes = []
    before: float | None = None
    for place, value in enumerate(values):
        if value is not None:
            point = f"{percent((place + 0.5) / axis.count)} {percent(1 - value / top)}"
            strokes.append(f"M{point}h0" if before is None else f"L{point}")
        before = value
    return "".join(strokes)


@dataclass(frozen=True, slots=True)
class _Plot:
    """What surrounds the shapes of a chart: its name, its key, its scales and its table."""

    title: str
    axis: Axis
    series: Sequence[Series]
    words: Words
    top: float
    leads: Leads | None = None

    def boxes(self, which: int, those: Sequence[tuple[int, str]]) -> str:
        """The parts that a series has in the bars, each with the place of its bucket: one shape, unless they lead
        somewhere."""
        tone = self.series[which].tone
        if self.leads is None:
            return f'<path class="hh-{tone}" d="{"".join(box for _, box in those)}"/>'
        return "".join(
            behind(f'<path class="hh-{tone}" d="{box}"><title>{self._told(*self._bucket(place))}</title></path>',
                   self._lead(which, place))
            for place, box in those
        )  # fmt: skip

    def figure(self, shapes: str) -> SafeString:
        key = "".join(
            f'<li><span class="hh-swatch hh-{one.tone} hh-line-{one.tone}" aria-hidden="true"></span>'
            f"{self._named(which)} <strong>{text(one.note)}</strong></li>"
            for which, one in enumerate(self.series)
        )
        return drawn(
            f'<figure class="hh-chart"><figcaption><h3>{text(self.title)}</h3>',
            f'<ul class="hh-key">{key}</ul></figcaption>',
            self._drawing(shapes) if shapes else _NOTHING,
            "</figure>",
        )

    def _drawing(self, shapes: str) -> str:
        """Shapes stretch to the width there is, letters do not. Below, all of it in numbers, newest first."""
        axis, width = self.axis, percent(1 / self.axis.count)
        buckets = [self._bucket(place) for place in range(axis.count)]
        hits = "".join(
            f'<rect class="hh-hit" x="{percent(place / axis.count)}" y="0" width="{width}" height="100">'
            f"<title>{self._told(start, values)}</title></rect>"
            for place, (start, values) in enumerate(buckets)
        )
        labels = "".join(
            f'<text x="{percent(share)}%" y="{_HEIGHT + 17}" text-anchor="{anchor(share)}">{words}</text>'
            for share, words in ticks(axis.starts_at, axis.ends_at)
        )
        # Where parts of a picture are links it is none to a screen reader, which has the key and the table.
        summary = ", ".join(f"{one.name} {one.note}".strip() for one in self.series)
        picture = 'aria-hidden="true"' if self.leads else f'role="img" aria-label="{text(self.title)}: {text(summary)}"'
        return (
            f'<div class="hh-plot"><div class="hh-scale" aria-hidden="true"><span>{text(self.words(self.top))}</span>'
            f"<span>{text(self.words(self.top / 2))}</span><span>0</span></div>"
            f'<svg class="hh-drawing" {picture} width="100%" height="{_HEIGHT + 20}">'
            f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="{_HEIGHT}">'
            f'<path class="hh-grid" d="M0 0H100M0 50H100M0 100H100"/>{hits}{shapes}</svg>{labels}</svg></div>'
        ) + table(
            ["From, UTC", *(one.name for one in self.series)],
            (
                (start, [self._cell(which, place, value) for which, value in enumerate(values)])
                for place, (start, values) in reversed(list(enumerate(buckets)))
                if any(one not in _EMPTY for one in values)
            ),
        )

    def _lead(self, which: int, place: int) -> str:
        assert self.leads is not None
        return self.leads(which, self.axis.start_of(place), self.axis.start_of(place + 1))

    def _cell(self, which: int, place: int, value: str) -> str:
        return value if self.leads is None or value in _EMPTY else link(value, self._lead(which, place))

    def _named(self, which: int) -> str:
        """A series in the key: there it leads to all of it, from one end to the other."""
        name = self.series[which].name
        return (
            text(name) if self.leads is None else link(name, self.leads(which, self.axis.starts_at, self.axis.ends_at))
        )

    def _bucket(self, place: int) -> tuple[str, list[str]]:
        """When a bucket begins, and the values in it."""
        values = (one.values[place] for one in self.series)
        told = [NOTHING if value is None else self.words(value) if value else "0" for value in values]
        return instant_of(self.axis.start_of(place), self.axis.width), told

    def _told(self, start: str, values: Sequence[str]) -> str:
        told = (f"{one.name} {value}" for one, value in zip(self.series, values, strict=True) if value not in _EMPTY)
        return text(f"{start} UTC: {', '.join(told) or 'nothing'}")
