"""One-off schedules."""

import datetime
from dataclasses import dataclass
from typing import ClassVar

from jobs.schedule.contract import NeverDrops, OccurrenceRange


@dataclass(frozen=True, slots=True)
class Once(NeverDrops):
    """A single occurrence."""

    at: datetime.datetime
    type: ClassVar[str] = "one_off"

    @property
    def normalized(self) -> str:
        return format_instant(self.at)

    @property
    def description(self) -> str:
        return f"Once, at {self.at:%Y-%m-%d %H:%M:%S} UTC"

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        return self.at if self.at > instant else None

    def occurrences_between(self, after: datetime.datetime, until: datetime.datetime) -> OccurrenceRange | None:
        return OccurrenceRange(self.at, self.at, 1) if after < self.at <= until else None

    def closer_than(self, seconds: int) -> bool:  # noqa: ARG002 - the protocol's signature
        return False


def format_instant(instant: datetime.datetime) -> str:
    """Format as ISO 8601 in UTC with milliseconds, or microseconds if needed, so that it parses back to the same."""
    precision = "microseconds" if instant.microsecond % 1000 else "milliseconds"
    return instant.astimezone(datetime.UTC).isoformat(timespec=precision).replace("+00:00", "Z")
