"""Single things in a row: outcomes one after the other, and instants on a line of time."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from dashboard.base.charts.markup import drawn, text
from dashboard.base.charts.scales import anchor, percent, ticks

_SLOTS = 60
_FOOT, _LEAST = 40, 6  # pixels: where bars stand, and how high the lowest is
_TOLD = 8  # moments of a slot that are named


@dataclass(frozen=True, slots=True)
class Mark:
    """One outcome: its tone, what it says, and where it leads, if anywhere."""

    tone: str
    words: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something at an instant, and what it says."""

    at: datetime.datetime
    words: str


def strip(title: str, marks: Sequence[Mark]) -> SafeString:
    """Outcomes, the oldest first; what failed is taller, so that it shows without its colour.

    Where they lead somewhere they are links, each a stop of the tabulator key; else they are one picture.
    """
    if not any(mark.href for mark in marks):
        spans = (f'<span class="hh-{mark.tone}" title="{text(mark.words)}"></span>' for mark in marks)
        return drawn(f'<div class="hh-marks" role="img" aria-label="{text(title)}">', *spans, "</div>")
    links = (
        f'<li><a class="hh-{mark.tone}" href="{text(mark.href)}" title="{text(mark.words)}"></a></li>' for mark in marks
    )
    return drawn(f'<ol class="hh-marks" aria-label="{text(title)}">', *links, "</ol>")


def timeline(title: str, start: datetime.datetime, end: datetime.datetime, moments: Sequence[Moment]) -> SafeString:
    """How much there is of something between two instants: a bar for each slot, which says what is in it."""
    slots: list[list[Moment]] = [[] for _ in range(_SLOTS)]
    for moment in moments:
        slots[min(int((moment.at - start) / (end - start) * _SLOTS), _SLOTS - 1)].append(moment)
    most = max(map(len, slots))
    bars = (_bar(place, slot, most) for place, slot in enumerate(slots) if slot)
    labels = (
        f'<text x="{percent(share)}%" y="{_FOOT + 17}" text-anchor="{anchor(share)}">{words}</text>'
        for share, words in ticks(start, end)
    )
    return drawn(
        f'<svg class="hh-line-of-time" role="img" width="100%" height="{_FOOT + 20}" aria-label="{text(title)}: ',
        f'{len(moments)} from {start:%H:%M} to {end:%H:%M} UTC">',
        f'<line class="hh-grid" x1="0" y1="{_FOOT}" x2="100%" y2="{_FOOT}"/>',
        *bars,
        *labels,
        "</svg>",
    )


def _bar(place: int, slot: Sequence[Moment], most: int) -> str:
    height = max(_FOOT * len(slot) / most, _LEAST)
    told = [moment.words for moment in slot[:_TOLD]]
    more = [f"and {len(slot) - _TOLD} more"] if len(slot) > _TOLD else []
    x, width = percent(place / _SLOTS), percent(0.7 / _SLOTS)
    return (
        f'<rect class="hh-stroke" x="{x}%" y="{_FOOT - height:g}" width="{width}%" height="{height:g}" rx="1">'
        f"<title>{text(chr(10).join(told + more))}</title></rect>"
    )
