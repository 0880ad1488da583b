"""The chaos oracle on skipped occurrences: each needs its cause, at that time."""

import dataclasses
import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.acceptance.chaos.findings import Invariant
from tests.acceptance.chaos.history import Disturbance, Execution, History, Period
from tests.acceptance.chaos.oracle import judge
from tests.support.forged_histories import (
    GOOD,
    LEASE_SECONDS,
    MADE_AT,
    broken,
    details,
    execution,
    instant,
    of,
    planned,
    skipped,
    with_,
)

MINUTE = 60


def undisturbed(job_policy: dict[str, Any], executions: list[Execution], **fields: Any) -> History:
    return of(planned(len(executions), **job_policy), executions, **fields)


def every_second(reason: str, *, of_two: int = 1, **policy: Any) -> History:
    """A minute in which every second occurrence (or each) is skipped, though each call takes 10 ms and nothing is
    disturbed.
    """
    return undisturbed(
        policy,
        [
            skipped(str(number), reason) if number % 2 < of_two else execution(str(number))
            for number in range(1, MINUTE + 1)
        ],
    )


# -- overlap -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_overlap_without_a_running_execution_is_found(overlap: str):
    history = undisturbed({"overlap": overlap}, [skipped(str(number), "overlap") for number in range(1, MINUTE + 1)])
    assert broken(history) == {Invariant.SKIPPED}
    assert len(judge(history)) == MINUTE


def test_a_long_overlap_without_a_running_execution_is_found():
    history = undisturbed({"overlap": "skip"}, [execution(str(number)) for number in range(1, MINUTE + 1)])
    stretch = skipped("11", "overlap", count=40)
    others = [one for one in history.executions if int(one.id) < 11 or int(one.id) > 50]
    history = of(planned(MINUTE, overlap="skip"), [*others, stretch])
    assert broken(history) == {Invariant.SKIPPED}
    # An execution that just ended may have been recorded a moment later; the next one did not exist yet.
    assert len(judge(history)) >= 30


@pytest.mark.parametrize("overlap", ["skip", "queue"])
@pytest.mark.parametrize("took", [0.001, 0.1, 0.4])
@pytest.mark.parametrize("troubled", [False, True])
def test_overlap_with_executions_that_ended_long_before_is_found(overlap: str, took: float, troubled: bool):
    """Also between two faults, each of which excuses only ends during it."""
    executions = [
        skipped(str(number), "overlap")
        if number % 2
        else execution(str(number), finished_at=instant(str(number)) + took)
        for number in range(1, MINUTE + 1)
    ]
    faults = [Disturbance(instant(at), instant(at) + 1, "a fault") for at in ("1", "30")] if troubled else []
    history = undisturbed({"overlap": overlap}, executions, disturbances=faults)
    assert broken(history) == {Invariant.SKIPPED}
    assert len(judge(history)) > MINUTE / 2 - 8


def test_one_end_recorded_late_passes():
    executions = [execution(str(number), finished_at=instant(str(number)) + 0.1) for number in range(1, MINUTE + 1)]
    executions[30] = skipped("31", "overlap")
    assert broken(undisturbed({"overlap": "skip"}, executions)) == set()


def test_overlap_during_a_running_execution_passes():
    """Calls of 2.5 seconds every second: two of three are skipped."""
    executions = []
    for number in range(1, MINUTE + 1, 3):
        executions.append(execution(str(number), finished_at=instant(str(number)) + 2.5))
        executions.append(skipped(str(number + 1), "overlap"))
        executions.append(skipped(str(number + 2), "overlap"))
    assert broken(undisturbed({"overlap": "skip"}, executions)) == set()


def test_overlap_of_many_decided_at_once_passes():
    """After an outage: the first starts, the others overlap with it, at the same instant."""
    outage = [Disturbance(instant("1"), instant("20"), "no clock")]
    at = instant("20") + 0.1
    first = execution("1", created_at=at, finished_at=at + 0.1)
    rest = skipped("2", "overlap", count=19, created_at=at)
    history = of(planned(20, overlap="skip", misfire="fire_all"), [first, rest], disturbances=outage)
    assert Invariant.SKIPPED not in broken(history)


def test_overlap_of_a_job_that_allows_it_is_found():
    executions = [execution("1", finished_at=instant("1") + 2.5), skipped("2", "overlap")]
    assert broken(undisturbed({"overlap": "allow"}, executions)) == {Invariant.SKIPPED}


@pytest.mark.parametrize("other", ["another job", "another skip"])
def test_overlap_with_another_jobs_execution_is_found(other: str):
    history = undisturbed({"overlap": "skip"}, [skipped("1", "overlap"), execution("2")])
    lasting = execution("hand", created_at=instant("1") - 5, finished_at=instant("1") + 50)
    fields = {"job": "other"} if other == "another job" else {"status": "skipped", "skip_reason": "overlap"}
    history = with_(history, executions=[*history.executions, dataclasses.replace(lasting, **fields)])
    assert any("nothing of that job" in detail for detail in details(history))


# -- missed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("misfire", ["fire_once", "fire_all", "skip"])
@pytest.mark.parametrize("of_two", [1, 2])
@pytest.mark.parametrize("late", [0.005, 0.9, 1.5, 40.0, 3700.0])
def test_missed_in_calm_is_found(misfire: str, of_two: int, late: float):
    """However late it claims to have been decided: nothing delayed the clock."""
    history = every_second("missed", of_two=of_two, misfire=misfire)
    executions = [
        dataclasses.replace(one, created_at=instant(one.id) + late) if one.skip_reason else one
        for one in history.executions
    ]
    assert Invariant.SKIPPED in broken(with_(history, executions=executions))


