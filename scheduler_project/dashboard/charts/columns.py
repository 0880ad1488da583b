"""Single things side by side, each as tall as its number: how long the last executions took, how late they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from scheduler_project.dashboard.charts.scales import head, percent
from scheduler_project.dashboard.words import NOTHING

#: What is there can be seen, though it is one in a million.
_LEAST = 0.02
_NOTHING = mark_safe('<p class="hh-quiet">Nothing measured.</p>')
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
    known = [one.value for one in things if one.value is not None]
    key = format_html_join("", "<li>{} <strong>{}</strong></li>", notes)
    plot = _plot(title, things, notes, words) if known else _NOTHING
    return format_html(
        '<figure class="hh-chart"><figcaption><h3>{}</h3><ul class="hh-key">{}</ul></figcaption>{}</figure>',
        title, key, plot,
    )  # fmt: skip


def _plot(
    title: str, things: Sequence[Column], notes: Sequence[tuple[str, str]], words: Callable[[float], str]
) -> SafeString:
    top = head(max(one.value or 0 for one in things))
    width = 1 / len(things)
    shapes = format_html_join(
        "", '<rect class="hh-{}" x="{}" y="{}" width="{}" height="{}"/>',
        (
            (
                one.tone, percent((place + _GAP / 2) * width), percent(1 - share), percent((1 - _GAP) * width),
                percent(share),
            )
            for place, one in enumerate(things)
            if one.value is not None
            for share in [max(one.value / top, _LEAST)]
        ),
    )  # fmt: skip
    hits = format_html_join(
        "", '<rect class="hh-hit" x="{}" y="0" width="{}" height="100"><title>{}: {}</title></rect>',
        (
            (percent(place * width), percent(width), one.name, _value(one, words))
            for place, one in enumerate(things)
        ),
    )  # fmt: skip
    told = ", ".join(f"{name} {value}" for name, value in notes)
    rows = format_html_join(
        "", '<tr><th scope="row">{}</th><td>{}</td></tr>', ((one.name, _value(one, words)) for one in reversed(things))
    )  # fmt: skip
    return format_html(
        '<div class="hh-plot hh-plot-low"><div class="hh-scale" aria-hidden="true"><span>{}</span><span>{}</span>'
        '<span>0</span></div><svg class="hh-drawing" role="img" aria-label="{}: {}">'
        '<svg class="hh-shapes" viewBox="0 0 100 100" preserveAspectRatio="none">'
        '<path class="hh-grid" d="M0 0H100M0 50H100M0 100H100"/>{}{}</svg></svg></div>'
        '<details class="hh-details"><summary>As a table</summary><div class="hh-numbers" tabindex="0" role="region"'
        ' aria-label="{}"><table><tbody>{}</tbody></table></div></details>',
        words(top), words(top / 2), title, told, shapes, hits, title, rows,
    )  # fmt: skip


def _value(one: Column, words: Callable[[float], str]) -> str:
    return NOTHING if one.value is None else words(one.value)
