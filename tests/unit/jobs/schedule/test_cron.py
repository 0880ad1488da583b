"""Cron expressions: the meaning of their fields on a wall clock, against CronSim, and refusals."""

import datetime
import time

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.schedule import Cron, ScheduleError, parse_schedule

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
NAMES = {"month": ["jan", "FEB", "Dec"], "weekday": ["sun", "MON", "sat"]}


def cron(expression: str, timezone: str = "UTC", **choices: str) -> Cron:
    found = parse_schedule(expression, timezone=timezone, now=NOW, anchor=NOW, **choices)
    assert isinstance(found, Cron)
    return found


def field(low: int, high: int, *special: str) -> st.SearchStrategy[str]:
    """One field of a cron expression that CronSim supports too."""
    number = st.integers(low, high).map(str)
    step = st.integers(1, 40).map(str)
    # CronSim reads 5-5/2 as 5/2; a range of one number is left out.
    ranged = st.tuples(st.integers(low, high - 1), st.integers(1, high - low)).map(
        lambda pair: f"{pair[0]}-{min(pair[0] + pair[1], high)}"
    )
    term = st.one_of(
        number, ranged, *([st.sampled_from(special)] if special else []),
        st.tuples(st.one_of(number, ranged), step).map("/".join),
    )  # fmt: skip
    listed = st.lists(term, min_size=1, max_size=4).map(",".join)
    return st.one_of(st.just("*"), st.just("*"), step.map("*/{}".format), listed)


nth = [f"{day}#{which}" for day in range(8) for which in range(1, 6)]
expressions = st.tuples(
    st.one_of(st.just(""), field(0, 59)),
    field(0, 59),
    field(0, 23),
    field(1, 31, "L", "LW"),
    field(1, 12, *NAMES["month"]),
    field(0, 7, *NAMES["weekday"], *nth, "0L", "5L", "7L"),
).map(lambda fields: " ".join(fields).strip())
walls = st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2035, 12, 31))  # noqa: DTZ001 - a wall clock


@settings(max_examples=600)
@given(expression=expressions, wall=walls)
def test_an_expression_agrees_with_an_independent_implementation(expression: str, wall: datetime.datetime) -> None:
    try:
        oracle = CronSim(expression, wall)
        expected = [at.replace(tzinfo=datetime.UTC) for at, _ in zip(oracle, range(4), strict=False)]
    except Exception:  # CronSim finds no such day, or its own parser gives up
        expected = []
    if not expected:
        with pytest.raises(ScheduleError, match="never"):
            cron(expression)
        return
    schedule = cron(expression)
    at, found = wall.replace(tzinfo=datetime.UTC), []
    for _ in expected:
        at = schedule.next_after(at)
        found.append(at)
    assert found == expected
    last = schedule.occurrences_between(wall.replace(tzinfo=datetime.UTC), expected[-1])
    assert last is not None
    assert (last.first, last.last, last.count) == (expected[0], expected[-1], len(expected))


@given(expression=expressions, wall=walls)
def test_the_normal_form_reads_back_as_an_equal_schedule(expression: str, wall: datetime.datetime) -> None:
    try:
        schedule = cron(expression)
    except ScheduleError:
        return
    again = cron(schedule.normalized)
    assert again == schedule
    assert again.normalized == schedule.normalized
    assert again.next_after(wall.replace(tzinfo=datetime.UTC)) == schedule.next_after(wall.replace(tzinfo=datetime.UTC))


@pytest.mark.parametrize(
    ("expression", "normal"),
    [
        ("  0   2 * *  * ", "0 2 * * *"),
        ("00 02 * jan MON-fri", "0 2 * JAN MON-FRI"),
        ("0 0 2 * * *", "0 2 * * *"),
        ("30 0 2 * * *", "30 0 2 * * *"),
        ("*/1 */05 1/10 * *", "* */5 1/10 * *"),
        ("0 0 l * 5l", "0 0 L * 5L"),
        ("0 0 lw * *", "0 0 LW * *"),
        ("0 0 * * fri#2", "0 0 * * 5#2"),
        ("@Weekly", "0 0 * * 0"),
        ("monthly", "0 0 1 * *"),
    ],
)
def test_the_normal_form(expression: str, normal: str) -> None:
    assert cron(expression).normalized == normal


