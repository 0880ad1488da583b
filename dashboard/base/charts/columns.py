"""Single things side by side, each as tall as its number: how long the last executions took, how late they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from core.words import NOTHING
from dashboard.base.charts.markup import drawn, table, text
from dashboard.base.charts.scales import head, percent

_HEIGHT = 96  # in pixels
#: What is there can be seen, though it is one in a million.
_LEAST = 0.02
_NOTHING = '<p class="hh-quiet">Nothing measured.</p>'
_GAP = 0.2  # of a column's width, between two


@dataclass(frozen=True, slots=True)
class Column:
    """One thing: its name, what it measured, None where nothing was measured, and its tone.

    `limit` is drawn as a line across it, where there is one; `label` stands below it.
    """

    name: str
    value: float | None
    tone: str = "busy"
    limit: float | None = None
    label: str = ""


def columns(
    title: str,
    things: Sequence[Column],
    *,
    words: Callable[[float], str],
    notes: Sequence[tuple[str, str]] = (),
    limit: str = "Limit",
) -> SafeString:
    """The first on the left. `notes` are names and values that stand beside the title; `words` spells a value, and
    `limit` names the limits."""
    key = "".join(f"<li>{text(name)} <strong>{text(value)}</strong></li>" for name, value in notes)
    if any(one.limit is not None for one in things):
        key += f'<li><span class="hh-swatch hh-limit" aria-hidden="true"></span>{text(limit)}</li>'
    plot = _ColumnPlot(title, things, notes, words, limit)
    return drawn(
        f'<figure class="hh-chart"><figcaption><h3>{text(title)}</h3><ul class="hh-key">{key}</ul></figcaption>',
        plot.drawing() if any(one.value is not None for one in things) else _NOTHING,
        "</figure>",
    )


@dataclass(frozen=True, slots=True)
class _ColumnPlot:
    title: str
    things: Sequence[Column]
    notes: Sequence[tuple[str, str]]
    words: Callable[[float], str]
    limit: str

    def drawing(self) -> str:
        """Shapes stretch to the width there is, letters do not. Below, all of it in numbers, the last first."""
        title, words, width = text(self.title), self.words, 1 / len(self.things)
        top = head(max(number or 0 for one in self.things for number in (one.value, one.limit)))
        shapes = "".join(_shapes(one, place * width, width, top) for place, one in enumerate(self.things))
        hits = "".join(
            f'<rect class="hh-hit" x="{percent(place * width)}" y="0" width="{percent(width)}" height="100">'
            f"<title>{self._told(one)}</title></rect>"
            for place, one in enumerate(self.things)
        )
        labels = "".join(
            f'<text x="{percent((place + 0.5) * width)}%" y="{_HEIGHT + 17}" text-anchor="middle">'
            f"{text(one.label)}</text>"
            for place, one in enumerate(self.things)
            if one.label
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
        limited = any(one.limit is not None for one in self.things)
        heads = ["Which", self.title, *([self.limit] if limited else [])]
        rows = ((one.name, [self._spelled(one.value), *([self._spelled(one.limit)] if limited else [])])
                for one in reversed(self.things))  # fmt: skip
        return table(heads, rows)

    def _told(self, one: Column) -> str:
        limit = "" if one.limit is None else f", {self.limit.lower()} {self.words(one.limit)}"
        return text(f"{one.name}: {self._spelled(one.value)}{limit}")

    def _spelled(self, value: float | None) -> str:
        return NOTHING if value is None else self.words(value)


def _shapes(one: Column, x: float, width: float, top: float) -> str:
    """A column that begins at `x`, and the line of its limit."""
    left, right = percent(x + width * _GAP / 2), percent(x + width * (1 - _GAP / 2))
    found = ""
    if one.value is not None:
        height = percent(1 - max(one.value / top, _LEAST))
        found += f'<path class="hh-{one.tone}" d="M{left} 100V{height}H{right}V100Z"/>'
    if one.limit is not None:
        found += f'<path class="hh-limit" d="M{percent(x)} {percent(1 - one.limit / top)}H{percent(x + width)}"/>'
    return found
