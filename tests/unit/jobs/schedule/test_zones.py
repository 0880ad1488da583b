"""DST changes of every zone, 2020 to 2035, against a walk over each minute that shares no code with ours.

The walk asks `zoneinfo` what a clock on the wall shows at each instant. A clock that shows more than a minute later
than the minute before has skipped times; one that `zoneinfo` calls folded shows them again.
"""

import datetime
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jobs.schedule import Bounded, Cron, OccurrenceRange, Schedule, ScheduleError, parse_schedule
from jobs.schedule.zones import offset_period_at

MINUTE = datetime.timedelta(minutes=1)
SECOND = datetime.timedelta(seconds=1)
DAY = datetime.timedelta(days=1)
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
FIRST, LAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2035, 12, 28, tzinfo=datetime.UTC)
#: Changes by half an hour, at midnight, by two hours, twice a year around Ramadan, and of standard time.
ODD = [
    "Australia/Lord_Howe", "Asia/Beirut", "America/Havana", "America/Asuncion", "America/Santiago", "Antarctica/Troll",
    "Africa/Casablanca", "Africa/Cairo", "Asia/Gaza", "America/Nuuk", "America/Scoresbysund", "Africa/Juba",
    "Pacific/Chatham", "Europe/Dublin", "Europe/Volgograd", "Asia/Almaty", "Asia/Amman", "Pacific/Apia",
]  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field as text, and the numbers that it matches."""

    text: str
    values: frozenset[int]

    @property
    def starred(self) -> bool:
        return self.text.startswith("*")


def fields(low: int, high: int, *, stars: int = 1) -> st.SearchStrategy[Field]:
    whole = range(low, high + 1)
    star = st.just(Field("*", frozenset(whole)))
    stepped = st.integers(2, 20).map(lambda step: Field(f"*/{step}", frozenset(whole[::step])))
    listed = st.sets(st.integers(low, high), min_size=1, max_size=3).map(
        lambda numbers: Field(",".join(map(str, sorted(numbers))), frozenset(numbers))
    )
    ranged = st.tuples(st.integers(low, high), st.integers(low, high)).map(
        lambda pair: Field(f"{min(pair)}-{max(pair)}", frozenset(range(min(pair), max(pair) + 1)))
    )
    return st.one_of(*[star] * stars, stepped, listed, listed, ranged)


@dataclass(frozen=True)
class Timing:
    """A job's timing, in a form that needs none of our code."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    zone: str
    gap: str
    fold: str

    @property
    def expression(self) -> str:
        return " ".join(part.text for part in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def fixed(self) -> bool:
        return not self.minute.starred and not self.hour.starred

    def matches(self, wall: datetime.datetime) -> bool:
        if wall.minute not in self.minute.values or wall.hour not in self.hour.values:
            return False
        by_date = wall.day in self.day.values
        by_weekday = wall.isoweekday() % 7 in self.weekday.values
        starred = self.day.starred or self.weekday.starred
        day = (by_date and by_weekday) if starred else (by_date or by_weekday)
        return day and wall.month in self.month.values

    def schedule(self) -> Schedule:
        found = parse_schedule(
            self.expression, timezone=self.zone, now=FIRST, anchor=FIRST, dst_gap=self.gap, dst_fold=self.fold
        )
        assert found is not None
        return found


@functools.cache
def jumps(zone: str) -> list[datetime.datetime]:
    """Return noon of each day with a DST change in the zone."""
    known, found, at = ZoneInfo(zone), [], FIRST
    offset = at.astimezone(known).utcoffset()
    while at < LAST:
        following = (at + DAY).astimezone(known).utcoffset()
        if following != offset:
            found.append(at + DAY / 2)
        at, offset = at + DAY, following
    return found


@st.composite
def wanted(draw: st.DrawFn, *, near_a_jump: bool = True) -> tuple[Timing, datetime.datetime]:
    """A job, and an instant to start from: usually one before a change."""
    zone = draw(st.one_of(st.sampled_from(ZONES), st.sampled_from(ODD)))
    job = Timing(
        draw(fields(0, 59)),
        draw(fields(0, 23)),
        draw(fields(1, 31, stars=6)),
        draw(fields(1, 12, stars=12)),
        draw(fields(0, 6, stars=6)),
        zone,
        draw(st.sampled_from(["shift", "skip"])),
        draw(st.sampled_from(["first", "both"])),
    )
    known = jumps(zone) if near_a_jump else []
    about = draw(st.sampled_from(known)) - DAY if known else FIRST + draw(st.integers(0, (LAST - FIRST).days)) * DAY
    return job, about + draw(st.integers(-600, 600)) * MINUTE + draw(st.integers(0, 59)) * SECOND


def occurrences_by_minute(
    job: Timing, after: datetime.datetime, until: datetime.datetime
) -> Iterator[tuple[datetime.datetime, bool]]:
    """Yield each occurrence in (after, until], and whether it is dropped."""
    zone = ZoneInfo(job.zone)
    at = after.replace(second=0, microsecond=0)
    before = (at - MINUTE).astimezone(zone).replace(tzinfo=None)
    while at <= until:
        local = at.astimezone(zone)
        wall = local.replace(tzinfo=None)
        skipped = False
        if job.fixed:
            while before + MINUTE < wall:
                before += MINUTE
                skipped = skipped or job.matches(before)
        real = job.matches(wall) and not (job.fixed and job.fold == "first" and local.fold)
        if (real or skipped) and at > after:
            yield at, not real and job.gap == "skip"
        before = wall
        at += MINUTE


def found_by(schedule: Schedule, after: datetime.datetime, until: datetime.datetime) -> list[datetime.datetime]:
    found = []
    at = schedule.next_after(after)
    while at is not None and at <= until:
        found.append(at)
        at = schedule.next_after(at)
    return found


@settings(max_examples=250, deadline=None)
@given(job_and_start=wanted())
def test_occurrences_around_a_dst_change_agree_with_stepping(job_and_start: tuple[Timing, datetime.datetime]) -> None:
    job, after = job_and_start
    try:
        schedule = job.schedule()
    except ScheduleError:
        assume(False)
    until = after + 2 * DAY
    expected = list(occurrences_by_minute(job, after, until))
    planned = [at for at, _ in expected]
    assert found_by(schedule, after, until) == planned
    assert [schedule.drops(at) for at in planned] == [dropped for _, dropped in expected]
    firing = schedule.next_firing_after(after)
    assert ([firing] if firing and firing <= until else []) == [at for at, dropped in expected if not dropped][:1]
    whole = OccurrenceRange(planned[0], planned[-1], len(planned)) if planned else None
    assert schedule.occurrences_between(after, until) == whole
    bounds = (after + DAY / 2, after + DAY * 1.5)
    inside = [at for at in planned if bounds[0] <= at <= bounds[1]]
    assert found_by(Bounded(schedule, *bounds), after, until) == inside


@settings(max_examples=150, deadline=None)
@given(job_and_start=wanted(near_a_jump=False), days=st.lists(st.integers(0, 4000), min_size=3, max_size=3))
def test_counts_of_ranges_add_up(job_and_start: tuple[Timing, datetime.datetime], days: list[int]) -> None:
    job, start = job_and_start
    try:
        schedule = job.schedule()
    except ScheduleError:
        assume(False)
    low, middle, high = (start + day * DAY for day in sorted(days))
    parts = [schedule.occurrences_between(low, middle), schedule.occurrences_between(middle, high)]
    whole = schedule.occurrences_between(low, high)
    assert sum(part.count for part in parts if part) == (whole.count if whole else 0)
    ends = [end for part in parts if part for end in (part.first, part.last)]
    assert (ends[0], ends[-1]) == (whole.first, whole.last) if whole else not ends
    if whole:
        assert schedule.next_after(low) == whole.first
        assert schedule.next_after(whole.last - SECOND) == whole.last
        following = schedule.next_after(whole.last)
        assert following is None or following > high


@settings(max_examples=300, deadline=None)
@given(
    expression=st.sampled_from(
        ["* * * * * *", "*/7 * * * * *", "5,50 */20 * * * *", "30 59 1,2,23 * * *", "59 0,30 2 * * *"]
    ),
    zone=st.sampled_from(ZONES),
    at=st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)),
)
def test_the_next_occurrence_is_later_and_on_a_matching_second(
    expression: str, zone: str, at: datetime.datetime
) -> None:
    after = at.replace(tzinfo=datetime.UTC)
    found = parse_schedule(expression, timezone=zone, now=FIRST, anchor=FIRST).next_after(after)
    assert found > after
    assert found.microsecond == 0
    if expression == "* * * * * *":
        assert found - after <= SECOND


