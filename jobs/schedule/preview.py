"""What a schedule is going to do: its next firings, and the days ahead on which a clock is set and that matters."""

import datetime
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from jobs.schedule.bounded import Bounded
from jobs.schedule.contract import Schedule
from jobs.schedule.cron import Cron
from jobs.schedule.describe import joined, spelled_time
from jobs.schedule.parse import first_instant, wall_time
from jobs.schedule.pattern import Pattern
from jobs.schedule.seconds import DAY, END, instant_of, seconds_of
from jobs.schedule.zones import Spell, spell_at

MAX_FIRINGS = 100
#: How far is looked ahead, in seconds, and the most where the firings reach farther.
_AHEAD, _FARTHEST = 365 * DAY, 3653 * DAY
#: More times than these are told as the first and the last of them.
_MOST_TIMES = 3


def next_firings(schedule: Schedule, after: datetime.datetime, count: int) -> tuple[datetime.datetime, ...]:
    """The next firings later than `after`, at most `count`."""
    firings: list[datetime.datetime] = []
    at = schedule.next_firing_after(after)
    while at is not None and len(firings) < count:
        firings.append(at)
        at = schedule.next_firing_after(at)
    return tuple(firings)


def warnings_ahead(
    schedule: Schedule, spelled: Any, zone: ZoneInfo, *, after: datetime.datetime, until: datetime.datetime
) -> tuple[str, ...]:
    """What is unusual about the days on which the zone's clock is set: a sentence for each.

    Looks a year ahead, or to `until` where that is later, though no farther than ten years. `spelled` is the schedule
    as it was written: a one-off keeps no local time.
    """
    if (wall := wall_time(spelled)) is not None:
        return _about_one_off(wall, zone)
    low, high = seconds_of(after), seconds_of(until)
    high = min(max(high, low + _AHEAD), low + _FARTHEST)
    if isinstance(schedule, Bounded):
        low = max(low, seconds_of(schedule.starts_at or after) - 1)
        high = min(high, seconds_of(schedule.ends_at)) if schedule.ends_at else high
        schedule = schedule.inner
    if not isinstance(schedule, Cron) or schedule.pattern.every_hour:
        return ()
    told = (_about_jump(schedule, spell) for spell in _jumps(zone, low + 1, high + 1))
    return tuple(sentence for sentence in told if sentence)


def _jumps(zone: ZoneInfo, low: int, high: int) -> list[Spell]:
    """The spells that begin with a change of the zone's offset, from `low` to before `high`."""
    jumps = []
    second, last = max(low, 0), -1
    while second < min(high, END):
        spell = spell_at(zone, second)
        # One that begins with a year is cut there, and found again on the other side.
        if spell.before != spell.offset and spell.start >= low and spell.start > last:
            jumps.append(spell)
            last = spell.start
        second = spell.end
    return jumps


@dataclass(frozen=True, slots=True)
class _Affected:
    """Some wall times of one pattern, as a sentence tells them."""

    which: str
    many: bool


def _affected(pattern: Pattern, low: int, high: int) -> _Affected | None:
    """The wall times of a pattern from `low` to before `high`; None when there are none."""
    count = pattern.count(low, high)
    if not count:
        return None
    walls = [pattern.first_from(low)]
    while len(walls) < min(count, _MOST_TIMES):
        walls.append(pattern.first_from(walls[-1] + 1))
    if count <= _MOST_TIMES:
        return _Affected(joined([_when(wall, low) for wall in walls]), count > 1)
    last = pattern.last_before(high)
    assert last is not None
    return _Affected(f"{count} times from {_when(walls[0], low)} to {_when(last, low)}", many=True)


def _about_jump(cron: Cron, spell: Spell) -> str:
    """One sentence about a pattern on the day of a jump; empty when it makes no difference."""
    before, after = spell.start + spell.before, spell.start + spell.offset
    gap = before < after
    found = _affected(cron.pattern, min(before, after), max(before, after))
    if found is None:
        return ""
    day = f"{_date(min(before, after))} in {cron.zone.key}"
    if gap:
        verb = "do" if found.many else "does"
        return f"On {day} {found.which} {verb} not exist: {_in_gap(cron, before, after, many=found.many)}."
    verb = "happen" if found.many else "happens"
    once = cron.pattern.fixed and cron.fold == "first"
    return f"On {day} {found.which} {verb} twice: it fires {'the first time only' if once else 'both times'}."


def _in_gap(cron: Cron, skipped: int, landing: int, *, many: bool) -> str:
    """What becomes of times that the clock skips from `skipped` until `landing`."""
    if not cron.pattern.fixed:
        return "nothing fires instead"
    if cron.gap == "skip":
        return "they are skipped" if many else "it is skipped"
    if cron.pattern.includes(landing):
        return f"there is one firing at {_when(landing, skipped)}, which is due anyway"
    return f"it fires {'once, ' if many else ''}at {_when(landing, skipped)} instead"


def _about_one_off(wall: datetime.datetime, zone: ZoneInfo) -> tuple[str, ...]:
    shown = f"{wall:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    instant = first_instant(wall, zone)
    lands = instant.astimezone(zone).replace(tzinfo=None)
    if lands != wall:
        when = f"{lands:%H:%M}" if lands.date() == wall.date() else f"{lands:%Y-%m-%d %H:%M}"
        return (f"{shown} does not exist in {zone.key}: it fires at {when} instead.",)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(datetime.UTC)
    if second != instant:
        return (f"{shown} happens twice in {zone.key}: it fires the first time; an offset would say which.",)
    return ()


def _when(wall: int, named: int) -> str:
    """A time on a wall clock; with its date, where that is not the one that the sentence has named."""
    clock = spelled_time(wall % DAY)
    return clock if wall // DAY == named // DAY else f"{_date(wall)} {clock}"


def _date(wall: int) -> str:
    return f"{instant_of(wall):%Y-%m-%d}"
