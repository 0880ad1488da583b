"""The waterfall of an execution: attempts beside each other, and waits that do not dwarf them."""

import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.runs.waterfall import AttemptBars, Wait, Waterfall, phases
from runs.models import Execution, Run

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
EDGE = 0.6  # a bar is always visible


def later(milliseconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(milliseconds=milliseconds)


def run(number: int, start: float, took: float | None, **changes: Any) -> Run:
    end = None if took is None else later(start + took)
    columns = {"status": "running" if took is None else "failed", "duration_ms": took, "total_ms": took, **changes}
    return Run(number=number, started_at=later(start), finished_at=end, **columns)


def execution(status: str = "failed", **changes: Any) -> Execution:
    return Execution(status=status, created_at=NOW, **changes)


def test_attempts_and_waits_are_in_order() -> None:
    runs = [run(1, 40, 100), run(2, 5_000, 200)]
    rows = Waterfall.of(execution(), runs, later(10_000)).rows
    assert [(type(row), row.offset_ms, row.took_ms) for row in rows] == [
        (Wait, 0, 40), (AttemptBars, 40, 100), (Wait, 140, 4_860), (AttemptBars, 5_000, 200),
    ]  # fmt: skip


def test_a_long_wait_is_shortened_and_marked() -> None:
    found = Waterfall.of(execution(), [run(1, 0, 100), run(2, 7_200_000, 100)], later(8_000_000))
    first, wait, second = (row.bars for row in found.rows)
    assert found.is_cut
    assert wait[0].is_cut
    assert first[0].width > 25
    assert second[-1].width > 25
    assert wait[0].milliseconds == 7_199_900


def test_an_execution_without_attempts_waits_until_it_is_due() -> None:
    [wait] = Waterfall.of(execution("pending", next_attempt_at=later(60_000)), [], NOW).rows
    assert isinstance(wait, Wait)
    assert (wait.name, wait.is_ahead, wait.took_ms) == ("Until due", True, 60_000)


def test_a_pending_retry_shows_its_next_attempt() -> None:
    pending = execution("pending", next_attempt_at=later(9_000))
    names = [row.name for row in Waterfall.of(pending, [run(1, 0, 100)], later(1_000)).rows if isinstance(row, Wait)]
    assert names == ["Waiting to retry", "Until the next attempt"]


def test_a_delayed_execution_counts_from_its_start_time() -> None:
    delayed = execution("succeeded", scheduled_for=later(60_000), jitter_ms=500)
    [attempt] = Waterfall.of(delayed, [run(1, 60_500, 100, status="succeeded")], later(90_000)).rows
    assert attempt.offset_ms == 0


def test_an_execution_canceled_while_waiting_shows_when() -> None:
    canceled = execution("canceled", finished_at=later(500))
    [wait] = Waterfall.of(canceled, [], later(900)).rows
    assert isinstance(wait, Wait)
    assert (wait.name, wait.took_ms) == ("Waited until canceled", 500)


def test_the_phases_of_an_exchange_follow_each_other() -> None:
    timings = {"queue_ms": 3, "dns_ms": 2, "connect_ms": 11, "tls_ms": 24, "first_byte_ms": 96}
    found = phases(run(1, 0, 142, **timings))
    assert [(bar.name, bar.milliseconds) for bar in found] == [
        ("queued", 3), ("DNS", 2), ("connect", 11), ("TLS", 24), ("first byte", 59), ("body", 46),
    ]  # fmt: skip


def test_a_kept_connection_has_no_connect_phases_and_a_timeout_no_body() -> None:
    assert [bar.name for bar in phases(run(1, 0, 30_000, connect_ms=4))] == ["connect", "no answer"]
    assert [bar.name for bar in phases(run(1, 0, 50, first_byte_ms=50))] == ["first byte"]
    assert phases(run(1, 0, 0)) == ()


@given(
    status=st.sampled_from(["succeeded", "failed", "canceled", "running", "pending"]),
    stretches=st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 300_000), st.integers(0, 300_000)), max_size=8),
)
def test_bars_are_on_the_axis_and_in_order(status: str, stretches: list[tuple[int, int, int]]) -> None:
    at, runs = 0.0, []
    for number, (wait, total, first_byte) in enumerate(stretches, 1):
        runs.append(run(number, at + wait, total, first_byte_ms=first_byte))
        at += wait + total
    ended = status in ("succeeded", "failed", "canceled")
    changes = {"finished_at": later(at) if ended else None, "next_attempt_at": None if ended else later(at + 5)}
    found = Waterfall.of(execution(status, **changes), runs, later(at))
    reached = 0.0
    for row in found.rows:
        for bar in row.bars:
            assert 0 <= bar.left <= 100
            assert 0 <= bar.width <= 100 + EDGE
            assert bar.left + bar.width <= 100 + EDGE
            assert bar.left >= reached - EDGE
            reached = bar.left
