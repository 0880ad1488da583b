"""Schedules as Quartz, EventBridge, systemd, Jenkins, cronie and robfig write them: accepted, or a suggestion."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule import Schedule, ScheduleError, next_firings, parse_schedule

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
QUARTZ_WEEK = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def said(text: object, timezone: str = "UTC") -> Schedule:
    found = parse_schedule(text, timezone=timezone, now=NOW, anchor=NOW)
    assert found is not None
    return found


def refused(text: str) -> str:
    with pytest.raises(ScheduleError) as error:
        said(text)
    return str(error.value)


@pytest.mark.parametrize(
    ("foreign", "own"),
    [
        ("0 0 9 ? * MON-FRI", "0 9 * * MON-FRI"),
        ("0 0 9 ? * mon-fri *", "0 9 * * MON-FRI"),
        ("30 0 9 ? * SAT,SUN", "30 0 9 * * SAT,SUN"),
        ("0 0 12 1/5 * ? *", "0 12 1/5 * *"),
        ("0 0 9 L * ?", "0 9 L * *"),
        ("0 0 9 L-3 * ?", "0 9 L-3 * *"),
        ("0 0 9 15W * ?", "0 9 15W * *"),
        ("0 0 9 ? * FRIL", "0 9 * * FRIL"),
        ("0 0 9 ? * MON#1", "0 9 * * MON#1"),
        ("0 9 ? * MON", "0 9 * * MON"),
        ("0 0 9 * * ?", "0 9 * * *"),
        ("cron(0 9 ? * MON-FRI *)", "0 9 * * MON-FRI"),
        ("cron(0/15 * * * ? *)", "0/15 * * * *"),
        ("cron(0 18 L * ? *)", "0 18 L * *"),
        ("rate(5 minutes)", {"every_seconds": 300}),
        ("rate(1 hour)", {"every_seconds": 3600}),
        ("RATE(7 days)", {"every_seconds": 604_800}),
        ("at(2027-07-01T09:00:00)", "2027-07-01T09:00:00Z"),
        ("@every 5m", {"every_seconds": 300}),
        ("@every 1h30m", {"every_seconds": 5400}),
        ("@every 1h0m10s", {"every_seconds": 3610}),
        ("@every 1.5h", {"every_seconds": 5400}),
        ("@every 2000ms", {"every_seconds": 2}),
    ],
)
def test_unambiguous_dialects_are_accepted(foreign: str, own: object) -> None:
    assert said(foreign) == said(own)
    assert said(said(foreign).normalized) == said(own)


@pytest.mark.parametrize(
    ("foreign", "told"),
    [
        ("0 0 9 ? * 2-6", ["Quartz counts Sunday as 1", "MON-FRI", '"0 9 * * MON-FRI"']),
        ("0 0 9 ? * 7", ["Quartz counts Sunday as 1", '"0 9 * * SAT"']),
        ("0 0 9 ? * 1,7", ['"0 9 * * SUN,SAT"']),
        ("0 0 9 ? * 6L", ['"0 9 * * FRIL"']),
        ("0 0 9 ? * 2#1", ['"0 9 * * MON#1"']),
        ("0 0 9 ? * 2/2", ["Sunday as 1", "name the days"]),
        ("0 0 9 ? * MON/2", ["name each day"]),
        ("0 0 9 ? * L", ['"0 9 * * SAT"']),
        ("0 9 ? * 2-6", ["MON-FRI"]),
        ("0 0 9 * * 2 *", ["MON"]),
        ("0 0 9 ? * MON-FRI 2027", ["starts_at", "2027-01-01", "ends_at", "2027-12-31", '"0 9 * * MON-FRI"']),
        ("0 0 9 1 * ? 2027-2029", ["2027-01-01", "2029-12-31"]),
        ("? 9 * * *", ["whole day field"]),
        ("cron(0 9 ? * 2-6 *)", ["EventBridge counts Sunday as 1", "MON-FRI"]),
        ("cron(0 9 * * *)", ["six fields"]),
        ("rate(5 fortnights)", ["rate(5 minutes)"]),
        ("rate(0 minutes)", ["1 second"]),
        ("@every 500ms", ["whole seconds"]),
        ("@every 5", ["5m"]),
        ("@every 1d", ["1h30m"]),
        ("H * * * *", ["Jenkins", "jitter_seconds", '"0 * * * *"']),
        ("H/15 * * * *", ['"*/15 * * * *"']),
        ("H(10-20) H * * 1-5", ['"10 0 * * 1-5"']),
        ("0~59 * * * *", ["jitter_seconds", '"0 * * * *"']),
        ("~ 2 * * *", ['"0 2 * * *"']),
        ("Mon..Fri *-*-* 09:00:00", ["OnCalendar", '"0 9 * * MON-FRI"']),
        ("*-*-01 02:00", ['"0 2 1 * *"']),
        ("Mon,Wed 10:30", ['"30 10 * * MON,WED"']),
        ("*:0/15", ['"*/15 * * * *"']),
        ("Sat *-*-1..7 18:00", ["OnCalendar", "cron expression"]),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", ['timezone to "Europe/Berlin"', 'schedule to "0 9 * * *"']),
        ("TZ=Asia/Tokyo 30 4 * * *", ['timezone to "Asia/Tokyo"', '"30 4 * * *"']),
        ("CRON_TZ=UTC @every 5m", ['timezone to "UTC"', '"@every 5m"']),
    ],
)
def test_ambiguous_dialects_are_refused_with_what_to_write(foreign: str, told: list[str]) -> None:
    error = refused(foreign)
    assert all(part in error for part in told), error


@given(first=st.integers(1, 7), length=st.integers(0, 6), style=st.sampled_from(["0 0 9 ? * {}", "cron(0 9 ? * {} *)"]))
def test_no_day_is_shifted_and_suggestions_keep_the_meaning_of_quartz(first: int, length: int, style: str) -> None:
    last = min(first + length, 7)
    numbers = f"{first}-{last}" if last > first else str(first)
    named = f"{QUARTZ_WEEK[first - 1]}-{QUARTZ_WEEK[last - 1]}" if last > first else QUARTZ_WEEK[first - 1]
    suggested = refused(style.format(numbers)).split('"')[-2]
    meant = {QUARTZ_WEEK[number - 1].title() for number in range(first, last + 1)}
    if named not in suggested:
        pytest.fail(suggested)
    try:
        fired = {f"{at:%a}" for at in next_firings(said(suggested), NOW, 14)}
    except ScheduleError as error:  # SUN-... runs on from 0; a range that ends on Sunday is none
        pytest.fail(str(error))
    assert fired == meant


@given(st.text(alphabet="0123456789*?/-,LW#H~@ .:()SUNMOTEcronrateevry=hm", min_size=1, max_size=40))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    try:
        found = parse_schedule(text, timezone="UTC", now=NOW, anchor=NOW)
    except ScheduleError:
        return
    assert found is None or said(found.normalized) == found