@settings(max_examples=60, deadline=None)
@example(zone="America/Recife", year=2000)  # the rare case of two changes within a week
@example(zone="Asia/Gaza", year=2040)
@given(zone=st.one_of(st.sampled_from(ZONES), st.sampled_from(ODD)), year=st.integers(1971, 2060))
def test_the_offset_intervals_of_a_zone_agree_with_zoneinfo(zone: str, year: int) -> None:
    """The search looks some days ahead at a time, so two changes within those are the hard case."""
    known = ZoneInfo(zone)
    start = int(datetime.datetime(year, 1, 1, tzinfo=datetime.UTC).timestamp())
    for second in range(start, start + 366 * 86_400, 3600 * 3):
        offset = datetime.datetime.fromtimestamp(second, datetime.UTC).astimezone(known).utcoffset()
        spell = offset_period_at(known, second)
        assert spell.start <= second < spell.end
        assert datetime.timedelta(seconds=spell.offset) == offset


def times(expression: str, zone: str, start: str, count: int, **choices: str) -> list[str]:
    """Return the next occurrences in wall clock time; dropped ones in brackets."""
    after = datetime.datetime.fromisoformat(start).astimezone(datetime.UTC)
    schedule = parse_schedule(expression, timezone=zone, now=after, anchor=after, **choices)
    assert isinstance(schedule, Cron)
    shown = []
    for _ in range(count):
        after = schedule.next_after(after)
        text = f"{after.astimezone(ZoneInfo(zone)):%m-%d %H:%M%z}"
        shown.append(f"({text})" if schedule.drops(after) else text)
    return shown


