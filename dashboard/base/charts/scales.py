"""Positions on a chart in per cent, and the labels of its axes. Pure."""

import datetime
import math
from collections.abc import Iterator

_MINUTE, _HOUR, _DAY = (datetime.timedelta(**{unit: 1}) for unit in ("minutes", "hours", "days"))
_STEPS = (
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 4, 6, 12)),
    *(_DAY * n for n in (1, 2, 5, 7, 14, 30, 90)),
)
#: Labels along the time axis: more would touch each other on a phone.
_MOST_TICKS = 5
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: Top values of an axis, times a power of ten: half of each is a round number too.
_HEADS = (2, 4, 6, 8, 10, 20)
_NEAR = 0.04


def percent(share: float) -> str:
    """A share of the whole as the number of an SVG attribute: 0.5 is "50"."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".")


def head(highest: float) -> float:
    """A round top value for an axis: at least `highest`, at least 2."""
    power = 10.0 ** math.floor(math.log10(highest)) if highest >= 1 else 1.0
    return next(power * factor for factor in _HEADS if power * factor >= highest)


def ticks(start: datetime.datetime, end: datetime.datetime) -> Iterator[tuple[float, str]]:
    """Round instants in the period, in UTC, as (share of the axis, label)."""
    span = end - start
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), _STEPS[-1])
    at = _EPOCH + -((_EPOCH - start) // step) * step
    while at <= end:
        yield (at - start) / span, tick_words(at, step)
        at += step


def tick_words(at: datetime.datetime, step: datetime.timedelta) -> str:
    """The time of day, or the date at midnight."""
    is_midnight = (at.hour, at.minute) == (0, 0)
    return f"{at.day} {at:%b}" if step >= _DAY or is_midnight else f"{at:%H:%M}"


def instant_of(at: datetime.datetime, width: datetime.timedelta) -> str:
    """The first instant of a bucket: a date, or date and time for buckets shorter than a day."""
    return f"{at:%Y-%m-%d}" if width >= _DAY else f"{at:%Y-%m-%d %H:%M}"


def anchor(share: float) -> str:
    """The text-anchor of a label, so that those at the ends stay inside."""
    return "start" if share < _NEAR else "end" if share > 1 - _NEAR else "middle"