def test_seven_is_sunday_like_zero() -> None:
    assert [cron(f"0 0 * * {day}").next_after(NOW) for day in ("0", "7", "sun")] == [
        datetime.datetime(2026, 3, 8, tzinfo=datetime.UTC)
    ] * 3


def test_either_day_field_matches_if_neither_starts_with_a_star() -> None:
    schedule = cron("0 0 13 * 5")
    at, found = NOW, []
    for _ in range(4):
        at = schedule.next_after(at)
        found.append((at.month, at.day))
    assert found == [(3, 6), (3, 13), (3, 20), (3, 27)]
    assert cron("0 0 14 * 5").next_after(datetime.datetime(2026, 3, 13, tzinfo=datetime.UTC)).day == 14


def test_both_day_fields_must_match_if_one_starts_with_a_star() -> None:
    at = cron("0 0 */2 * 1").next_after(NOW)
    assert (at.day % 2, at.weekday()) == (1, 0)
    # The same days written without the star: then a Monday is enough.
    assert cron("0 0 1-31/2 * 1").next_after(NOW).day == 2


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("61 * * * *", "minute: '61' should be from 0 to 59"),
        ("* 24 * * *", "hour: '24' should be from 0 to 23"),
        ("* * 0 * *", "day of month: '0' should be from 1 to 31"),
        ("* * * 13 *", "month: '13' should be from 1 to 12"),
        ("* * * * 8", "day of week: '8' should be from 0 to 7"),
        ("60 * * * * *", "second: '60'"),
        ("*/0 * * * *", "step after / should be 1 or more"),
        ("5-1 * * * *", "runs backwards"),
        ("* * * * fri-mon", "runs backwards"),
        ("1,,2 * * * *", "minute: '' is not understood"),
        ("* * ? * 1", "Sunday as 1"),
        ("* * 15WL * *", "write 15W for"),
        ("* * * * L", "as in 5L"),
        ("* * * * 1#6", "should be 1 to 5"),
        ("* * * foo *", "names such as FEB"),
        ("mon * * * *", "minute: 'MON' is not understood"),
        ("²3 * * * *", "is not understood"),
        ("* * L/2 * *", "is not understood"),
        ("* * * * * * * *", "expression of five fields"),
        ("@reboot", "expression of five fields"),
        ("0 0 31 2 *", "never"),
        ("0 0 30 2 *", "never"),
        ("0 0 31 4,6,9,11 *", "never"),
        ("0 0 31 2 */7", "never"),
        ("0 0 */31 2-12 5#5", "never"),
    ],
)
def test_a_wrong_expression_is_refused_with_a_correct_example(expression: str, told: str) -> None:
    with pytest.raises(ScheduleError, match=told):
        cron(expression)


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 0 29 2 *", (2028, 2, 29)),
        ("0 0 29 2 */7", (2032, 2, 29)),
        ("0 0 * 2 1#5", (2044, 2, 29)),
        ("0 0 31 2 5", (2027, 2, 5)),
    ],
)
def test_a_rare_day_is_accepted(expression: str, first: tuple[int, int, int]) -> None:
    at = cron(expression).next_after(NOW)
    assert (at.year, at.month, at.day) == first


def test_a_too_long_expression_is_refused_before_parsing() -> None:
    minutes = ",".join(str(minute) for minute in range(60))
    assert cron(f"{minutes} * * * *").description == "Every minute"
    with pytest.raises(ScheduleError, match="500 characters"):
        cron("0," * 300 + "0 * * * *")
    worst = [
        ("0 0 29 2 1#5", "Europe/Berlin"),
        ("59 59 23 */29 2 6#5", "America/Sao_Paulo"),
        ("9" * 400 + " * * * *", "UTC"),
        ("*/" + "9" * 400 + " 0 29 2 *", "Africa/Casablanca"),
    ]
    started = time.process_time()
    for expression, zone in worst:
        try:
            schedule = cron(expression, zone, dst_gap="skip")
        except ScheduleError:
            continue
        at: datetime.datetime | None = NOW
        for _ in range(100):
            at = at and schedule.next_firing_after(at)
    # Not a timing limit, but the line between milliseconds and minutes.
    assert time.process_time() - started < 30
