"""Plain words for schedules: their meaning, and that nothing half-understood is accepted."""

import contextlib
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule import Interval, Once, Schedule, ScheduleError, next_firings, parse_schedule, resolve_relative

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
ANCHOR = datetime.datetime(2026, 2, 1, 9, 30, tzinfo=datetime.UTC)
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def said(words: str, timezone: str = "UTC") -> Schedule:
    found = parse_schedule(words, timezone=timezone, now=NOW, anchor=ANCHOR)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("words", "normal"),
    [
        ("every second", "* * * * * *"),
        ("every 10 seconds", "*/10 * * * * *"),
        ("every minute", "* * * * *"),
        ("every 5 minutes", "*/5 * * * *"),
        ("every hour", "0 * * * *"),
        ("every 60 minutes", "0 * * * *"),
        ("every 2 hours", "0 */2 * * *"),
        ("every 120 minutes", "0 */2 * * *"),
        ("hourly", "0 * * * *"),
        ("yearly", "0 0 1 1 *"),
        ("every day", "0 0 * * *"),
        ("every day at 2:30pm", "30 14 * * *"),
        ("every day at 12am and 12pm", "0 0,12 * * *"),
        ("every day at noon and midnight", "0 0,12 * * *"),
        ("every day at 9:00, 12:00, and 17:00", "0 9,12,17 * * *"),
        ("every day at 9:00:30", "30 0 9 * * *"),
        ("every weekday at 9am", "0 9 * * 1-5"),
        ("Every  Weekday at 9 AM", "0 9 * * 1-5"),
        ("every weekend at noon", "0 12 * * 6,0"),
        ("every monday and thursday at 18:00", "0 18 * * 1,4"),
        ("every mon, wed and fri at 7:15", "15 7 * * 1,3,5"),
        ("every monday to friday at 9:00", "0 9 * * 1-5"),
        ("every friday through monday", "0 0 * * 1,5,6,0"),
        ("every month on the 1st", "0 0 1 * *"),
        ("every month on the first", "0 0 1 * *"),
        ("every month on the 1st and 15th at 6am", "0 6 1,15 * *"),
        ("every month on the last day", "0 0 L * *"),
        ("every month on the 15th and the last day at 6:00", "0 6 15,L * *"),
        ("every month on the last weekday at 17:00", "0 17 LW * *"),
        ("every month on the last friday at noon", "0 12 * * 5L"),
        ("every month on the second tuesday at 10:00", "0 10 * * 2#2"),
        ("every month on the first and last sunday", "0 0 * * 0#1,0L"),
        ("every year on march 15 at 8am", "0 8 15 3 *"),
        ("every year on 15 mar", "0 0 15 3 *"),
        ("every year on the 15th of march", "0 0 15 3 *"),
        ("every day at 17:30 and 9:00", "every day at 09:00 and 17:30"),
        ("every sat and sun at 9:00 and 10:30pm", "every weekend at 09:00 and 22:30"),
        ("every month on the last fri at 9:00 and 17:30", "every month on the last friday at 09:00 and 17:30"),
        ("every year on 1 may at 9:00 and 17:30:05", "every year on may 1 at 09:00 and 17:30:05"),
    ],
)
def test_words_have_a_normal_form(words: str, normal: str) -> None:
    assert said(words).normalized == normal


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("every 7 minutes", 420),
        ("every 90 seconds", 90),
        ("every 45 minutes", 2700),
        ("every 90 minutes", 5400),
        ("every 5 hours", 18_000),
        ("every 24 hours", 86_400),
        ("every 36 hours", 129_600),
    ],
)
def test_a_step_that_does_not_divide_an_hour_or_a_day_is_an_interval(words: str, seconds: int) -> None:
    assert said(words) == Interval(seconds, ANCHOR)


def test_times_that_cron_can_not_express_are_kept_exactly() -> None:
    firings = next_firings(said("every weekday at 9:00 and 17:30", "Europe/Berlin"), NOW, 4)
    assert [f"{at:%d %H:%M}" for at in firings] == ["02 08:00", "02 16:30", "03 08:00", "03 16:30"]


def clock(time: tuple[int, int]) -> str:
    return f"{time[0]}:{time[1]:02}"


