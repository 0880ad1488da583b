"""The chaos oracle on concurrency, manual runs, and lateness of every job."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.acceptance.chaos.findings import Invariant
from tests.acceptance.chaos.history import Disturbance, Exchange, Execution, History, Stall
from tests.support.forged_histories import (
    GOOD,
    HAND_AT,
    PID,
    broken,
    exchange,
    execution,
    instant,
    lost_run,
    of,
    planned,
    run,
    with_,
)

HOUR = 3600.0
ONE_AT_A_TIME = ("skip", "queue", "cancel_running")


def calls(policy: dict[str, Any], spans: Sequence[tuple[float, float]]) -> History:
    """A job whose consecutive occurrences are called in these spans, in seconds after the first."""
    keys = [str(number) for number in range(1, len(spans) + 1)]
    begun = instant("1")
    executions = [
        execution(key, finished_at=begun + until, created_at=min(instant(key), begun + since))
        for key, (since, until) in zip(keys, spans, strict=True)
    ]
    history = of(planned(len(keys), **policy), executions)
    seen = [
        exchange(key, at=begun + since, answered_at=begun + until)
        for key, (since, until) in zip(keys, spans, strict=True)
    ]
    return with_(history, exchanges=seen)


# -- overlap -----------------------------------------------------------------------------------------------------------

TEN_AT_ONCE = [(number + 0.01, 20.0) for number in range(10)]
ONE_AFTER_THE_OTHER = [(number + 0.01, number + 0.9) for number in range(10)]


@pytest.mark.parametrize("overlap", ONE_AT_A_TIME)
def test_ten_concurrent_calls_with_a_concurrency_of_one_are_found(overlap: str):
    assert broken(calls({"overlap": overlap}, TEN_AT_ONCE)) == {Invariant.OVERLAP}
    assert broken(calls({"overlap": "allow"}, TEN_AT_ONCE)) == set()


@pytest.mark.parametrize("overlap", [*ONE_AT_A_TIME, "allow"])
def test_consecutive_calls_pass(overlap: str):
    assert broken(calls({"overlap": overlap}, ONE_AFTER_THE_OTHER)) == set()


@pytest.mark.parametrize("overlap", ONE_AT_A_TIME)
def test_a_short_overlap_is_found(overlap: str):
    spans = [(0.01, 1.5), (1.01, 1.2), (2.01, 2.1)]
    assert broken(calls({"overlap": overlap}, spans)) == {Invariant.OVERLAP}


def test_a_call_without_an_end_overlaps_all_that_follow():
    history = calls({"overlap": "skip"}, ONE_AFTER_THE_OTHER)
    first, *others = history.exchanges
    stuck = dataclasses.replace(first, answered_at=None)
    assert Invariant.OVERLAP in broken(with_(history, exchanges=[stuck, *others]))


def test_manual_runs_may_overlap_the_schedule():
    history = calls({"overlap": "skip"}, [(0.01, 5.0)])
    by_hand = execution("hand")
    history = with_(
        history,
        executions=[*history.executions, by_hand],
        runs=[*history.runs, run("hand")],
        exchanges=[*history.exchanges, exchange("hand", at=instant("1") + 1)],
        asked=frozenset({"hand"}),
    )
    assert broken(history) == set()


def overtaken(stalls: Sequence[Stall], overlap: str = "skip") -> History:
    """The target was still handling the first attempt when, its lease expired, the second arrived."""
    again_at = instant("1") + 16
    return of(
        planned(1, overlap=overlap),
        [execution("1", attempts=2, finished_at=again_at + 0.1)],
        runs=[lost_run("1"), run("1", 2, finished_at=again_at + 0.1)],
        exchanges=[exchange("1", 1, answered_at=instant("1") + 25), exchange("1", 2, at=again_at)],
        stalls=stalls,
        disturbances=[Disturbance(instant("1"), again_at, "a fault")],
    )


@pytest.mark.parametrize("overlap", ONE_AT_A_TIME)
def test_a_stalled_worker_excuses_concurrent_calls(overlap: str):
    assert broken(overtaken([Stall(PID, instant("1") + 0.1, instant("1") + 15, "stopped")], overlap)) == set()


@pytest.mark.parametrize(
    "stalls",
    [
        [],
        [Stall(PID, instant("1") - HOUR, instant("1") - HOUR + 15, "stopped")],
        [Stall(7, instant("1"), None, "killed")],
    ],
    ids=["nobody", "an hour earlier", "another"],
)
def test_a_living_worker_excuses_no_concurrent_call(stalls: list[Stall]):
    assert Invariant.OVERLAP in broken(overtaken(stalls))


def canceled_call(*, left_after: float | None, policy: str = "cancel_running", next_after: float = 1.0) -> History:
    """The first call takes long, so the second occurrence cancels it; its caller disconnects after these seconds."""
    canceled_at = instant("1") + next_after + 0.01
    first = execution("1", status="canceled", finished_at=canceled_at)
    second = execution("2")
    canceled = run("1", status="canceled", response_status=None, response_body=None, finished_at=canceled_at)
    gone_at = None if left_after is None else canceled_at + left_after
    return of(
        planned(2, overlap=policy),
        [first, second],
        runs=[canceled, run("2")],
        exchanges=[exchange("1", answered_at=None, left_at=gone_at), exchange("2")],
    )


def test_cancel_running_cancels_the_previous_call():
    assert broken(canceled_call(left_after=0.5)) == set()


@pytest.mark.parametrize("left_after", [None, 10.0])
def test_a_canceled_call_must_be_aborted(left_after: float | None):
    assert broken(canceled_call(left_after=left_after)) == {Invariant.OVERLAP}


@pytest.mark.parametrize("policy", ["allow", "skip", "queue"])
def test_only_cancel_running_may_cancel_calls(policy: str):
    assert Invariant.NONE_LOST in broken(canceled_call(left_after=0.5, policy=policy))


@pytest.mark.parametrize("next_after", [0.2, 40.0])
def test_a_canceled_call_must_end_as_the_next_one_fires(next_after: float):
    assert Invariant.NONE_LOST in broken(canceled_call(left_after=0.1, next_after=next_after))


# -- concurrency -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_one_call_beyond_the_concurrency_is_found(limit: int):
    within = [(number + 0.01, 20.0) for number in range(limit)]
    beyond = [(number + 0.01, 20.0) for number in range(limit + 1)]
    assert broken(calls({"concurrency": limit}, within)) == set()
    assert broken(calls({"concurrency": limit}, beyond)) == {Invariant.CONCURRENCY}


def test_manual_runs_count_against_the_concurrency():
    history = calls({"concurrency": 1}, [(0.01, 5.0)])
    history = with_(
        history,
        executions=[*history.executions, execution("hand", created_at=instant("1"))],
        runs=[*history.runs, run("hand")],
        exchanges=[*history.exchanges, exchange("hand", at=instant("1") + 1)],
        asked=frozenset({"hand"}),
    )
    assert broken(history) == {Invariant.CONCURRENCY}


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.001, 5)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_concurrency_is_the_maximum_over_all_instants(raw: list[tuple[float, float]], limit: int):
    """Against plain counting: at the start of each call, how many are in progress."""
    spans = [(number + late, number + late + lasts) for number, (late, lasts) in enumerate(raw)]
    most = max(sum(since <= begun < until for since, until in spans) for begun, _ in spans)
    found = broken(calls({"concurrency": limit}, spans))
    assert (Invariant.CONCURRENCY in found) == (most > limit)


# -- by hand -----------------------------------------------------------------------------------------------------------


def again(seen: Sequence[Exchange], executions: Sequence[Execution] = (), **fields: Any) -> History:
    return with_(
        GOOD,
        executions=[*GOOD.executions, *executions],
        runs=[*GOOD.runs, *(run(one.id) for one in executions)],
        exchanges=[*GOOD.exchanges, *seen],
        **fields,
    )


def test_a_manual_run_called_twice_is_found():
    assert Invariant.NONE_DOUBLED in broken(again([exchange("hand", token="another")]))
    assert Invariant.NONE_DOUBLED in broken(again([exchange("hand", 2)]))


def test_two_executions_of_one_request_are_found():
    more = execution("another")
    assert broken(again([exchange("another")], [more])) == {Invariant.BY_HAND}
    assert broken(again([exchange("another")], [more], unsure={"steady": 1})) == set()
    assert broken(again([exchange("another")], [more], unsure={"other": 1})) == {Invariant.BY_HAND}


@pytest.mark.parametrize("fields", [{"trigger": "schedule"}, {"status": "skipped", "skip_reason": "overlap"}])
def test_a_wrong_execution_of_a_manual_run_is_found(fields: dict[str, Any]):
    executions = [*GOOD.executions[:2], dataclasses.replace(GOOD.executions[2], **fields)]
    assert Invariant.BY_HAND in broken(with_(GOOD, executions=executions))


# -- late --------------------------------------------------------------------------------------------------------------


def late(seconds: float, key: str = "1", **fields: Any) -> History:
    """Delay one call by these seconds."""
    at = (HAND_AT if key == "hand" else instant(key)) + seconds
    seen = [
        dataclasses.replace(one, at=at, answered_at=at + 0.01) if one.execution == key else one
        for one in GOOD.exchanges
    ]
    return with_(GOOD, exchanges=seen, **fields)


@pytest.mark.parametrize("key", ["1", "2", "hand"])
@pytest.mark.parametrize("seconds", [45.0, 600.0, HOUR, 24 * HOUR])
def test_a_late_call_in_calm_is_found(key: str, seconds: float):
    assert broken(late(seconds, key)) == {Invariant.PUNCTUAL}


@pytest.mark.parametrize("seconds", [0.1, 4.0])
def test_a_small_delay_on_a_busy_machine_passes(seconds: float):
    assert broken(late(seconds)) == set()


def trouble(*spans: tuple[float, float]) -> list[Disturbance]:
    return [Disturbance(instant("1") + since, instant("1") + until, "a fault") for since, until in spans]


@pytest.mark.parametrize(
    ("spans", "seconds", "excused"),
    [
        ([(-1, 12)], 40, True),
        ([(-1, 12)], 80, False),
        ([(-200, -100)], 40, False),
        ([(50, 60)], 55, False),
        ([(-1, 12), (30, 80)], 120, True),
        ([(0, HOUR)], HOUR, False),
        ([(n * 20, n * 20 + 10) for n in range(180)], HOUR, False),
    ],
)
def test_lateness_passes_only_during_a_disturbance(spans: list[tuple[float, float]], seconds: float, excused: bool):
    """A fault excuses until its recovery; however many there are, an hour is too long."""
    assert (Invariant.PUNCTUAL not in broken(late(seconds, disturbances=trouble(*spans)))) == excused


def test_a_call_waiting_for_its_own_job_is_not_late():
    """Calls of a minute, one at a time: each waits for the previous one."""
    spans = [(number * 60 + 0.01, (number + 1) * 60.0) for number in range(5)]
    assert broken(calls({"concurrency": 1}, spans)) == set()
    assert broken(calls({"overlap": "queue"}, spans)) == set()
    assert broken(calls({"overlap": "allow"}, spans)) == {Invariant.PUNCTUAL}


def test_a_late_further_attempt_is_judged_too():
    at = instant("1") + HOUR
    refused = run("1", status="failed", failure_reason="http_server_error", response_status=503)
    history = with_(
        GOOD,
        executions=[execution("1", attempts=2, finished_at=at + 0.1), *GOOD.executions[1:]],
        runs=[refused, run("1", 2, started_at=at, finished_at=at + 0.1), *GOOD.runs[1:]],
        exchanges=[exchange("1", status=503), exchange("1", 2, at=at), *GOOD.exchanges[1:]],
    )
    assert broken(history) == {Invariant.PUNCTUAL}
