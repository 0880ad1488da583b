"""Time zones as periods with one offset from UTC."""

import datetime
import functools
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from jobs.schedule.contract import ScheduleError
from jobs.schedule.seconds import DAY, EPOCH_ORDINAL, instant_of

_TIMEZONES = frozenset(available_timezones()) - {"localtime", "Factory"}
#: No zone's offset ever changes by more than about 25 hours.
_MAX_CHANGE = 2 * DAY
#: The step of the search for changes. Since 1970 no zone has changed twice within six days (tzdata 2026).
_STEP = 4 * DAY


class OffsetPeriod(NamedTuple):
    """Seconds from `start` to before `end`, in UTC. `before` is the offset just before `start`.

    A period may also end with its year, and the next one have the same offset.
    """

    start: int
    end: int
    offset: int
    before: int


def parse_timezone(name: str) -> ZoneInfo:
    """Return the IANA time zone of this exact name. Raises ScheduleError."""
    if name not in _TIMEZONES:
        raise ScheduleError(f"{name!r} is not an IANA time zone; write one like Europe/Berlin or UTC.")
    return ZoneInfo(name)


def display_zone(name: str) -> ZoneInfo:
    """Return a zone to show times in: UTC if this host lacks the saved one."""
    return ZoneInfo(name if name in _TIMEZONES else "UTC")


def offset_period_at(zone: ZoneInfo, second: int) -> OffsetPeriod:
    """Return the period of a second of UTC."""
    year = datetime.date.fromordinal(second // DAY + EPOCH_ORDINAL).year
    for period in _offset_periods(zone, year):
        if period.start <= second:
            return period
    raise AssertionError("the periods of a year begin before it")


@functools.lru_cache(maxsize=8192)
def _offset_periods(zone: ZoneInfo, year: int) -> tuple[OffsetPeriod, ...]:
    """Return the periods of a year, the last one first. The earliest begins before the year, so that no fold is cut."""
    start = (datetime.date(year, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY - _MAX_CHANGE
    end = (datetime.date(year + 1, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY
    offset = _offset_at(zone, start)
    changes = [(start, offset, offset)]
    for checked in range(start, end, _STEP):
        # The last check is at the year's last second: a change at `end` belongs to the next year.
        until = min(checked + _STEP, end - 1)
        after = _offset_at(zone, until)
        if after != offset:
            changes.append((_change_between(zone, checked, until), after, offset))
            offset = after
    ends = [change[0] for change in changes[1:]] + [end]
    periods = [OffsetPeriod(at, stop, to, back) for (at, to, back), stop in zip(changes, ends, strict=True)]
    return tuple(reversed(periods))


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first second in (low, high] whose offset differs from that at `low`."""
    offset = _offset_at(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset_at(zone: ZoneInfo, second: int) -> int:
    offset = instant_of(second).astimezone(zone).utcoffset()
    assert offset is not None
    return offset.days * DAY + offset.seconds
