"""Charts over time: bars stacked by state, and lines. Each is a figure with a legend, an SVG and a table."""

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler_project.dashboard.charts.numbers import table
from scheduler_project.dashboard.charts.scales import anchor, head, instant_of, percent, ticks
from scheduler_project.dashboard.words import NOTHING

_HEIGHT = 156  # of the shapes, in pixels; the labels of time stand below
_NOTHING = format_html('<p class="hh-quiet">{}</p>', "Nothing in this time.")
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


def count_words(count: float) -> str:
    """3200 is "3,200"."""
    return f"{count:,.0f}"


def stacked_bars(title: str, axis: Axis, series: Sequence[Series], *, words: Words = count_words) -> SafeString:
    """A bar for each bucket, its first series at the bottom."""
    totals = [sum(one.values[place] or 0 for one in series) for place in range(axis.count)]
    top = head(max(totals, default=0))
    bars = format_html_join("", "{}", ((_bar(axis, place, series, top),) for place in range(axis.count)))
    return _Plot(title, axis, series, words, top).figure(bars)


def lines(title: str, axis: Axis, series: Sequence[Series], *, words: Words = count_words) -> SafeString:
    """A line for each series, interrupted where a bucket has no value."""
    top = head(max((value for one in series for value in one.values if value is not None), default=0))
    shapes = format_html_join(
        "", '<polyline class="hh-line hh-line-{}" points="{}"/>',
        ((one.tone, points) for one in reversed(series) for points in _stretches(axis, one.values, top)),
    )  # fmt: skip
    return _Plot(title, axis, series, words, top).figure(shapes)


def _bar(axis: Axis, place: int, series: Sequence[Series], top: float) -> SafeString:
    shares = [(one.tone, max(value / top, _LEAST)) for one in series if (value := one.values[place])]
    # Lifting the small ones must not push the tall ones out of the picture.
    too_high = max(1.0, sum(share for _, share in shares))
    ends = itertools.accumulate(share / too_high for _, share in shares)
    x, width = percent((place + _GAP / 2) / axis.count), percent((1 - _GAP) / axis.count)
    return format_html_join(
        "", '<rect class="hh-{}" x="{}" y="{}" width="{}" height="{}"/>',
        (
            (tone, x, percent(1 - end), width, percent(share / too_high))
            for (tone, share), end in zip(shares, ends, strict=True)
        ),
    )  # fmt: skip


def _stretches(axis: Axis, values: Sequence[float | None], top: float) -> list[str]:
    """The points of each stretch without a gap; a lonely one twice, so that it is drawn as a dot."""
    stretches: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            stretches[-1].append(f"{percent((place + 0.5) / axis.count)},{percent(1 - value / top)}")
        elif stretches[-1]:
            stretches.append([])
    return [" ".join(stretch * 2 if len(stretch) == 1 else stretch) for stretch in stretches if stretch]


@dataclass(frozen=True, slots=True)
class _Plot:
    """What surrounds the shapes of a chart: its name, its key, its scales and its table."""

    title: str
    axis: Axis
    series: Sequence[Series]
    words: Words
    top: float

    def figure(self, shapes: SafeString) -> SafeString:
        key = format_html_join(
            "",
            '<li><span class="hh-swatch hh-{0} hh-line-{0}" aria-hidden="true"></span>{1} <strong>{2}</strong></li>',
            ((one.tone, one.name, one.note) for one in self.series),
        )  # fmt: skip
        told = (self._drawing(shapes), self._table()) if shapes else (_NOTHING, "")
        return format_html(
            '<figure class="hh-chart"><figcaption><h3>{}</h3><ul class="hh-key">{}</ul></figcaption>{}{}</figure>',
            self.title, key, *told,
        )  # fmt: skip

    def _drawing(self, shapes: SafeString) -> SafeString:
        """Shapes stretch to the width there is, letters do not."""
        count = self.axis.count
        hits = format_html_join(
            "", '<rect class="hh-hit" x="{}" y="0" width="{}" height="100"><title>{}</title></rect>',
            ((percent(place / count), percent(1 / count), self._bucket(place)) for place in range(count)),
        )  # fmt: skip
        labels = format_html_join(
            "", '<text x="{}%" y="{}" text-anchor="{}">{}</text>',
            (
                (percent(share), _HEIGHT + 17, anchor(share), text)
                for share, text in ticks(self.axis.starts_at, self.axis.ends_at)
            ),
        )  # fmt: skip
        return format_html(
            '<div class="hh-plot"><div class="hh-scale" aria-hidden="true"><span>{}</span><span>{}</span>'
            '<span>0</span></div><svg class="hh-drawing" role="img" width="100%" height="{}" aria-label="{}: {}">'
            '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="{}">'
            '<path class="hh-grid" d="M0 0H100M0 50H100M0 100H100"/>{}{}</svg>{}</svg></div>',
            self.words(self.top), self.words(self.top / 2), _HEIGHT + 20, self.title,
            ", ".join(f"{one.name} {one.note}".strip() for one in self.series), _HEIGHT, shapes, hits, labels,
        )  # fmt: skip

    def _bucket(self, place: int) -> str:
        told = [f"{one.name} {self.words(value)}" for one in self.series if (value := one.values[place])]
        return f"{self._start_of(place)} UTC: {', '.join(told) or 'nothing'}"

    def _start_of(self, place: int) -> str:
        return instant_of(self.axis.start_of(place), self.axis.width)

    def _table(self) -> SafeString:
        """All of it in numbers, newest first; buckets in which nothing was are left out."""
        places = [place for place in reversed(range(self.axis.count)) if any(one.values[place] for one in self.series)]
        rows = (
            (
                self._start_of(place),
                [NOTHING if (value := one.values[place]) is None else self.words(value) for one in self.series],
            )
            for place in places
        )
        return table(["From, UTC", *(one.name for one in self.series)], rows)
