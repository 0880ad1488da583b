"""An enumerator of schedules and a model of firing, written from the documentation alone.

It shares no code with the product: local times are tried one by one with zoneinfo.
"""

import bisect
import datetime
import random
import zoneinfo
from dataclasses import dataclass, field
from typing import Any

SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)


@dataclass
class Occurrences:
    """All occurrences of one schedule in a year, in order; `dropped` are those in a gap."""

    instants: list[datetime.datetime]
    dropped: set[datetime.datetime] = field(default_factory=set)

    def between(self, after: datetime.datetime, until: datetime.datetime) -> list[datetime.datetime]:
        """Return the occurrences in (after, until]."""
        return self.instants[bisect.bisect_right(self.instants, after) : bisect.bisect_right(self.instants, until)]


def fixed_times(
    zone: str, times: list[tuple[int, int]], days: Any, *, gap: str, fold: str, year: tuple[Any, Any]
) -> Occurrences:
    """Enumerate these local times on the dates that `days` accepts, across both kinds of clock change."""
    tz = zoneinfo.ZoneInfo(zone)
    real: set[datetime.datetime] = set()
    jumps: set[datetime.datetime] = set()
    date = (year[0] - 2 * DAY).date()
    while date <= (year[1] + 2 * DAY).date():
        if days(date):
            for hour, minute in times:
                wall = datetime.datetime(date.year, date.month, date.day, hour, minute)  # noqa: DTZ001 - a wall clock
                found = instants_of(wall, tz)
                if found:
                    real.update(found if fold == "both" else found[:1])
                else:
                    jumps.add(jump_over(wall, tz))
        date += DAY
    dropped = jumps - real if gap == "skip" else set()
    return Occurrences(sorted(real | jumps), dropped)


def instants_of(wall: datetime.datetime, tz: zoneinfo.ZoneInfo) -> list[datetime.datetime]:
    """Return the instants with this local time: none, one or two."""
    tried = {wall.replace(tzinfo=tz, fold=fold).astimezone(datetime.UTC) for fold in (0, 1)}
    return sorted(at for at in tried if at.astimezone(tz).replace(tzinfo=None) == wall)


def jump_over(wall: datetime.datetime, tz: zoneinfo.ZoneInfo) -> datetime.datetime:
    """Return the end of the gap that contains this local time."""
    low = int((wall - datetime.timedelta(hours=30)).replace(tzinfo=datetime.UTC).timestamp())
    high = low + 60 * 3600
    while high - low > 1:
        middle = (low + high) // 2
        shown = datetime.datetime.fromtimestamp(middle, tz).replace(tzinfo=None)
        low, high = (low, middle) if shown > wall else (middle, high)
    return datetime.datetime.fromtimestamp(high, datetime.UTC)


def each_hour(zone: str, minute: int, *, year: tuple[Any, Any]) -> Occurrences:
    """Enumerate this minute of every local hour, in elapsed time."""
    tz, at, found = zoneinfo.ZoneInfo(zone), year[0].replace(second=0, microsecond=0), []
    while at <= year[1]:
        if at.astimezone(tz).minute == minute:
            found.append(at)
        at += MINUTE
    return Occurrences(found)


def each_interval(anchor: datetime.datetime, seconds: int, *, first: int, until: datetime.datetime) -> Occurrences:
    step = datetime.timedelta(seconds=seconds)
    return Occurrences([anchor + number * step for number in range(first, int((until - anchor) / step) + 1)])


@dataclass
class Spec:
    """A schedule as the API takes it, and its occurrences."""

    timing: dict[str, Any]
    occurrences: Occurrences


