"""Every other week, spans of a day, and days near a date: against brute force, a day and a minute at a time."""

import calendar
import datetime
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.schedule import Schedule, ScheduleError, parse_schedule

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MINUTE, DAY = datetime.timedelta(minutes=1), datetime.timedelta(days=1)
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ZONES = ("UTC", "Europe/Berlin", "America/Nuuk", "Asia/Kathmandu")


def said(text: object, *, anchor: datetime.datetime = NOW, timezone: str = "UTC") -> Schedule:
    found = parse_schedule(text, timezone=timezone, now=NOW, anchor=anchor)
    assert found is not None
    return found


def fired(schedule: Schedule, start: datetime.datetime, end: datetime.datetime) -> list[datetime.datetime]:
    found, at = [], schedule.next_after(start - datetime.timedelta(microseconds=1))
    while at is not None and at < end:
        found.append(at)
        at = schedule.next_after(at)
    return found


def holds(
    schedule: Schedule, expected: list[datetime.datetime], start: datetime.datetime, end: datetime.datetime
) -> None:
    """Assert that stepping, the count of a range, its ends, and the normal form agree with the expectation."""
    assert fired(schedule, start, end) == expected
    stretch = schedule.occurrences_between(
        start - datetime.timedelta(microseconds=1), end - datetime.timedelta(microseconds=1)
    )
    if not expected:
        assert stretch is None
        return
    assert stretch is not None
    assert (stretch.first, stretch.last, stretch.count) == (expected[0], expected[-1], len(expected))


@settings(max_examples=60, deadline=None)
@given(
    weeks=st.integers(2, 9),
    days=st.sets(st.integers(0, 6), min_size=1, max_size=7),
    times=st.sets(st.integers(0, 1439), min_size=1, max_size=3),
    anchor=st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2040, 1, 1)),  # noqa: DTZ001
    later=st.integers(0, 3000),
)
def test_every_so_many_weeks(
    weeks: int, days: set[int], times: set[int], anchor: datetime.datetime, later: int
) -> None:
    anchor = anchor.replace(second=0, microsecond=0, tzinfo=datetime.UTC)
    clock = ", ".join(f"{time // 60}:{time % 60:02}" for time in sorted(times))
    words = f"every {weeks} weeks on {' and '.join(WEEK[day] for day in sorted(days))} at {clock}"
    schedule = said(words, anchor=anchor)
    assert said(schedule.normalized, anchor=anchor) == schedule

    def matching(day: datetime.datetime) -> list[datetime.datetime]:
        return [day + time * MINUTE for time in sorted(times)] if day.weekday() in days else []

    midnight = anchor.replace(hour=0, minute=0)
    first = next(at for count in range(9) for at in matching(midnight + count * DAY) if at >= anchor)
    assert schedule.next_after(anchor - MINUTE / 2) == first
    week = (first - datetime.timedelta(days=first.weekday())).replace(hour=0, minute=0)
    start = midnight + later * DAY
    end = start + 60 * DAY
    expected = [
        at for count in range(60) for at in matching(start + count * DAY)
        if ((at - week).days // 7) % weeks == 0
    ]  # fmt: skip
    holds(schedule, expected, start, end)
    gaps = [later - earlier for earlier, later in itertools.pairwise(expected)]
    if gaps:
        assert schedule.closer_than(int(min(gaps).total_seconds()) + 1)


@pytest.mark.parametrize("words", ["every other friday", "every other week on friday", "every 2 weeks on fri"])
def test_every_other_counts_from_the_first_one_after_it_was_made(words: str) -> None:
    saturday = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
    schedule = said(words, anchor=saturday)
    assert schedule.normalized == "every 2 weeks on friday at 00:00"
    assert schedule.description == "At 00:00, on Friday, every 2 weeks"
    assert [f"{at:%d %b}" for at in fired(schedule, saturday, saturday + 40 * DAY)] == ["13 Mar", "27 Mar", "10 Apr"]


@settings(max_examples=60, deadline=None)
@given(
    step=st.sampled_from([1, 5, 7, 15, 20, 45, 60, 90, 120]),
    first=st.integers(0, 1439),
    last=st.integers(0, 1439),
    days=st.sampled_from(["", " on weekdays", " on weekends", " on monday and thursday"]),
)
def test_spans_of_a_day(step: int, first: int, last: int, days: str) -> None:
    spelled = f"{first // 60}:{first % 60:02} to {last // 60}:{last % 60:02}"
    words = f"every {step} minutes from {spelled}{days}"
    length = last - first if last > first else last - first + 1440
    if step > length or (days and last < first):
        with pytest.raises(ScheduleError):
            said(words)
        return
    schedule = said(words)
    assert said(schedule.normalized) == schedule
    minutes = {(first + at) % 1440 for at in range(0, length + 1, step)}
    taken = {"": range(7), " on weekdays": range(5), " on weekends": (5, 6), " on monday and thursday": (0, 3)}[days]
    start = NOW.replace(hour=0)
    expected = [
        at for count in range(8 * 1440)
        if (at := start + count * MINUTE).weekday() in taken and at.hour * 60 + at.minute in minutes
    ]  # fmt: skip
    holds(schedule, expected, start, start + 8 * DAY)


@settings(max_examples=80, deadline=None)
@given(day=st.integers(1, 31), before=st.integers(1, 30), year=st.integers(1999, 2033), zone=st.sampled_from(ZONES))
def test_the_weekday_nearest_to_a_date_and_days_before_the_last(day: int, before: int, year: int, zone: str) -> None:
    nearest, counted = said(f"0 12 {day}W * *", timezone=zone), said(f"0 12 L-{before} * *", timezone=zone)
    start = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
    end = start.replace(year=year + 1)
    lengths = [calendar.monthrange(year, month)[1] for month in range(1, 13)]
    assert [(at.month, at.day) for at in fired(nearest, start, end)] == [
        (month, _nearest(year, month, day)) for month, length in enumerate(lengths, start=1) if day <= length
    ]
    assert [(at.month, at.day) for at in fired(counted, start, end)] == [
        (month, length - before) for month, length in enumerate(lengths, start=1) if length > before
    ]
    for schedule in (nearest, counted):
        assert said(schedule.normalized, timezone=zone) == schedule


def _nearest(year: int, month: int, day: int) -> int:
    """Of the weekdays of the month the one nearest to the date; two are never equally near."""
    weekdays = [
        one for one in range(1, calendar.monthrange(year, month)[1] + 1) if calendar.weekday(year, month, one) < 5
    ]
    return min(weekdays, key=lambda one: abs(one - day))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("every other day", "every other friday at 9:00"),
        ("every other week", "every other week on friday"),
        ("every other month", "0 9 1 */2 *"),
        ("every second friday", "every other friday"),
        ("every 2 weeks", "every 2 weeks on monday"),
        ("every 60 weeks on monday", "2 to 52"),
        ("every 15 minutes from 9 to 17", "9:00, 9am or 9pm"),
        ("every 15 minutes from 9:00", "from 9:00 to 17:00"),
        ("every 15 minutes from 22:00 to 6:00 on weekdays", "on the day it starts"),
        ("every 2 hours from 9:00 to 10:00", "only 09:00"),
        ("every second from 9:00 to 17:00", "1,440"),
    ],
)
def test_what_is_refused_says_what_is_right(words: str, told: str) -> None:
    with pytest.raises(ScheduleError) as error:
        said(words)
    assert told in str(error.value)
