"""Patterns in a time zone: which instants they are, and what happens when the zone's clock is set.

Patterns are read on the wall clock, then wall times become instants here, by rules of our own. Jobs on fixed times:

- A wall time that a jump forward skips is planned at the instant of the jump. Several of them are one occurrence, and
  one with what is planned there anyway. With the gap `skip` it is planned there too, but dropped.
- A wall time that a jump back repeats is planned the first time, with the fold `both` each time.

Jobs with a wildcard in the hour or minute field follow real time: nothing is made up for what the clock skips, and
what it repeats happens again.
"""

import datetime
from dataclasses import dataclass
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from jobs.schedule.contract import OccurrenceRange
from jobs.schedule.pattern import Pattern
from jobs.schedule.seconds import DAY, END, instant_of, seconds_of
from jobs.schedule.zones import Spell, spell_at

Gap = Literal["shift", "skip"]
Fold = Literal["first", "both"]
#: About one occurrence a year can be dropped, so this many in a row mean that the schedule has no others.
_MOST_DROPPED = 60


@dataclass(frozen=True, slots=True)
class Cron:
    """A pattern on the wall clock of `zone`."""

    pattern: Pattern
    zone: ZoneInfo
    gap: Gap = "shift"
    fold: Fold = "first"
    type: ClassVar[str] = "recurring"

    @property
    def normalized(self) -> str:
        return self.pattern.text

    @property
    def description(self) -> str:
        return self.pattern.description

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        found = self._first_from(max(seconds_of(instant) + 1, 0))
        return None if found is None else instant_of(found)

    def stretch(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        first = self.next_after(after)
        if first is None or first > until:
            return None
        second = last = seconds_of(first)
        end = min(seconds_of(until) + 1, END)
        count = 0
        while second < end:
            spell = spell_at(self.zone, second)
            low, high = self._walls(spell, second), min(spell.end, end) + spell.offset
            taken = self.pattern.count(low, high)
            if second == spell.start and self._swallowed(spell):
                last = second
                count += not self.pattern.includes(low)
            if taken:
                count += taken
                last = (self.pattern.last_before(high) or 0) - spell.offset
            second = spell.end
        return OccurrenceRange(first, instant_of(last), count)

    def drops(self, occurrence: datetime.datetime) -> bool:
        if self.gap != "skip" or not self.pattern.fixed or occurrence.microsecond:
            return False
        second = seconds_of(occurrence)
        if not 0 <= second < END:
            return False
        spell = spell_at(self.zone, second)
        return second == spell.start and self._swallowed(spell) and not self.pattern.includes(second + spell.offset)

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        found = self.next_after(instant)
        for _ in range(_MOST_DROPPED):
            if found is None or not self.drops(found):
                return found
            found = self.next_after(found)
        return None

    def closer_than(self, seconds: int) -> bool:
        return self.pattern.closer_than(seconds)

    def _first_from(self, second: int) -> int | None:
        """The first planned second from this one on."""
        while second < END:
            spell = spell_at(self.zone, second)
            if second == spell.start and self._swallowed(spell):
                return second
            wall = self.pattern.first_from(self._walls(spell, second))
            if wall >= END:
                return None
            if wall < spell.end + spell.offset:
                return wall - spell.offset
            # What is far ahead needs no walk to it, unless the end of this spell may repeat what was before `second`.
            near = spell.end - second < 2 * DAY
            second = spell.end if near else max(spell.end, wall - 2 * DAY)
        return None

    def _walls(self, spell: Spell, second: int) -> int:
        """From which wall time on the wall times of a spell, seen from `second`, are its own."""
        wall = second + spell.offset
        if self.pattern.fixed and self.fold == "first":
            return max(wall, spell.start + spell.before)
        return wall

    def _swallowed(self, spell: Spell) -> bool:
        """Whether the jump at the start of this spell skipped a wall time of a job on fixed times."""
        if spell.before >= spell.offset or not self.pattern.fixed:
            return False
        return self.pattern.first_from(spell.start + spell.before) < spell.start + spell.offset