times = st.lists(st.tuples(st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=5, unique=True)
some_days = st.one_of(
    st.sampled_from(["day", "weekday", "weekend"]),
    st.lists(st.sampled_from(WEEK), min_size=1, max_size=7).map(" and ".join),
    st.lists(st.integers(1, 28), min_size=1, max_size=4).map(
        lambda numbers: "month on the " + ", ".join(f"{number}{suffix(number)}" for number in numbers)
    ),
    st.tuples(st.sampled_from(["first", "second", "3rd", "fourth", "last"]), st.sampled_from(WEEK)).map(
        lambda pair: f"month on the {pair[0]} {pair[1]}"
    ),
    st.tuples(st.sampled_from(["january", "feb", "december"]), st.integers(1, 28)).map(
        lambda pair: f"year on {pair[0]} {pair[1]}"
    ),
)


def suffix(number: int) -> str:
    return "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


@given(days=some_days, at=times)
def test_the_normal_form_reads_back_as_the_same_schedule(days: str, at: list[tuple[int, int]]) -> None:
    schedule = said(f"every {days} at {', '.join(clock(time) for time in at)}")
    assert said(schedule.normalized) == schedule
    firings = next_firings(schedule, NOW, len(at))
    # One after the other, each of the times once.
    assert sorted((firing.hour, firing.minute) for firing in firings) == sorted(at)
    names = days.split(" and ")
    if set(names) <= set(WEEK):
        assert {WEEK[firing.weekday()] for firing in firings} <= set(names)
    assert schedule.occurrences_between(NOW, firings[-1]).count == len(at)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("every", "something is missing at the end"),
        ("every other day", 'write "every 48 hours"'),
        ("every 2 days", 'as in "every 48 hours"'),
        ("every 2 weeks", 'as in "every 336 hours"'),
        ("every 3 months", "name the days"),
        ("every 1 day", "leave out the 1"),
        ("every week", "write which day"),
        ("every month", 'like "every month on the 1st"'),
        ("every year", 'like "every year on march 15"'),
        ("every monday at 9", "morning or evening"),
        ("every monday at 25:00", "not a time of day"),
        ("every monday at 13pm", "not a time of day"),
        ("every monday at 0am", "not a time of day"),
        ("every monday at 9:60", "not a time of day"),
        ("every monday at 9.30", "'9.30' is not understood"),
        ("every monday at", "expected a time of day"),
        ("every monday at 9:00 and", "expected a time of day"),
        ("every monday 9:00", "'9:00' is not understood"),
        ("every mondays at 9:00", "'mondays' is not understood"),
        ("every monday or tuesday", "'or' is not understood"),
        ("every day at 9:00 please", "'please' is not understood"),
        ("every day at 9:00 on mondays", "'on' is not understood"),
        ("every 5 minutes on weekdays", "'on' is not understood"),
        ("every second monday", 'write "every other monday"'),
        ("every two hours", "'two' is not understood"),
        ("every 1.5 hours", "'1.5' is not understood"),
        ("every -5 minutes", "'-5' is not understood"),
        ("every 0 minutes", "from 1 second"),
        ("every 9999 hours", "to 8784 hours"),
        ("every month on the 31st", "not every month has a day 31.*0 0 31 \\* \\*"),
        ("every month on the fifth friday", "not every month has a 5th friday.*5#5"),
        ("every month on the 7th friday", "not every month has a 7th friday"),
        ("every month on the last", "the last of what"),
        ("every month on the 2st", "'2st' is not understood"),
        ("every month on the first weekday", "not supported"),
        ("every month on the 1st or 2nd", "'or' is not understood"),
        ("every year on february 29", "0 0 29 2 \\*"),
        ("every year on february 30", "there is no february 30"),
        ("every year on april 31", "there is no april 31"),
        ("every year on march", "expected a date"),
        ("in 5", "expected seconds, minutes"),
        ("in five minutes", "'five' is not understood"),
        ("in 5 minutes or so", "'or' is not understood"),
        ("in 0 seconds", "from 1 second"),
        ("in 99999 weeks", "ten years"),
        ("sometimes", "words such as"),
        ("each day", "words such as"),
        ("9am every day", "words such as"),
    ],
)
def test_partly_understood_words_are_refused_with_a_correct_example(words: str, told: str) -> None:
    with pytest.raises(ScheduleError, match=told):
        said(words)


@given(
    st.lists(
        st.sampled_from(
            [
                *[
                    "every",
                    "in",
                    "on",
                    "the",
                    "at",
                    "and",
                    ",",
                    "1st",
                    "5",
                    "29",
                    "9:00",
                    "last",
                    "day",
                    "week",
                    "month",
                    "year",
                    "monday",
                    "to",
                ]
            ]
        )
    )
)
def test_any_mix_of_known_words_is_wholly_understood_or_refused(tokens: list[str]) -> None:
    words = " ".join(tokens)
    try:
        schedule = said(words)
    except ScheduleError:
        return
    assert schedule.next_firing_after(NOW) is not None
    assert parse_schedule(schedule.normalized, timezone="UTC", now=NOW, anchor=ANCHOR) == schedule


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(ScheduleError):
        assert said(text).description


def test_a_delay_counts_from_now() -> None:
    assert said("in 10 minutes") == Once(NOW + datetime.timedelta(minutes=10))
    assert said("In 1 day") == Once(NOW + datetime.timedelta(hours=24))


@pytest.mark.parametrize(
    ("spelled", "kept"),
    [
        ("now", "2026-03-01T12:00:00.000Z"),
        (" NOW ", "2026-03-01T12:00:00.000Z"),
        ("in 90 seconds", "2026-03-01T12:01:30.000Z"),
        ("in a while", "in a while"),
        ("every 7 minutes", "every 7 minutes"),
        ({"every_seconds": 5}, {"every_seconds": 5}),
        (None, None),
        (7, 7),
    ],
)
def test_only_relative_times_are_fixed_when_saved(spelled: object, kept: object) -> None:
    assert resolve_relative(spelled, NOW) == kept
