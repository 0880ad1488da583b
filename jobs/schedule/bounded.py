"""Schedules with a start or an end date."""

import datetime
from dataclasses import dataclass
from typing import Any

from jobs.schedule.contract import OccurrenceRange, Schedule

_MICROSECOND = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A schedule between two dates: the first occurrence at or after `starts_at`, none after `ends_at`."""

    inner: Schedule
    starts_at: datetime.datetime | None
    ends_at: datetime.datetime | None

    @property
    def type(self) -> str:
        return self.inner.type

    @property
    def normalized(self) -> Any:
        return self.inner.normalized

    @property
    def description(self) -> str:
        return self.inner.description

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        return self._unless_ended(self.inner.next_after(self._not_before_start(instant)))

    def occurrences_between(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        if self.ends_at is not None:
            until = min(until, self.ends_at)
        return self.inner.occurrences_between(self._not_before_start(after), until)

    def drops(self, occurrence: datetime.datetime) -> bool:
        return self.inner.drops(occurrence)

    def next_firing_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        return self._unless_ended(self.inner.next_firing_after(self._not_before_start(instant)))

    def closer_than(self, seconds: int) -> bool:
        return self.inner.closer_than(seconds)

    def _not_before_start(self, instant: datetime.datetime) -> datetime.datetime:
        """Return `instant`, or just before the start if that is later."""
        return instant if self.starts_at is None or instant >= self.starts_at else self.starts_at - _MICROSECOND

    def _unless_ended(self, at: datetime.datetime | None) -> datetime.datetime | None:
        return None if at is not None and self.ends_at is not None and at > self.ends_at else at
