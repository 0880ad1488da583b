"""The interface of schedules."""

import datetime
from dataclasses import dataclass
from typing import Any, Protocol


class ScheduleError(ValueError):
    """An invalid schedule. The text says what would be right."""


@dataclass(frozen=True, slots=True)
class OccurrenceRange:
    """Consecutive occurrences."""

    first: datetime.datetime
    last: datetime.datetime
    count: int


class Schedule(Protocol):
    """A source of occurrences. `normalized` parses back to an equal schedule. All instants are in UTC."""

    @property
    def type(self) -> str:
        """Either `recurring` or `one_off`."""

    @property
    def normalized(self) -> Any: ...

    @property
    def description(self) -> str: ...

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """Return the first occurrence later than `instant`, or None."""

    def occurrences_between(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        """Count the occurrences later than `after` and no later than `until`; None if there are none."""

    def drops(self, occurrence: datetime.datetime) -> bool:
        """Return whether this occurrence does not fire because a clock change skipped its local time."""

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """Return the first occurrence later than `instant` that is not dropped, or None."""

    def closer_than(self, seconds: int) -> bool:
        """Return whether two occurrences can be less than this many seconds apart.

        Patterns are compared in local time, regardless of clock changes.
        """


class NeverDrops:
    """Mixin of schedules whose every occurrence fires."""

    __slots__ = ()

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        raise NotImplementedError

    def drops(self, occurrence: datetime.datetime) -> bool:  # noqa: ARG002 - the protocol's signature
        return False

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        return self.next_after(instant)
