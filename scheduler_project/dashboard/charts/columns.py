"""Single things side by side, each as tall as its number: how long the last executions took, how late they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from scheduler_project.dashboard.charts.markup import drawn, table, text
from scheduler_project.dashboard.charts.scales import head, percent
from scheduler_project.dashboard.words import NOTHING

_HEIGHT = 96  # in pixels
#: What is there can be seen, though it is one in a million.
_LEAST = 0.02
_NOTHING = '<p class="hh-quiet">Nothing measured.</p>'
_GAP = 0.2  # of a column's width, between two


@dataclass(frozen=True, slots=True)
class Column:
    """One thing: its name, what it measured, None where nothing was measured, and its tone."""

    name: str
    value: float | None
    tone: str = "busy"


def columns(
    title: str, things: Sequence[Column], *, words: Callable[[float], str], notes: Sequence[tuple[str, str]] = ()
) -> SafeString:
    """The first on the left. `notes` are names and values that stand beside the title; `words` spells a value."""
    key = "".join(f"<li>{text(name)} <strong>{text(value)}</strong></li>" for name, value in notes)
    return drawn(
        f'<figure class="hh-chart"><figcaption><h3>{text(title)}</h3><ul class="hh-key">{key}</ul></figcaption>',
        _plot(title, things, notes, words) if any(one.value is not None for one in things) else _NOTHING,
        "</figure>",
    )


def _plot(title: str, things: Sequence[Column], notes: Sequence[tuple[str, str]], words: Callable[[float], str]) -> str:
    top, width = head(max(one.value or 0 for one in things)), 1 / len(things)
    told = [(one.name, NOTHING if one.value is None else words(one.value)) for one in things]
    shapes = "".join(
        f'<path class="hh-{one.tone}" d="{_box(place * width, width, max(one.value / top, _LEAST))}"/>'
        for place, one in enumerate(things)
        if one.value is not None
    )
    hits = "".join(
        f'<rect class="hh-hit" x="{percent(place * width)}" y="0" width="{percent(width)}" height="100">'
        f"<title>{text(name)}: {text(value)}</title></rect>"
        for place, (name, value) in enumerate(told)
    )
    summary = ", ".join(f"{name} {value}" for name, value in notes)
    return (
        f'<div class="hh-plot hh-plot-low"><div class="hh-scale" aria-hidden="true"><span>{text(words(top))}</span>'
        f"<span>{text(words(top / 2))}</span><span>0</span></div>"
        f'<svg class="hh-drawing" role="img" width="100%" height="{_HEIGHT}"'
        f' aria-label="{text(title)}: {text(summary)}">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="{_HEIGHT}">'
        f'<path class="hh-grid" d="M0 0H100M0 50H100M0 100H100"/>{shapes}{hits}</svg></svg></div>'
    ) + table(["Which", title], ((name, [value]) for name, value in reversed(told)))


def _box(x: float, width: float, share: float) -> str:
    """The outline of a column that begins at `x` and takes `share` of the height."""
    left, right = percent(x + width * _GAP / 2), percent(x + width * (1 - _GAP / 2))
    return f"M{left} 100V{percent(1 - share)}H{right}V100Z"