def some_spec(
    rng: random.Random,
    zones: list[str],
    *,
    made_at: datetime.datetime,
    now: datetime.datetime,
    end: datetime.datetime,
) -> Spec:
    """Return a random schedule that fires after `now`. Intervals count from `made_at`, the job's creation."""
    year = (now - 3 * DAY, end)
    zone, gap, fold = rng.choice(zones), rng.choice(["shift", "skip"]), rng.choice(["first", "both"])
    timing: dict[str, Any] = {
        "timezone": zone, "dst_gap": gap, "dst_fold": fold, "starts_at": None, "ends_at": None,
    }  # fmt: skip
    minute, hours = rng.randrange(60), sorted(rng.sample([0, 1, 2, 2, 3, 4, 12, 23], 2))
    kind = rng.choice(["daily", "daily", "weekly", "monthly", "hourly", "interval", "once"])
    if kind == "once":
        at = (now + rng.uniform(0.01, 60) * DAY).replace(microsecond=0)
        return Spec({**timing, "schedule": at.isoformat()}, Occurrences([at]))
    if kind == "interval":
        seconds = rng.randrange(12 * 3600, 90 * 3600)
        spec = {**timing, "schedule": {"every_seconds": seconds}}
        return Spec(spec, each_interval(made_at.replace(microsecond=0), seconds, first=1, until=end))
    if kind == "hourly":
        starts_at = (now + rng.uniform(0.1, 5) * DAY).replace(microsecond=0)
        ends_at = (starts_at + rng.uniform(3, 12) * DAY).replace(microsecond=0)
        found = each_hour(zone, minute, year=(starts_at - DAY, ends_at + DAY))
        spec = {
            **timing,
            "schedule": f"{minute} * * * *",
            "starts_at": starts_at.isoformat(),
            "ends_at": ends_at.isoformat(),
        }
        return Spec(
            spec, Occurrences([at for at in found.instants if starts_at <= at <= ends_at.replace(microsecond=0)])
        )
    weekday, day = rng.randrange(7), rng.randrange(1, 32)
    fields, days = {
        "daily": ("* * *", lambda date: True),
        "weekly": (f"* * {weekday}", lambda date: date.isoweekday() % 7 == weekday),
        "monthly": (f"{day} * *", lambda date: date.day == day),
    }[kind]
    times = [(hour, minute) for hour in hours]
    found = fixed_times(zone, times, days, gap=gap, fold=fold, year=year)
    spec = {**timing, "schedule": f"{minute} {','.join(str(hour) for hour in dict.fromkeys(hours))} {fields}"}
    return Spec(spec, found)


@dataclass
class Model:
    """A job as documented: the outcome of each planned occurrence."""

    spec: Spec
    policy: dict[str, Any]
    accounted: datetime.datetime
    state: str = "active"
    paused_until: datetime.datetime | None = None
    outcomes: dict[datetime.datetime, str] = field(default_factory=dict)
    owed: list[tuple[Spec, dict[str, Any], list[datetime.datetime]]] = field(default_factory=list)
    live: datetime.datetime | None = None
    waiting: datetime.datetime | None = None

    def change(self, now: datetime.datetime, *, state: str, spec: Spec, until: datetime.datetime | None = None) -> None:
        """Change the state and the schedule at `now`."""
        self.pass_time(now)
        planned = self.spec.occurrences.between(self.accounted, now)
        if self.state == "paused":
            self.skip(planned, "paused")
        elif self.state == "active" and state == "active":
            self.owed.append((self.spec, dict(self.policy), planned))
        elif self.state == "active":
            self.skip(planned, "paused" if state == "paused" else "ended")
        self.accounted, self.state, self.spec, self.paused_until = now, state, spec, until

    def pass_time(self, now: datetime.datetime) -> None:
        """End a pause whose end has passed."""
        if self.state == "paused" and self.paused_until is not None and self.paused_until <= now:
            until, self.paused_until = self.paused_until, None
            self.change(until, state="active", spec=self.spec)

    def tick(self, now: datetime.datetime) -> None:
        self.pass_time(now)
        for spec, policy, planned in self.owed:
            self.misfire(spec, policy, planned, now)
        self.owed = []
        if self.state == "active":
            self.misfire(self.spec, self.policy, self.spec.occurrences.between(self.accounted, now), now)
            self.accounted = now

    def misfire(self, spec: Spec, policy: dict[str, Any], due: list[datetime.datetime], now: datetime.datetime) -> None:
        late = max(policy["misfire_grace_seconds"], 1)
        if policy["misfire"] == "skip":
            late = min(late, 15)
        most = 100 if policy["misfire"] == "fire_all" else 1
        in_time = [at for at in due if at not in spec.occurrences.dropped and now - at <= late * SECOND][-most:]
        for at in due:
            if at in in_time:
                self.fire(at)
            else:
                self.outcomes[at] = "dst_gap" if at in spec.occurrences.dropped else "missed"

    def fire(self, at: datetime.datetime) -> None:
        match self.policy["overlap"]:
            case "skip" if self.live:
                self.outcomes[at] = "overlap"
                return
            case "queue" if self.live and self.waiting:
                self.outcomes[at] = "overlap"
                return
            case "queue" if self.live:
                self.waiting = at
            case "skip" | "queue" | "cancel_running":
                self.live = at
        self.outcomes[at] = "fired"

    def end(self) -> None:
        """End the live execution; the waiting one becomes live."""
        self.live, self.waiting = self.waiting, None

    def skip(self, planned: list[datetime.datetime], reason: str) -> None:
        for at in planned:
            self.outcomes[at] = reason
