"""Preview a schedule: its next firings, and the coming clock changes that affect it."""

import datetime
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from jobs.schedule.bounded import Bounded
from jobs.schedule.contract import Schedule
from jobs.schedule.cron import Cron
from jobs.schedule.describe import format_time, joined
from jobs.schedule.parse import first_instant, wall_time
from jobs.schedule.pattern import Pattern
from jobs.schedule.seconds import DAY, END, instant_of, seconds_of
from jobs.schedule.zones import OffsetPeriod, offset_period_at

MAX_FIRINGS = 100
#: How far to look ahead for clock changes, in seconds, and at most for distant firings.
_AHEAD, _MAX_AHEAD = 365 * DAY, 3653 * DAY
#: More times are summarized by the first and the last.
_MAX_TIMES = 3


def next_firings(schedule: Schedule, after: datetime.datetime, count: int) -> tuple[datetime.datetime, ...]:
    """Return the next firings later than `after`, at most `count`."""
    firings: list[datetime.datetime] = []
    at = schedule.next_firing_after(after)
    while at is not None and len(firings) < count:
        firings.append(at)
        at = schedule.next_firing_after(at)
    return tuple(firings)


def clock_change_warnings(
    schedule: Schedule, text: Any, zone: ZoneInfo, *, after: datetime.datetime, until: datetime.datetime
) -> tuple[str, ...]:
    """Return a sentence for each clock change that affects the schedule.

    Looks a year ahead, or to `until` if that is later, but at most ten years. `text` is the schedule as it was written:
    a parsed one-off has no local time.
    """
    if (wall := wall_time(text)) is not None:
        return _about_one_off(wall, zone)
    low, high = seconds_of(after), seconds_of(until)
    high = min(max(high, low + _AHEAD), low + _MAX_AHEAD)
    if isinstance(schedule, Bounded):
        low = max(low, seconds_of(schedule.starts_at or after) - 1)
        high = min(high, seconds_of(schedule.ends_at)) if schedule.ends_at else high
        schedule = schedule.inner
    if not isinstance(schedule, Cron) or schedule.pattern.every_hour:
        return ()
    warnings = (_about_change(schedule, period) for period in _clock_changes(zone, low + 1, high + 1))
    return tuple(sentence for sentence in warnings if sentence)


def _clock_changes(zone: ZoneInfo, low: int, high: int) -> list[OffsetPeriod]:
    """Return the periods that begin with a change of the zone's offset, from `low` to before `high`."""
    changes = []
    second, last = max(low, 0), -1
    while second < min(high, END):
        period = offset_period_at(zone, second)
        # A period across a year's end is cut there, and comes up again on the other side.
        if period.before != period.offset and period.start >= low and period.start > last:
            changes.append(period)
            last = period.start
        second = period.end
    return changes


@dataclass(frozen=True, slots=True)
class _Affected:
    """Wall times that a clock change affects, in words."""

    times: str
    many: bool


def _affected(pattern: Pattern, low: int, high: int) -> _Affected | None:
    """Describe the wall times of a pattern from `low` to before `high`; None if there are none."""
    count = pattern.count(low, high)
    if not count:
        return None
    walls = [pattern.first_from(low)]
    while len(walls) < min(count, _MAX_TIMES):
        walls.append(pattern.first_from(walls[-1] + 1))
    if count <= _MAX_TIMES:
        return _Affected(joined([_when(wall, low) for wall in walls]), count > 1)
    last = pattern.last_before(high)
    assert last is not None
    return _Affected(f"{count} times from {_when(walls[0], low)} to {_when(last, low)}", many=True)


def _about_change(cron: Cron, period: OffsetPeriod) -> str:
    """Return a sentence about a clock change; empty if it makes no difference."""
    before, after = period.start + period.before, period.start + period.offset
    gap = before < after
    affected = _affected(cron.pattern, min(before, after), max(before, after))
    if affected is None:
        return ""
    day = f"{_date(min(before, after))} in {cron.zone.key}"
    if gap:
        verb = "do" if affected.many else "does"
        return f"On {day} {affected.times} {verb} not exist: {_in_gap(cron, before, after, many=affected.many)}."
    verb = "happen" if affected.many else "happens"
    once = cron.pattern.fixed and cron.fold == "first"
    return f"On {day} {affected.times} {verb} twice: it fires {'the first time only' if once else 'both times'}."


def _in_gap(cron: Cron, skipped: int, landing: int, *, many: bool) -> str:
    """Describe what happens to the times skipped from `skipped` until `landing`."""
    if not cron.pattern.fixed:
        return "nothing fires instead"
    if cron.gap == "skip":
        return "they are skipped" if many else "it is skipped"
    if cron.pattern.includes(landing):
        return f"there is one firing at {_when(landing, skipped)}, which is due anyway"
    return f"it fires {'once, ' if many else ''}at {_when(landing, skipped)} instead"


def _about_one_off(wall: datetime.datetime, zone: ZoneInfo) -> tuple[str, ...]:
    time = f"{wall:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    instant = first_instant(wall, zone)
    lands = instant.astimezone(zone).replace(tzinfo=None)
    if lands != wall:
        when = f"{lands:%H:%M}" if lands.date() == wall.date() else f"{lands:%Y-%m-%d %H:%M}"
        return (f"{time} does not exist in {zone.key}: it fires at {when} instead.",)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(datetime.UTC)
    if second != instant:
        return (f"{time} happens twice in {zone.key}: it fires the first time; add an offset to choose.",)
    return ()


def _when(wall: int, named: int) -> str:
    """Format a wall time, with its date if that differs from `named`."""
    clock = format_time(wall % DAY)
    return clock if wall // DAY == named // DAY else f"{_date(wall)} {clock}"


def _date(wall: int) -> str:
    return f"{instant_of(wall):%Y-%m-%d}"
