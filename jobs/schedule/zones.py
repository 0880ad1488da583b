"""Time zones as spells: stretches of time in which a zone keeps one offset from UTC."""

import datetime
import functools
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from jobs.schedule.contract import ScheduleError
from jobs.schedule.seconds import DAY, EPOCH_ORDINAL, instant_of

_TIMEZONES = frozenset(available_timezones()) - {"localtime", "Factory"}
#: No zone's clock is ever set by more than a day and an hour or so.
_LONGEST_JUMP = 2 * DAY
#: A change is looked for in so many days at once. Since 1970 no clock has been set twice within six (tzdata 2026).
_LOOK = 4 * DAY


class Spell(NamedTuple):
    """Seconds from `start` to before `end`, in UTC. `before` is the offset that held just before `start`.

    A spell may also end with its year, and the next one go on with the same offset.
    """

    start: int
    end: int
    offset: int
    before: int


def parse_timezone(name: str) -> ZoneInfo:
    """The IANA time zone of this exact name. Raises ScheduleError for anything else."""
    if name not in _TIMEZONES:
        raise ScheduleError(f"{name!r} is no IANA time zone; write one like Europe/Berlin or UTC.")
    return ZoneInfo(name)


def zone_to_show(name: str) -> ZoneInfo:
    """The same to show times in: UTC where this host does not know the zone that was saved."""
    return ZoneInfo(name if name in _TIMEZONES else "UTC")


def spell_at(zone: ZoneInfo, second: int) -> Spell:
    """The spell that this second of UTC is in."""
    year = datetime.date.fromordinal(second // DAY + EPOCH_ORDINAL).year
    for spell in _spells_from_the_last(zone, year):
        if spell.start <= second:
            return spell
    raise AssertionError("the spells of a year begin before it")


@functools.lru_cache(maxsize=8192)
def _spells_from_the_last(zone: ZoneInfo, year: int) -> tuple[Spell, ...]:
    """The spells of a year, the last one first. The earliest begins before the year, so that no fold is cut by it."""
    start = (datetime.date(year, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY - _LONGEST_JUMP
    end = (datetime.date(year + 1, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY
    offset = _offset_at(zone, start)
    changes = [(start, offset, offset)]
    for known in range(start, end, _LOOK):
        # The last look is at the year's last second: a change at `end` itself is the next year's.
        until = min(known + _LOOK, end - 1)
        after = _offset_at(zone, until)
        if after != offset:
            changes.append((_change_between(zone, known, until), after, offset))
            offset = after
    ends = [change[0] for change in changes[1:]] + [end]
    spells = [Spell(at, stop, to, back) for (at, to, back), stop in zip(changes, ends, strict=True)]
    return tuple(reversed(spells))


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    """The first second in (low, high] whose offset is not the one at `low`."""
    known = _offset_at(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, middle) == known:
            low = middle
        else:
            high = middle
    return high


def _offset_at(zone: ZoneInfo, second: int) -> int:
    offset = instant_of(second).astimezone(zone).utcoffset()
    assert offset is not None
    return offset.days * DAY + offset.seconds
