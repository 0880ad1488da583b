"""Template filters: words, chips and bodies."""

import datetime
import json
from typing import Any

from django import template

from core.words import SKIP_REASONS, duration_words, instant_words, relative_words, size_words
from dashboard.base import chips
from dashboard.base.pretty import PrettyBody, pretty_body
from dashboard.workflows.waiting import wait_words
from runs.failures import FailureReason

register = template.Library()

register.filter("chip", chips.chip)
register.filter("status_chip", chips.status_chip)
register.filter("trigger_chip", chips.trigger_chip)
register.filter("instant", chips.instant)
register.filter("local_instant", chips.local_instant)
register.filter("distance", chips.distance)
register.filter("duration", duration_words)
register.filter("wait_words", wait_words)
register.filter("size", size_words)


@register.filter
def seconds(value: float) -> str:
    """A duration in words, from seconds."""
    return duration_words(value * 1000)


@register.filter
def in_zone(at: datetime.datetime, zone: datetime.tzinfo) -> str:
    """An instant as local time in `zone`."""
    return instant_words(at, zone)


@register.filter
def from_instant(at: datetime.datetime, now: datetime.datetime) -> str:
    """The distance of `at` from `now` in words."""
    return relative_words(at, now)


@register.filter
def reason_words(reason: str) -> str:
    """The meaning of a failure reason or skip reason."""
    if reason in SKIP_REASONS:
        return SKIP_REASONS[reason]
    try:
        return FailureReason(reason).description
    except ValueError:
        return reason


@register.filter
def percent(share: float) -> str:
    """A percentage for an SVG attribute, independent of the locale."""
    return f"{share:.2f}%"


@register.filter
def as_json(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def body_of(text: str | None, encoding: str) -> PrettyBody:
    """A recorded body, formatted."""
    return pretty_body(text, encoding)
