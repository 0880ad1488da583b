"""The timeline of a workflow: a row for each step, with its calls and waits on the axis of all."""

import datetime
import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.workflows.timeline import MOST_BARS, StepTimeline
from runs.models import Run
from runs.workflows.representation import StepView

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
NOTHING: frozenset[str] = frozenset()


def later(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def view(name: str, kind: str = "http", status: str = "succeeded", **times: Any) -> StepView:
    at = {field: None if value is None else later(value) for field, value in times.items()}
    return StepView(id=name, type=kind, position=0, in_finally=False, status=status, **at)


def run(start: float, took: float, number: int = 1) -> Run:
    end, took_ms = later(start + took), round(took * 1000)
    return Run(number=number, status="failed", started_at=later(start), finished_at=end, total_ms=took_ms)


def test_calls_and_waits_have_their_own_rows() -> None:
    steps = [
        (view("create", started_at=0, finished_at=2), [run(0, 2)]),
        (view("cool", "delay", started_at=2, finished_at=5), []),
        (view("skipped", status="skipped", started_at=5, finished_at=5), []),
        (view("paid", "webhook", "waiting", started_at=5), []),
        (view("ahead", status="pending"), []),
    ]
    timeline = StepTimeline.of(steps, polling=NOTHING, now=later(9))
    assert [(row.offset_ms, row.took_ms) for row in timeline.rows] == [
        (0, 2000), (2000, 3000), (None, None), (5000, 4000), (None, None),
    ]  # fmt: skip
    assert [[bar.kind for bar in row.bars] for row in timeline.rows] == [
        ["no-answer"], ["parked"], [], ["parked"], [],
    ]  # fmt: skip


def test_a_wait_of_days_leaves_room_for_the_calls() -> None:
    steps = [
        (view("create", started_at=0, finished_at=1), [run(0, 1)]),
        (view("ok", "approval", started_at=1, finished_at=500_000), []),
        (view("send", started_at=500_000, finished_at=500_001), [run(500_000, 1)]),
    ]
    timeline = StepTimeline.of(steps, polling=NOTHING, now=later(600_000))
    assert timeline.is_cut
    assert timeline.rows[0].bars[0].width > 20
    assert timeline.rows[1].bars[0].is_cut
    assert timeline.rows[1].took_ms == 499_999_000


def test_between_calls_a_step_polls_or_waits_to_retry() -> None:
    runs = [run(0, 1), run(11, 1, 2)]
    for polling, kind in ((frozenset({"check"}), "parked"), (NOTHING, "wait")):
        steps = [(view("check", status="waiting", started_at=0), runs)]
        (row,) = StepTimeline.of(steps, polling=polling, now=later(20)).rows
        assert [bar.kind for bar in row.bars] == ["no-answer", kind, "no-answer", kind]
        assert row.took_ms == 20_000


def test_a_result_of_another_execution_is_not_drawn() -> None:
    carried = StepView(
        id="create", type="http", position=0, in_finally=False, status="succeeded", started_at=later(-900),
        finished_at=later(-899), carried_from=uuid.UUID(int=1),
    )  # fmt: skip
    steps = [(carried, []), (view("send", started_at=0, finished_at=1), [run(0, 1)])]
    first, second = StepTimeline.of(steps, polling=NOTHING, now=NOW).rows
    assert first.bars == ()
    assert second.offset_ms == 0


def test_of_very_many_calls_the_latest_are_drawn() -> None:
    runs = [run(number, 0.5, number) for number in range(900)]
    (row,) = StepTimeline.of([(view("check", started_at=0, finished_at=900), runs)], polling=NOTHING, now=NOW).rows
    assert len(row.bars) <= 2 * MOST_BARS


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans()), min_size=1, max_size=12))
def test_bars_stay_within_the_axis_and_in_order(spans: list[tuple[float, float, bool]]) -> None:
    steps, at = [], 0.0
    for index, (gap, took, calls) in enumerate(spans):
        start, at = at + gap, at + gap + took
        own = view(f"s{index}", "http" if calls else "delay", started_at=start, finished_at=at)
        steps.append((own, [run(start, took)] if calls else []))
    timeline = StepTimeline.of(steps, polling=NOTHING, now=later(at))
    bars = [bar for row in timeline.rows for bar in row.bars]
    assert all(bar.left >= 0 and bar.width > 0 and bar.left + bar.width <= 100.01 for bar in bars)
    lefts = [bar.left for bar in bars]
    assert lefts == sorted(lefts)
