"""Reading `Retry-After`."""

import datetime
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.attempts.retry_after import retry_after_ms

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        ("120", 120_000),
        (" 0 ", 0),
        ("9" * 5000, 10**12),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90_000),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90_000),
        ("Sun Mar  1 12:01:30 2026", 90_000),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_seconds_and_the_three_forms_of_a_date(value, wait_ms):
    assert retry_after_ms({"retry-after": value}, received_at=NOW) == wait_ms


DATE = "Sun, 01 Mar 2026 12:01:30 GMT"


@pytest.mark.parametrize(
    ("joined", "wait_ms"),
    [
        ("120, 120", 120_000),
        ("5,5,5", 5_000),
        ("5, 30", 30_000),
        ("30, 5", 30_000),
        (f"{DATE}, {DATE}", 90_000),
        (f"{DATE}, 10", 90_000),
        (f"100, {DATE}", 100_000),
        ("Sunday, 01-Mar-26 12:01:30 GMT, Sun Mar  1 12:01:40 2026", 100_000),
        ("soon, 7", 7_000),
        ("7, ", 7_000),
        (", ,", None),
        ("soon, later", None),
        ("0, 0", 0),
    ],
)
def test_a_repeated_header_asks_for_its_longest_wait(joined, wait_ms):
    assert retry_after_ms({"retry-after": joined}, received_at=NOW) == wait_ms


def test_a_repeated_date_is_one_clock():
    clock = "Thu, 01 Jan 2026 00:00:00 GMT"
    headers = {"date": f"{clock}, {clock}", "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}
    assert retry_after_ms(headers, received_at=NOW) == 30_000


def test_a_header_of_many_values_is_parsed_quickly():
    started = time.monotonic()
    for joined in ("1," * 32_000, "Sun," * 16_000, "Sun, 01 Mar 2026 12:01:30 GMT, " * 2_000, "9" * 65_000):
        retry_after_ms({"retry-after": joined, "date": joined}, received_at=NOW)
    assert time.monotonic() - started < 5


def test_a_missing_header_means_no_wait():
    assert retry_after_ms({}, received_at=NOW) is None


def test_a_date_is_relative_to_the_answers_date_header():
    wrong_clock = {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}
    assert retry_after_ms(wrong_clock, received_at=NOW) == 30_000


def test_a_malformed_date_header_is_ignored():
    headers = {"date": "yesterday", "retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}
    assert retry_after_ms(headers, received_at=NOW) == 30_000


@given(st.text(), st.text())
def test_no_header_raises(value, date):
    wait = retry_after_ms({"retry-after": value, "date": date}, received_at=NOW)
    assert wait is None or wait >= 0
