"""Descriptions in words are true, and equal descriptions mean equal schedules."""

import datetime
import itertools
from collections import defaultdict

import pytest

from jobs.schedule import ScheduleError, parse_schedule
from jobs.schedule.pattern import Pattern, cron_pattern

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("spelled", "description"),
    [
        ("* * * * * *", "Every second"),
        ("*/15 * * * * *", "Every 15 seconds"),
        ("7,30 * * * * *", "At seconds 7 and 30 past every minute"),
        ("*/10 * 9 * * *", "Every 10 seconds of every minute past hour 9"),
        ("0-29 30 9-17 * * *", "At seconds 0 to 29 of minute 30 past hours 9 to 17"),
        ("30 0 2 * * *", "At 02:00:30"),
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 past every hour"),
        ("*/90 * * * *", "Every hour"),
        ("30 * * * *", "At minute 30 past every hour"),
        ("* 9-17 * * *", "Every minute from 09:00 to 17:59"),
        ("*/5 9-17 * * *", "Every 5 minutes from 09:00 to 17:55"),
        ("*/5 9,12 * * *", "Every 5 minutes past hours 9 and 12"),
        ("15 9-17 * * *", "Every hour from 09:15 to 17:15"),
        ("0 */2 * * *", "Every 2 hours from 00:00 to 22:00"),
        ("0 */6 * * *", "At 00:00, 06:00, 12:00 and 18:00"),
        ("0,10,50 9-17 * * *", "At minutes 0, 10 and 50 past hours 9 to 17"),
        ("0 2 * * *", "At 02:00"),
        ("0,30 9,17 * * *", "At 09:00, 09:30, 17:00 and 17:30"),
        ("0 2 * * 1-5", "At 02:00, on Monday to Friday"),
        ("0 2 * * 0", "At 02:00, on Sunday"),
        ("0 2 * * 6,7", "At 02:00, on Saturday and Sunday"),
        ("0 2 1,15 * *", "At 02:00, on days 1 and 15 of the month"),
        ("0 2 L * *", "At 02:00, on the last day of the month"),
        ("0 2 LW * *", "At 02:00, on the last weekday (Monday to Friday) of the month"),
        ("0 2 1,L * *", "At 02:00, on day 1 and the last day of the month"),
        ("0 2 * * 5L", "At 02:00, on the last Friday of the month"),
        ("0 2 * * 2#2,2#4", "At 02:00, on the second Tuesday and the fourth Tuesday of the month"),
        ("0 2 * * 1,5L", "At 02:00, on every Monday and the last Friday of the month"),
        ("0 2 13 * 5", "At 02:00, on day 13 of the month or on Friday"),
        ("0 2 */10 * 5", "At 02:00, on Friday, but only when that is also day 1, 11, 21 or 31 of the month"),
        ("0 2 */10 * *", "At 02:00, on days 1, 11, 21 and 31 of the month"),
        ("0 2 1-31 * 5", "At 02:00"),
        ("0 2 * 6 *", "At 02:00, every day in June"),
        ("0 2 15 3,6-8 *", "At 02:00, on day 15 of the month, in March and June to August"),
        ("@yearly", "At 00:00, on day 1 of the month, in January"),
        ("every weekday at 9:00 and 17:30", "At 09:00 and 17:30, on Monday to Friday"),
        ("every month on the last friday at 9:00 and 17:30", "At 09:00 and 17:30, on the last Friday of the month"),
        ("every day at 9:00 and 17:30", "At 09:00 and 17:30"),
        ("every 7 minutes", "Every 7 minutes"),
        ({"every_seconds": 1}, "Every second"),
        ({"every_seconds": 7200}, "Every 2 hours"),
        ({"every_seconds": 86_400}, "Every 24 hours"),
        ("2026-07-01T09:00:00Z", "Once, at 2026-07-01 09:00:00 UTC"),
    ],
)
def test_a_description(spelled: object, description: str) -> None:
    found = parse_schedule(spelled, timezone="UTC", now=NOW, anchor=NOW)
    assert found is not None
    assert found.description == description


def meaning(pattern: Pattern, days: int) -> tuple[int, ...]:
    """Return every wall time of a pattern in this many days from 2027-12-01 on, including a leap February."""
    start = 21_153 * 86_400
    walls, end = [pattern.first_from(start)], start + days * 86_400
    while walls[-1] < end:
        walls.append(pattern.first_from(walls[-1] + 1))
    return tuple(walls)


def assert_descriptions_tell_apart(expressions: list[str], days: int) -> None:
    by_description: dict[str, dict[tuple[int, ...], str]] = defaultdict(dict)
    for expression in expressions:
        try:
            pattern = cron_pattern(expression)
        except ScheduleError:  # there are no such days
            continue
        by_description[pattern.description].setdefault(meaning(pattern, days), expression)
    same = {text: list(found.values()) for text, found in by_description.items() if len(found) > 1}
    assert not same


def test_schedules_with_equal_descriptions_fire_alike_by_time() -> None:
    minutes = ["*", "0", "30", "*/5", "*/7", "0,30", "10-20", "5-59/5", "0,1,2,59", "*/30"]
    hours = ["*", "0", "9", "*/2", "*/3", "*/5", "9-17", "9,17", "1,2,3,23", "8-18/2", "22-23"]
    combined = itertools.product(minutes, hours)
    assert_descriptions_tell_apart([f"{minute} {hour} * * *" for minute, hour in combined], 1)


def test_schedules_with_equal_descriptions_fire_alike_by_second() -> None:
    seconds = ["0", "*", "*/10", "*/7", "5", "0,30", "10-59"]
    times = ["* *", "*/30 *", "0 *", "0,1 9", "0 9,10", "0,30 */8", "59 9-11"]
    assert_descriptions_tell_apart([f"{second} {time} * * *" for second, time in itertools.product(seconds, times)], 1)


def test_schedules_with_equal_descriptions_fire_alike_by_day() -> None:
    dates = ["*", "*/2", "*/10", "1-31", "1", "1,15", "29-31", "L", "LW", "L,LW", "1,L", "1-7"]
    weekdays = ["*", "*/2", "0", "0-6", "1-5", "6,7", "5L", "1#1", "1#1,1#3", "2,5L", "1#5", "0,6L"]
    months = ["*", "2", "3,6-9", "*/3"]
    combined = itertools.product(dates, months, weekdays)
    assert_descriptions_tell_apart([f"0 0 {date} {month} {day}" for date, month, day in combined], 460)
