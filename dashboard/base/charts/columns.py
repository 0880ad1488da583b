"""A bar chart of single values, such as the durations of the latest executions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from core.words import NOTHING
from dashboard.base.charts.markup import drawn, table, text
from dashboard.base.charts.scales import head, percent

_HEIGHT = 96  # in pixels
#: The least height of a bar, as a share.
_LEAST = 0.02
_NOTHING = '<p class="hh-quiet">No data.</p>'
_GAP = 0.2  # of a column's width, between two


@dataclass(frozen=True, slots=True)
class Column:
    """A bar: its name, its value (None if not measured), and its tone.

    `limit` is drawn as a line across it; `label` is printed below it.
    """

    name: str
    value: float | None
    tone: str = "busy"
    limit: float | None = None
    label: str = ""


def columns(
    title: str,
    bars: Sequence[Column],
    *,
    words: Callable[[float], str],
    notes: Sequence[tuple[str, str]] = (),
    limit: str = "Limit",
) -> SafeString:
    """Draw the bars from left to right.

    `notes` are (name, value) pairs beside the title, `words` formats a value, and `limit` names the limits.
    """
    key = "".join(f"<li>{text(name)} <strong>{text(value)}</strong></li>" for name, value in notes)
    if any(bar.limit is not None for bar in bars):
        key += f'<li><span class="hh-swatch hh-limit" aria-hidden="true"></span>{text(limit)}</li>'
    plot = _ColumnPlot(title, bars, notes, words, limit)
    return drawn(
        f'<figure class="hh-chart"><figcaption><h3>{text(title)}</h3><ul class="hh-key">{key}</ul></figcaption>',
        plot.drawing() if any(bar.value is not None for bar in bars) else _NOTHING,
        "</figure>",
    )


@dataclass(frozen=True, slots=True)
class _ColumnPlot:
    title: str
    bars: Sequence[Column]
    notes: Sequence[tuple[str, str]]
    words: Callable[[float], str]
    limit: str

    def drawing(self) -> str:
        """Shapes stretch to the width, text does not. The table below has the numbers, the last first."""
        title, words, width = text(self.title), self.words, 1 / len(self.bars)
        top = head(max(number or 0 for bar in self.bars for number in (bar.value, bar.limit)))
        shapes = "".join(_shapes(bar, index * width, width, top) for index, bar in enumerate(self.bars))
        hits = "".join(
            f'<rect class="hh-hit" x="{percent(index * width)}" y="0" width="{percent(width)}" height="100">'
            f"<title>{self._title(bar)}</title></rect>"
            for index, bar in enumerate(self.bars)
        )
        labels = "".join(
            f'<text x="{percent((index + 0.5) * width)}%" y="{_HEIGHT + 17}" text-anchor="middle">'
            f"{text(bar.label)}</text>"
            for index, bar in enumerate(self.bars)
            if bar.label
        )
        summary = ", ".join(f"{name} {value}" for name, value in self.notes)
        return (
            f'<div class="hh-plot hh-plot-low"><div class="hh-scale" aria-hidden="true"><span>{text(words(top))}</span>'
            f"<span>{text(words(top / 2))}</span><span>0</span></div>"
            f'<svg class="hh-drawing" role="img" width="100%" height="{_HEIGHT + (20 if labels else 0)}"'
            f' aria-label="{title}: {text(summary)}">'
            f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="{_HEIGHT}">'
            f'<path class="hh-grid" d="M0 0H100M0 50H100M0 100H100"/>{hits}{shapes}</svg>{labels}</svg></div>'
        ) + self._table()

    def _table(self) -> str:
        limited = any(bar.limit is not None for bar in self.bars)
        heads = ["Item", self.title, *([self.limit] if limited else [])]
        rows = ((bar.name, [self._format(bar.value), *([self._format(bar.limit)] if limited else [])])
                for bar in reversed(self.bars))  # fmt: skip
        return table(heads, rows)

    def _title(self, bar: Column) -> str:
        limit = "" if bar.limit is None else f", {self.limit.lower()} {self.words(bar.limit)}"
        return text(f"{bar.name}: {self._format(bar.value)}{limit}")

    def _format(self, value: float | None) -> str:
        return NOTHING if value is None else self.words(value)


def _shapes(bar: Column, x: float, width: float, top: float) -> str:
    """The bar that begins at `x`, and the line of its limit."""
    left, right = percent(x + width * _GAP / 2), percent(x + width * (1 - _GAP / 2))
    shapes = ""
    if bar.value is not None:
        height = percent(1 - max(bar.value / top, _LEAST))
        shapes += f'<path class="hh-{bar.tone}" d="M{left} 100V{height}H{right}V100Z"/>'
    if bar.limit is not None:
        shapes += f'<path class="hh-limit" d="M{percent(x)} {percent(1 - bar.limit / top)}H{percent(x + width)}"/>'
    return shapes
