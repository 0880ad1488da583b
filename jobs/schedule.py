"""When a job fires: pure arithmetic on schedules. Imports no Django and never reads the clock.

Cron expressions are evaluated on the local wall clock of the job's time zone; everything else is arithmetic in UTC.
"""

import datetime
import functools
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from zoneinfo import ZoneInfo, available_timezones

from cron_descriptor import Options, get_description
from cronsim import CronSim, CronSimError

MIN_INTERVAL_SECONDS = 1
MAX_INTERVAL_SECONDS = 366 * 24 * 3600
_CRON_FIELDS = 5
_PRESETS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_TIMEZONES = frozenset(available_timezones()) - {"localtime", "Factory"}


class ScheduleError(ValueError):
    """A schedule that can't be understood. The text says what would be right."""


class Schedule(Protocol):
    """One way of planning occurrences. `normalized` parses back to an equal schedule."""

    @property
    def type(self) -> str:
        """Either `recurring` or `one_off`."""

    @property
    def normalized(self) -> Any: ...

    @property
    def description(self) -> str: ...

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        """The first occurrence later than `instant`, in UTC; None when there is none."""

    def drops(self, occurrence: datetime.datetime) -> bool:
        """Whether daylight saving time swallows the occurrence planned at this instant."""

    def stretch(self, after: datetime.datetime, until: datetime.datetime) -> "Stretch | None":
        """The occurrences later than `after` and no later than `until`, counted; None when there are none."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of consecutive occurrences, as one value."""

    first: datetime.datetime
    last: datetime.datetime
    count: int


class _Walked:
    """A stretch found by walking from occurrence to occurrence."""

    __slots__ = ()

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        raise NotImplementedError

    def drops(self, occurrence: datetime.datetime) -> bool:  # noqa: ARG002
        return False

    def stretch(self, after: datetime.datetime, until: datetime.datetime) -> Stretch | None:
        first = last = self.next_after(after)
        if first is None or last is None or first > until:
            return None
        count = 1
        while (following := self.next_after(last)) is not None and following <= until:
            last = following
            count += 1
        return Stretch(first, last, count)


@functools.lru_cache(maxsize=4096)
def _described(expression: str) -> str:
    options = Options()
    options.use_24hour_time_format = True
    return str(get_description(expression, options))


@dataclass(frozen=True, slots=True)
class Cron(_Walked):
    """A five-field cron expression on the wall clock of `zone`."""

    expression: str
    zone: ZoneInfo
    type: ClassVar[str] = "recurring"

    @property
    def normalized(self) -> str:
        return self.expression

    @property
    def description(self) -> str:
        return _described(self.expression)

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        occurrences = CronSim(self.expression, instant.astimezone(self.zone))
        for local in occurrences:
            found: datetime.datetime = local.astimezone(datetime.UTC)
            # Inside a repeated hour CronSim can answer with an instant before its start.
            if found > instant:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `seconds`, counted from `anchor`, so that neither a restart nor an edit makes it drift."""

    seconds: int
    anchor: datetime.datetime
    type: ClassVar[str] = "recurring"

    @property
    def normalized(self) -> dict[str, int]:
        return {"every_seconds": self.seconds}

    @property
    def description(self) -> str:
        for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
            count, rest = divmod(self.seconds, size)
            if rest == 0:
                return f"Every {unit}" if count == 1 else f"Every {count} {unit}s"
        return "Every second" if self.seconds == 1 else f"Every {self.seconds} seconds"

    def drops(self, occurrence: datetime.datetime) -> bool:  # noqa: ARG002
        return False

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        step = datetime.timedelta(seconds=self.seconds)
        passed = (instant - self.anchor) // step
        return self.anchor + max(passed + 1, 1) * step

    def stretch(self, after: datetime.datetime, until: datetime.datetime) -> Stretch | None:
        step = datetime.timedelta(seconds=self.seconds)
        first = max((after - self.anchor) // step + 1, 1)
        last = (until - self.anchor) // step
        if last < first:
            return None
        return Stretch(self.anchor + first * step, self.anchor + last * step, last - first + 1)


@dataclass(frozen=True, slots=True)
class Once(_Walked):
    """At one instant."""

    at: datetime.datetime
    type: ClassVar[str] = "one_off"

    @property
    def normalized(self) -> str:
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def description(self) -> str:
        return f"Once, at {self.at:%Y-%m-%d %H:%M:%S} UTC"

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        return self.at if self.at > instant else None


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

    def drops(self, occurrence: datetime.datetime) -> bool:
        return self.inner.drops(occurrence)

    def next_after(self, instant: datetime.datetime) -> datetime.datetime | None:
        if self.starts_at is not None and instant < self.starts_at:
            instant = self.starts_at - datetime.timedelta(microseconds=1)
        found = self.inner.next_after(instant)
        return None if found is not None and self.ends_at is not None and found > self.ends_at else found

    def stretch(self, after: datetime.datetime, until: datetime.datetime) -> Stretch | None:
        if self.starts_at is not None:
            after = max(after, self.starts_at - datetime.timedelta(microseconds=1))
        if self.ends_at is not None:
            until = min(until, self.ends_at)
        return self.inner.stretch(after, until)


def parse_timezone(name: str) -> ZoneInfo:
    """The IANA time zone of this exact name. Raises ScheduleError for anything else."""
    if name not in _TIMEZONES:
        raise ScheduleError(f"{name!r} is no IANA time zone; write one like Europe/Berlin or UTC.")
    return ZoneInfo(name)


def parse_schedule(value: Any, *, timezone: str, now: datetime.datetime, anchor: datetime.datetime) -> Schedule | None:
    """Understand a schedule as the API spells it; None for a manual job.

    `now` is what the word "now" means; `anchor` is where intervals count from. A datetime without an offset is a wall
    clock time in `timezone`. Raises ScheduleError.
    """
    zone = parse_timezone(timezone)
    match value:
        case None:
            return None
        case {"every_seconds": seconds} if len(value) == 1:
            return _parse_interval(seconds, anchor)
        case str():
            return _parse_text(value.strip(), zone, now)
    raise ScheduleError('should be a cron expression, {"every_seconds": 90}, a datetime, "now" or null.')


def _parse_interval(seconds: Any, anchor: datetime.datetime) -> Interval:
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise ScheduleError("every_seconds should be a whole number of seconds.")
    if not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise ScheduleError(f"every_seconds should be from {MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}.")
    return Interval(seconds, anchor)


def _parse_text(text: str, zone: ZoneInfo, now: datetime.datetime) -> Schedule:
    if text == "now":
        return Once(now)
    if re.match(r"\d{4}-\d{2}-\d{2}", text):
        return _parse_datetime(text, zone)
    expression = " ".join(_PRESETS.get(text.lower(), text).split())
    if len(expression.split(" ")) != _CRON_FIELDS:
        raise ScheduleError(
            f'{text!r} should be five cron fields (minute hour day month weekday), a datetime or "now".'
        )
    try:
        cron = Cron(expression, zone)
        found = cron.next_after(now)
    except CronSimError as error:
        raise ScheduleError(f"{text!r} is no cron expression: {str(error)[:1].lower()}{str(error)[1:]}.") from error
    if found is None:
        raise ScheduleError(f"{text!r} would never fire.")
    return cron


def _parse_datetime(text: str, zone: ZoneInfo) -> Once:
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ScheduleError(f"{text!r} should be an ISO 8601 datetime, as in 2026-03-15T02:00:00Z.") from error
    return Once((at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(datetime.UTC))
