"""Single things in a row: outcomes one after the other, and instants on a line of time."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler_project.dashboard.charts.scales import anchor, percent, ticks


@dataclass(frozen=True, slots=True)
class Mark:
    """One outcome: its tone, what it says, and where it leads."""

    tone: str
    words: str
    href: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Something at an instant, and what it says."""

    at: datetime.datetime
    words: str
    tone: str = "busy"


def strip(title: str, marks: Sequence[Mark]) -> SafeString:
    """Outcomes, the oldest first. Each is a link; what failed is taller, so that it shows without its colour."""
    return format_html(
        '<ol class="hh-marks" aria-label="{}">{}</ol>',
        title,
        format_html_join(
            "", '<li><a class="hh-{0}" href="{1}" title="{2}"><span class="hh-unseen">{2}</span></a></li>',
            ((mark.tone, mark.href, mark.words) for mark in marks),
        ),
    )  # fmt: skip


def timeline(title: str, start: datetime.datetime, end: datetime.datetime, moments: Sequence[Moment]) -> SafeString:
    """Instants between the two on a line, each as a stroke that says what it is when it is pointed at."""
    strokes = format_html_join(
        "", '<rect class="hh-stroke hh-{}" x="{}%" y="6" width="3" height="26" rx="1.5"><title>{}</title></rect>',
        ((moment.tone, percent((moment.at - start) / (end - start) * 0.99), moment.words) for moment in moments),
    )  # fmt: skip
    labels = format_html_join(
        "", '<text x="{}%" y="52" text-anchor="{}">{}</text>',
        (
            (percent(share), anchor(share), text)
            for share, text in ticks(start, end)
        ),
    )  # fmt: skip
    return format_html(
        '<svg class="hh-line-of-time" role="img" aria-label="{}: {} between {} and {} UTC">'
        '<line class="hh-grid" x1="0" y1="35" x2="100%" y2="35"/>{}{}</svg>',
        title, len(moments), f"{start:%H:%M}", f"{end:%H:%M}", strokes, labels,
    )  # fmt: skip
