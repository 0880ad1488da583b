"""Outcomes in a row, and a timeline of instants."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from dashboard.base.charts.markup import drawn, text
from dashboard.base.charts.scales import anchor, percent, ticks

_SLOTS = 60
_FOOT, _LEAST = 40, 6  # pixels: the base line, and the least height of a bar
_NAMED = 8  # moments listed in the title of a slot


@dataclass(frozen=True, slots=True)
class Mark:
    """One outcome: its tone, its title, and its link, if any."""

    tone: str
    words: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant and its title."""

    at: datetime.datetime
    words: str


def strip(title: str, marks: Sequence[Mark]) -> SafeString:
    """Draw outcomes, the oldest first; failures are taller, so that they show without colour.

    Marks with addresses are a list of links; without, the strip is one image.
    """
    if not any(mark.href for mark in marks):
        spans = (f'<span class="hh-{mark.tone}" title="{text(mark.words)}"></span>' for mark in marks)
        return drawn(f'<div class="hh-marks" role="img" aria-label="{text(title)}">', *spans, "</div>")
    links = (
        f'<li><a class="hh-{mark.tone}" href="{text(mark.href)}" title="{text(mark.words)}"></a></li>' for mark in marks
    )
    return drawn(f'<ol class="hh-marks" aria-label="{text(title)}">', *links, "</ol>")


def timeline(title: str, start: datetime.datetime, end: datetime.datetime, moments: Sequence[Moment]) -> SafeString:
    """Draw the number of moments in each slot of a period; a slot's title lists its moments."""
    slots: list[list[Moment]] = [[] for _ in range(_SLOTS)]
    for moment in moments:
        slots[min(int((moment.at - start) / (end - start) * _SLOTS), _SLOTS - 1)].append(moment)
    most = max(map(len, slots))
    bars = (_bar(index, slot, most) for index, slot in enumerate(slots) if slot)
    labels = (
        f'<text x="{percent(share)}%" y="{_FOOT + 17}" text-anchor="{anchor(share)}">{words}</text>'
        for share, words in ticks(start, end)
    )
    return drawn(
        f'<svg class="hh-timeline" role="img" width="100%" height="{_FOOT + 20}" aria-label="{text(title)}: ',
        f'{len(moments)} from {start:%H:%M} to {end:%H:%M} UTC">',
        f'<line class="hh-grid" x1="0" y1="{_FOOT}" x2="100%" y2="{_FOOT}"/>',
        *bars,
        *labels,
        "</svg>",
    )


def _bar(index: int, slot: Sequence[Moment], most: int) -> str:
    height = max(_FOOT * len(slot) / most, _LEAST)
    lines = [moment.words for moment in slot[:_NAMED]]
    more = [f"and {len(slot) - _NAMED} more"] if len(slot) > _NAMED else []
    x, width = percent(index / _SLOTS), percent(0.7 / _SLOTS)
    return (
        f'<rect class="hh-stroke" x="{x}%" y="{_FOOT - height:g}" width="{width}%" height="{height:g}" rx="1">'
        f"<title>{text(chr(10).join(lines + more))}</title></rect>"
    )