def test_a_long_missed_range_in_calm_is_found():
    stretch = skipped("1", "missed", count=MINUTE)
    assert broken(of(planned(MINUTE), [stretch])) == {Invariant.SKIPPED}


def after_outage(policy: dict[str, Any], *, missed: int, seconds: int = 20, grace: int = 3600) -> History:
    """The clock was away from second 1 to second 20, then decided: the first ones were missed, the rest fired."""
    at = instant(str(seconds)) + 0.2
    row = skipped("1", "missed", count=missed, created_at=at)
    fired = [execution(str(number), created_at=at, finished_at=at + 0.1) for number in range(missed + 1, seconds + 1)]
    history = of(planned(seconds, misfire_grace_seconds=grace, **policy), [row, *fired])
    exchanges = [dataclasses.replace(one, at=at + 0.01, answered_at=at + 0.02) for one in history.exchanges]
    return with_(
        history, exchanges=exchanges, disturbances=[Disturbance(instant("1"), instant(str(seconds)), "no clock")]
    )


def test_after_an_outage_only_the_newest_fires():
    assert broken(after_outage({}, missed=19)) == set()


def test_fire_all_may_miss_nothing_within_its_grace():
    assert broken(after_outage({"misfire": "fire_all"}, missed=19)) == {Invariant.SKIPPED}
    assert broken(after_outage({"misfire": "fire_all"}, missed=15, grace=5)) == set()


def test_a_miss_beyond_the_grace_passes():
    late = skipped("1", "missed", created_at=instant("1") + 1.4)
    assert broken(undisturbed({"misfire_grace_seconds": 1}, [late, execution("2")])) == set()


@given(seconds=st.integers(2, 90), missed=st.integers(1, 89))
def test_an_outage_excuses_all_but_the_newest(seconds: int, missed: int):
    missed = min(missed, seconds - 1)
    assert Invariant.SKIPPED not in broken(after_outage({}, missed=missed, seconds=seconds))
    quiet = with_(after_outage({}, missed=missed, seconds=seconds), disturbances=[])
    assert Invariant.SKIPPED in broken(quiet)


def test_an_old_disturbance_excuses_no_miss():
    history = after_outage({}, missed=19)
    long_ago = Disturbance(instant("1") - 500, instant("1") - 400, "no clock")
    later = Disturbance(instant("1") + 500, instant("1") + 600, "no clock")
    assert Invariant.SKIPPED in broken(with_(history, disturbances=[long_ago, later]))


# -- paused, ended, and the rest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["paused", "ended", "quota", "dst_gap", "bored"])
@pytest.mark.parametrize("of_two", [1, 2])
def test_a_reason_without_its_cause_is_found(reason: str, of_two: int):
    """The job is paused only at the end: only the last seconds before that may be."""
    history = every_second(reason, of_two=of_two)
    assert Invariant.SKIPPED in broken(history)
    assert len([one for one in judge(history) if one.invariant is Invariant.SKIPPED]) > MINUTE * of_two / 2 - 5


def test_occurrences_during_a_pause_are_paused():
    paused, ended = MADE_AT, MADE_AT + datetime.timedelta(seconds=5)
    job = dataclasses.replace(
        planned(5), periods=(Period("paused", paused, ended, 1), Period("paused", ended, None, 2))
    )
    row = skipped("1", "paused", count=5, created_at=ended.timestamp() + 0.3)
    assert broken(of(job, [row])) == set()


def test_occurrences_due_before_a_pause_may_be_paused():
    """Due 20 ms before the pause, and not fired yet."""
    row = skipped("3", "paused", created_at=instant("3") + 0.5)
    job = planned(3)
    active, after = job.periods
    moved = dataclasses.replace(active, until=datetime.datetime.fromtimestamp(instant("3") + 0.02, datetime.UTC))
    job = dataclasses.replace(job, periods=(moved, dataclasses.replace(after, since=moved.until)))
    history = of(job, [execution("1"), execution("2"), row])
    assert broken(history) == set()
    early = dataclasses.replace(row, created_at=instant("3") - 5)
    assert Invariant.SKIPPED in broken(of(job, [execution("1"), execution("2"), early]))


@pytest.mark.parametrize(("status", "reason"), [("skipped", ""), ("succeeded", "overlap"), ("failed", "missed")])
def test_only_skipped_executions_have_a_reason(status: str, reason: str):
    wrong = dataclasses.replace(GOOD.executions[0], status=status, skip_reason=reason)
    assert Invariant.SKIPPED in broken(with_(GOOD, executions=[wrong, *GOOD.executions[1:]]))


def test_an_execution_runs_until_its_end_is_recorded():
    """The database was away as a call ended, so its end was unknown and the next ones overlapped with it."""
    gone = [Disturbance(instant("2"), instant("9"), "no database")]
    first = execution("1", finished_at=instant("2") + 0.1)
    overlapped = [skipped(str(number), "overlap", created_at=instant("9") + 0.2) for number in range(2, 10)]
    history = of(planned(9, overlap="skip"), [first, *overlapped], disturbances=gone, lease_seconds=LEASE_SECONDS)
    assert Invariant.SKIPPED not in broken(history)
