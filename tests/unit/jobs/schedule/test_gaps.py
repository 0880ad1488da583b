"""The smallest gap between a schedule's occurrences, for any kind."""

import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from jobs.schedule import parse_schedule
from jobs.schedule.times import FieldTimes, ListedTimes

DAY = 24 * 3600
NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


def closest(schedule: object) -> int:
    """The largest number of seconds that no two occurrences are closer than."""
    found = parse_schedule(schedule, timezone="UTC", now=NOW, anchor=NOW)
    assert found is not None
    low, high = 1, 10 * 366 * DAY
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if found.closer_than(middle) else (middle, high)
    return low


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("* * * * * *", 1),
        ("*/20 * * * * *", 20),
        ("0,45 * * * * *", 15),
        ("* * * * *", 60),
        ("*/7 * * * *", 4 * 60),
        ("0,1 3 1 1 *", 60),
        ("0 0,23 * * *", 3600),
        ("0 9 * * *", DAY),
        ("0 9 * * 1", 7 * DAY),
        ("0 9 * * 1,4", 3 * DAY),
        ("0 9 1 * *", 28 * DAY),
        ("0 0,23 15,16 * *", 3600),
        ("0 0,23 1,15 * *", 23 * 3600),
        ("0 9 29 2 *", 4 * 365 * DAY + DAY),
        ("0 9 31 12 *", 365 * DAY),
        ("every weekday at 9am", DAY),
        ({"every_seconds": 90}, 90),
    ],
)
def test_the_gap_is_exact_to_the_second(schedule: object, seconds: int) -> None:
    assert closest(schedule) == seconds


def test_a_one_off_has_no_gap() -> None:
    once = parse_schedule("2026-07-01T09:00:00Z", timezone="UTC", now=NOW, anchor=NOW)
    assert once is not None
    assert not once.closer_than(10**9)


def field(low: int, high: int) -> some.SearchStrategy[str]:
    values = some.lists(some.integers(low, high), min_size=1, max_size=3, unique=True)
    return some.just("*") | values.map(lambda found: ",".join(map(str, sorted(found))))


def some_of(limit: int) -> some.SearchStrategy[tuple[int, ...]]:
    values = some.lists(some.integers(0, limit - 1), min_size=1, max_size=4, unique=True)
    return values.map(lambda found: tuple(sorted(found)))


@given(hours=some_of(24), minutes=some_of(60), seconds=some_of(60))
def test_times_of_day_have_their_smallest_gap(
    hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]
) -> None:
    times = FieldTimes(hours, minutes, seconds)
    each = [times.at(rank) for rank in range(times.per_day)]
    assert times.closest() == ListedTimes(tuple(each)).closest() == min((b - a for a, b in pairwise(each)), default=DAY)


@given(minute=field(0, 59), hour=field(0, 23), day=field(1, 31), weekday=field(0, 6), seconds=some.integers(1, 3 * DAY))
@settings(max_examples=60, deadline=None)
def test_the_gap_agrees_with_two_years_of_occurrences(
    minute: str, hour: str, day: str, weekday: str, seconds: int
) -> None:
    found = parse_schedule(f"{minute} {hour} {day} * {weekday}", timezone="UTC", now=NOW, anchor=NOW)
    assert found is not None
    at, end, seen = found.next_after(NOW), NOW + datetime.timedelta(days=731), False
    for _ in range(3000):
        following = found.next_after(at) if at else None
        if at is None or following is None or following > end:
            break
        seen = seen or (following - at).total_seconds() < seconds
        at = following
    # A gap within two years is found; a found gap may lie beyond them.
    assert found.closer_than(seconds) or not seen
