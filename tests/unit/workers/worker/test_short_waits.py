"""Waits that are shorter than the clock's interval."""

from hypothesis import given
from hypothesis import strategies as st

from workers.worker.short_waits import LONGEST_SECONDS, Retry, ShortWaits


def test_each_wait_is_due_once_and_not_early():
    waits = ShortWaits(capacity=10)
    waits.add([Retry(10.9, "late"), Retry(10.1, "soon"), Retry(10.3, "then")], now=10.0)
    assert waits.due(10.1) == []  # an early claim would find nothing
    assert 0.1 < waits.seconds_to_next(10.0) < 0.11
    assert waits.due(10.31) == ["soon", "then"]
    assert waits.due(10.31) == []
    assert waits.due(20.0) == ["late"]
    assert waits.seconds_to_next(20.0) == float("inf")


def test_long_waits_and_too_many_are_left_to_the_clock():
    waits = ShortWaits(capacity=2)
    waits.add([Retry(LONGEST_SECONDS + 0.1, "long")], now=0.0)
    assert waits.due(100.0) == []
    waits.add([Retry(0.1, str(number)) for number in range(5)], now=0.0)
    assert len(waits.due(100.0)) == 2


@given(st.lists(st.floats(0, LONGEST_SECONDS - 0.01), max_size=20))
def test_no_wait_is_lost_and_they_are_in_order(delays: list[float]):
    waits = ShortWaits(capacity=20)
    waits.add([Retry(delay, str(delay)) for delay in delays], now=0.0)
    found, now = [], 0.0
    while (seconds := waits.seconds_to_next(now)) != float("inf"):
        now += max(seconds, 0.0) + 1e-9
        found += waits.due(now)
    assert found == [str(delay) for delay in sorted(delays)]
