"""Small pieces of HTML for lists and pages. Values are escaped here."""

import datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.words import (
    NOTHING,
    STATUSES,
    TRIGGERS,
    Appearance,
    appearance,
    instant_words,
    relative_words,
)

_MUTED = format_html('<span class="hh-muted">{}</span>', NOTHING)


def chip(look: Appearance, *, title: str = "") -> SafeString:
    """A label with an icon."""
    return format_html(
        '<span class="hh-chip hh-{}" title="{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</span>',
        look.tone, title, look.icon, look.label,
    )  # fmt: skip


def status_chip(status: str, *, title: str = "") -> SafeString:
    return chip(appearance(status, STATUSES), title=title) if status else _MUTED


def trigger_chip(trigger: str) -> SafeString:
    return chip(appearance(trigger, TRIGGERS))


def instant(at: datetime.datetime | None) -> SafeString:
    """An instant in UTC, with its distance from now as the title."""
    if at is None:
        return _MUTED
    return format_html(
        '<time class="hh-time" datetime="{}" title="{}">{}</time>',
        at.isoformat(), f"{relative_words(at, timezone.now())} · UTC", instant_words(at),
    )  # fmt: skip


def local_instant(at: datetime.datetime | None) -> SafeString:
    """An instant in UTC, beside which a script puts the local time of who reads it."""
    if at is None:
        return _MUTED
    return format_html(
        '<time class="hh-time" datetime="{}" title="{} · UTC" data-local>{}</time>',
        at.isoformat(), relative_words(at, timezone.now()), instant_words(at),
    )  # fmt: skip


def distance(at: datetime.datetime | None) -> SafeString:
    """The distance of an instant from now, with the instant as the title."""
    if at is None:
        return _MUTED
    return format_html(
        '<time class="hh-time" datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(), instant_words(at), relative_words(at, timezone.now()),
    )  # fmt: skip


def beginning(prefix: str) -> SafeString:
    """The first characters of a hidden value."""
    return format_html('<code class="hh-mono">{}…</code>', prefix)


def quantity(text: str) -> SafeString:
    """A number with its unit, on one line."""
    return format_html('<span class="hh-time">{}</span>', text)


def two_lines(first: str, second: str, *, href: str = "") -> SafeString:
    """A cell with a name and a muted second line."""
    name = format_html('<a class="hh-name" href="{}">{}</a>', href, first) if href else first
    return format_html(
        '<span class="hh-two-lines"><span>{}</span><span class="hh-muted">{}</span></span>',
        name, second,
    )  # fmt: skip