def test_a_fixed_time_in_a_dst_gap_fires_right_after_it() -> None:
    assert times("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", 2) == ["03-28 03:00+0200", "03-29 02:30+0200"]


def test_several_times_in_a_dst_gap_fire_once() -> None:
    assert times("0,30 2,3 * * *", "Europe/Berlin", "2027-03-27T12:00Z", 3) == [
        "03-28 03:00+0200", "03-28 03:30+0200", "03-29 02:00+0200",
    ]  # fmt: skip


def test_a_range_counts_the_firing_after_a_gap_once() -> None:
    low, high = (datetime.datetime(2027, 3, day, 12, tzinfo=datetime.UTC) for day in (27, 28))
    schedule = parse_schedule("0,30 2,3 * * *", timezone="Europe/Berlin", now=low, anchor=low)
    jump = datetime.datetime(2027, 3, 28, 1, tzinfo=datetime.UTC)
    assert schedule.occurrences_between(low, high) == OccurrenceRange(jump, jump + 30 * MINUTE, 2)


def test_a_repeated_time_is_found_though_its_next_date_is_a_year_ahead() -> None:
    shown = times("0 2 31 10 *", "Europe/Berlin", "2027-10-31T00:00Z", 2, dst_fold="both")
    assert shown == ["10-31 02:00+0100", "10-31 02:00+0100"]


def test_a_time_in_a_gap_may_be_dropped_but_not_an_ordinary_occurrence() -> None:
    at = "2027-03-27T12:00Z"
    assert times("30 2 * * *", "Europe/Berlin", at, 2, dst_gap="skip") == ["(03-28 03:00+0200)", "03-29 02:30+0200"]
    assert times("30 2,3 * * *", "Europe/Berlin", at, 2, dst_gap="skip") == ["(03-28 03:00+0200)", "03-28 03:30+0200"]
    assert times("0 2,3 * * *", "Europe/Berlin", at, 2, dst_gap="skip") == ["03-28 03:00+0200", "03-29 02:00+0200"]


def test_a_repeated_fixed_time_fires_once_or_twice() -> None:
    at = "2027-10-30T12:00Z"
    assert times("30 2 * * *", "Europe/Berlin", at, 2) == ["10-31 02:30+0200", "11-01 02:30+0100"]
    assert times("30 2 * * *", "Europe/Berlin", at, 2, dst_fold="both") == ["10-31 02:30+0200", "10-31 02:30+0100"]


def test_a_wildcard_follows_elapsed_time_through_gap_and_repeat() -> None:
    assert times("0 * * * *", "Europe/Berlin", "2027-03-28T00:30Z", 2, dst_gap="skip") == [
        "03-28 03:00+0200", "03-28 04:00+0200",
    ]  # fmt: skip
    assert times("*/30 * * * *", "Europe/Berlin", "2027-10-30T23:45Z", 5) == [
        "10-31 02:00+0200", "10-31 02:30+0200", "10-31 02:00+0100", "10-31 02:30+0100", "10-31 03:00+0100",
    ]  # fmt: skip


def test_gaps_at_midnight_and_of_half_an_hour() -> None:
    assert times("0 0 * * *", "Asia/Beirut", "2027-03-27T12:00Z", 2) == ["03-28 01:00+0300", "03-29 00:00+0300"]
    assert times("15 2 * * *", "Australia/Lord_Howe", "2027-10-02T12:00Z", 1) == ["10-03 02:30+1100"]


def test_a_day_skipped_by_a_country() -> None:
    assert times("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00-10:00", 2) == ["12-31 00:00+1400", "12-31 09:00+1400"]
    assert times("0 * * * *", "Pacific/Apia", "2011-12-29T22:30-10:00", 2) == ["12-29 23:00-1000", "12-31 00:00+1400"]


def test_an_occurrence_always_in_a_gap_is_recorded_but_never_fires() -> None:
    schedule = parse_schedule("30 2 * 3 0L", timezone="Europe/Berlin", now=FIRST, anchor=FIRST, dst_gap="skip")
    assert schedule.next_firing_after(FIRST) is None
    assert schedule.drops(schedule.next_after(FIRST))


@pytest.mark.parametrize("year", [1, 1900, 1969, 9998, 9999])
def test_instants_at_the_ends_of_the_calendar_are_handled(year: int) -> None:
    at = datetime.datetime(year, 6, 1, tzinfo=datetime.UTC)
    for zone in ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Niue"):
        for expression in ("* * * * *", "30 2 * * *", "0 0 29 2 *"):
            schedule = parse_schedule(expression, timezone=zone, now=at, anchor=at, dst_gap="skip")
            found = schedule.next_firing_after(at)
            assert found is None or found > at
            assert schedule.occurrences_between(at, at) is None
            assert schedule.drops(at) is False
            assert (found is None) == (year == 9999 or (year == 9998 and expression == "0 0 29 2 *"))
