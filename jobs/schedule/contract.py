"""What every schedule can say, whatever its kind."""

import datetime
from dataclasses import dataclass
from typing import Any, Protocol


class ScheduleError(ValueError):
    """A schedule that can't be understood. The text says what would be right."""


@dataclass(frozen=True, slots=True)
class OccurrenceRange:
    """A run of consecutive occurrences, as one value."""

    first: datetime.datetime
    last: datetime.datetime
    count: int


class Schedule(Protocol):
    """One way of planning occurrences. `normalized` parses back to an equal schedule. All instants are in UTC."""

    @property
    def type(self) -> str:
        """Either `recurring` or `one_off`."""

    @property
    def normalized(self) -> Any: ...

    @property
    def description(self) -> str: ...

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """The first planned occurrence later than `instant`; None when there is none."""

    def stretch(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        """The planned occurrences later than `after` and no later than `until`, counted; None when there are none."""

    def drops(self, occurrence: datetime.datetime) -> bool:
        """Whether this planned occurrence does not fire: its time on the wall clock was skipped, and so is it."""

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """The first planned occurrence later than `instant` that is not dropped; None when there is none."""

    def closer_than(self, seconds: int) -> bool:
        """Whether two planned occurrences can ever be less than so many seconds apart.

        Of a pattern that is judged on its wall clock: what the days do on which that is set makes no difference.
        """


class NothingDropped:
    """What schedules say whose every planned occurrence fires."""

    __slots__ = ()

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        raise NotImplementedError

    def drops(self, occurrence: datetime.datetime) -> bool:  # noqa: ARG002 - the signature is the contract's
        return False

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        return self.next_after(instant)
