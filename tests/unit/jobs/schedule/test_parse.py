"""Parsing of schedules: accepted forms, refusals, and the next occurrence."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule import Bounded, Interval, OccurrenceRange, Once, ScheduleError, parse_schedule

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


def parse(value, timezone="UTC"):
    return parse_schedule(value, timezone=timezone, now=NOW, anchor=NOW)


def instants(schedule, count, after=NOW):
    found = []
    for _ in range(count):
        after = schedule.next_after(after)
        found.append(after)
    return found


def test_a_cron_expression_is_read_on_the_wall_clock_of_its_zone():
    assert parse("30 2 * * *", "Europe/Berlin").next_after(NOW) == datetime.datetime(
        2026, 3, 2, 1, 30, tzinfo=datetime.UTC
    )


def test_a_cron_expression_follows_daylight_saving_time():
    before, after = instants(
        parse("0 9 * * *", "Europe/Berlin"), 2, datetime.datetime(2026, 3, 28, tzinfo=datetime.UTC)
    )
    assert (before.hour, after.hour) == (8, 7)


def test_an_occurrence_inside_a_repeated_hour_is_later_than_its_start():
    start = datetime.datetime(2026, 10, 25, 1, 30, 30, tzinfo=datetime.UTC)  # 02:30:30 in Berlin, the second time
    schedule = parse("*/10 * * * *", "Europe/Berlin")
    found = instants(schedule, 12, start)
    assert found == sorted(set(found))
    assert found[0] > start


def test_presets_are_cron_expressions():
    assert parse("@hourly").normalized == "0 * * * *"


def test_now_is_a_one_off_at_the_given_now():
    assert parse("now") == Once(NOW)


def test_a_datetime_without_an_offset_is_wall_clock_time():
    assert parse("2026-07-01T09:00:00", "Europe/Berlin") == Once(
        datetime.datetime(2026, 7, 1, 7, 0, tzinfo=datetime.UTC)
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("61 * * * *", "not a valid cron expression"),
        ("* * * *", "expression of five fields"),
        ("whenever", "expression of five fields"),
        ("0 0 31 2 *", "not a valid cron expression"),
        ("2026-02-30T00:00:00Z", "ISO 8601"),
        ("2026-03-15T25:00", "ISO 8601"),
        ("2026-03-15Ã09:00", "expression of five fields"),
        ("0001-01-01T00:00:00+10:00", "out of range"),
        ("", "expression of five fields"),
        ({}, "should be a cron expression"),
        ([], "should be a cron expression"),
        ({"every_seconds": 0}, "from 1 to"),
        ({"every_seconds": 1.5}, "whole number"),
        ({"every_seconds": True}, "whole number"),
        ({"every_minutes": 5}, "should be a cron expression"),
        (7, "should be a cron expression"),
    ],
)
def test_an_unreadable_schedule_is_refused_with_a_correct_example(value, told):
    with pytest.raises(ScheduleError, match=told):
        parse(value)


@pytest.mark.parametrize("name", ["Berlin", "europe/berlin", "", "localtime", "../../etc/passwd"])
def test_only_exact_iana_names_are_time_zones(name):
    with pytest.raises(ScheduleError, match="IANA"):
        parse("0 0 * * *", name)


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2027-03-28T02:30:00", "2027-03-28T01:00:00.000Z"),  # skipped: the instant of the change
        ("2027-03-28 03:00", "2027-03-28T01:00:00.000Z"),
        ("2027-10-31T02:30:00", "2027-10-31T00:30:00.000Z"),  # repeated: the first of the two
        ("2027-10-31T02:30:00+01:00", "2027-10-31T01:30:00.000Z"),
        ("2027-07-01", "2027-06-30T22:00:00.000Z"),
        ("2027-07-01T09:00:00.123456Z", "2027-07-01T09:00:00.123456Z"),
    ],
)
def test_a_datetime_is_one_instant_and_its_normal_form_reads_back(local, instant):
    found = parse(local, "Europe/Berlin")
    assert found.normalized == instant
    assert parse(instant, "Asia/Tokyo") == found


def test_a_one_off_is_a_range_of_one():
    once = Once(NOW)
    assert once.occurrences_between(NOW - SECOND, NOW) == OccurrenceRange(NOW, NOW, 1)
    assert once.occurrences_between(NOW, NOW + SECOND) is None
    assert once.occurrences_between(NOW - SECOND, NOW - SECOND / 2) is None


def test_an_interval_begins_at_its_anchor_and_ends_with_the_calendar():
    schedule = Interval(90, NOW)
    assert instants(schedule, 2, NOW - 7 * SECOND) == [NOW, NOW + 90 * SECOND]
    assert schedule.occurrences_between(NOW - 7 * SECOND, NOW) == OccurrenceRange(NOW, NOW, 1)
    assert schedule.next_after(datetime.datetime.max.replace(tzinfo=datetime.UTC)) is None


@given(seconds=st.integers(1, 100_000), offset=st.integers(-1_000_000, 10_000_000))
def test_an_interval_never_drifts_from_its_anchor(seconds, offset):
    schedule = Interval(seconds, NOW)
    found = schedule.next_after(NOW + offset * SECOND)
    assert found is not None
    assert found > NOW + offset * SECOND
    assert (found - NOW) % (seconds * SECOND) == datetime.timedelta(0)


@given(seconds=st.integers(1, 500), length=st.integers(0, 5000), offset=st.integers(-100, 5000))
def test_an_intervals_range_agrees_with_stepping_through_it(seconds, length, offset):
    schedule = Interval(seconds, NOW)
    after = NOW + offset * SECOND
    until = after + length * SECOND
    walked = []
    found = schedule.next_after(after)
    while found <= until:
        walked.append(found)
        found = schedule.next_after(found)
    expected = OccurrenceRange(walked[0], walked[-1], len(walked)) if walked else None
    assert schedule.occurrences_between(after, until) == expected


def test_a_bounded_schedule_starts_and_ends():
    schedule = Bounded(parse("0 * * * *"), NOW + 90 * 60 * SECOND, NOW + 3 * 3600 * SECOND)
    assert [instant.hour for instant in instants(schedule, 2)] == [14, 15]
    assert schedule.next_after(NOW + 3 * 3600 * SECOND) is None
    assert schedule.next_firing_after(NOW + 3 * 3600 * SECOND) is None
    assert schedule.occurrences_between(NOW, NOW + 86400 * SECOND) == OccurrenceRange(
        NOW + 7200 * SECOND, NOW + 3 * 3600 * SECOND, 2
    )


def test_start_and_end_are_inclusive():
    schedule = Bounded(parse({"every_seconds": 60}), NOW, NOW + 60 * SECOND)
    assert instants(schedule, 3, NOW - 86400 * SECOND) == [NOW, NOW + 60 * SECOND, None]


def test_a_bounded_schedule_drops_what_its_inner_schedule_drops():
    jump = datetime.datetime(2027, 3, 28, 1, tzinfo=datetime.UTC)
    inner = parse_schedule("30 2 * * *", timezone="Europe/Berlin", now=NOW, anchor=NOW, dst_gap="skip")
    schedule = Bounded(inner, jump - 3600 * SECOND, jump + 86400 * SECOND)
    assert schedule.next_after(NOW) == jump
    assert schedule.drops(jump)
    assert schedule.next_firing_after(NOW) == jump + (24 * 3600 - 1800) * SECOND
    assert Bounded(inner, None, jump).next_firing_after(jump - SECOND) is None
