"""The dashboard's words and chips, for templates."""

import datetime
import json
from typing import Any

from django import template

from core.words import SKIP_REASONS, duration_words, instant_words, relative_words, size_words
from dashboard.base import chips
from dashboard.base.pretty import PrettyBody, pretty_body
from runs.failures import FailureReason

register = template.Library()

register.filter("chip", chips.chip)
register.filter("status_chip", chips.status_chip)
register.filter("trigger_chip", chips.trigger_chip)
register.filter("instant", chips.instant)
register.filter("distance", chips.distance)
register.filter("duration", duration_words)
register.filter("size", size_words)


@register.filter
def seconds(value: float) -> str:
    """A duration that is given in seconds."""
    return duration_words(value * 1000)


@register.filter
def in_zone(at: datetime.datetime, zone: datetime.tzinfo) -> str:
    """An instant on the wall clock of `zone`."""
    return instant_words(at, zone)


@register.filter
def from_instant(at: datetime.datetime, now: datetime.datetime) -> str:
    """How far `at` is from `now`, in words."""
    return relative_words(at, now)


@register.filter
def reason_words(reason: str) -> str:
    """What a failure reason or a reason to skip means."""
    if reason in SKIP_REASONS:
        return SKIP_REASONS[reason]
    try:
        return FailureReason(reason).description
    except ValueError:
        return reason


@register.filter
def percent(share: float) -> str:
    """A share of an axis as SVG takes it, whatever the language."""
    return f"{share:.2f}%"


@register.filter
def as_json(value: Any) -> str:
    """A JSON value, laid out."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def body_of(text: str | None, encoding: str) -> PrettyBody:
    """A recorded body, ready to be shown."""
    return pretty_body(text, encoding)
