"""The chaos oracle on constructed histories: a correct one passes, and each violation is named.

Skips and promises have tests of their own: test_skips.py, test_promises.py.
"""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.acceptance.chaos.history import Disturbance, History, Job, Overdue, Period, Stall
from tests.acceptance.chaos.oracle import Invariant, doubled, judge
from tests.support.forged_histories import (
    GOOD,
    HAND_AT,
    JOB,
    LEASE_SECONDS,
    MADE_AT,
    PAUSE,
    PAUSED_AT,
    PID,
    SECONDS,
    broken,
    exchange,
    execution,
    instant,
    lost_run,
    run,
    skipped,
    with_,
)

HOUR = 3600.0
#: When the first attempt of the first execution was reaped, and the second sent.
REAPED_AT, AGAIN_AT = instant("1") + 15, instant("1") + 16
TROUBLE = [Disturbance(instant("1"), AGAIN_AT, "a fault")]


def killed(after: float) -> Stall:
    """The worker of the first execution, killed this long after it was due."""
    return Stall(PID, instant("1") + after, None, "killed")


def stopped(after: float, seconds: float) -> Stall:
    return Stall(PID, instant("1") + after, instant("1") + after + seconds, "stopped")


def lost_and_found(stalls: Sequence[Stall], **seen: Any) -> History:
    """The first execution was called twice: its first run was lost."""
    return retried(first=lost_run("1"), seen=seen, stalls=stalls)


def retried(*, first: Any, seen: dict[str, Any], **fields: Any) -> History:
    """The first execution was tried twice: what its first run says, and what the target had answered to it."""
    again = run("1", 2, started_at=AGAIN_AT - 0.5, finished_at=AGAIN_AT + 0.1)
    return with_(
        GOOD,
        executions=[execution("1", attempts=2, finished_at=AGAIN_AT + 0.1), *GOOD.executions[1:]],
        runs=[first, again, *GOOD.runs[1:]],
        exchanges=[exchange("1", 1, **seen), exchange("1", 2, at=AGAIN_AT), *GOOD.exchanges[1:]],
        **{"disturbances": TROUBLE, **fields},
    )


REFUSED = run("1", 1, status="failed", failure_reason="http_server_error", response_status=503)


def test_a_correct_history_passes():
    assert judge(GOOD) == []
    assert doubled(GOOD) == set()


def test_a_job_without_executions_and_an_empty_database_pass():
    idle = dataclasses.replace(JOB, id="idle", slug="idle", periods=(Period("active", MADE_AT, None, None),))
    assert judge(with_(GOOD, jobs=[JOB, idle])) == []
    assert judge(History(jobs=[], executions=[], runs=[], exchanges=[])) == []


def test_a_call_that_the_target_failed_may_be_retried():
    assert judge(retried(first=REFUSED, seen={"status": 503})) == []
    assert doubled(retried(first=REFUSED, seen={"status": 503})) == set()


# -- called again ------------------------------------------------------------------------------------------------------

EXCUSED = {
    "killed while it called": killed(0.02),
    "killed as the claim was committed": killed(0.006),
    "killed an instant before its own clock says it claimed": killed(-0.2),
    "killed after it was answered and before that was recorded": killed(5.0),
    "stopped past its lease": stopped(0.02, 14.0),
    "stopped past its lease, and on again just before the reaper came": stopped(0.0, 13.0),
    "stopped for as long as a lease that was not quite fresh": stopped(1.0, 10.1),
}
NOT_EXCUSED = {
    "nobody": None,
    "stopped for less than a lease": stopped(0.02, 4.0),
    "stopped for less than a lease, just before it was reaped": stopped(7.0, 4.0),
    "stopped past its lease, and on again for a while as it was reaped": stopped(0.02, 8.0),
    "stopped an hour earlier": stopped(-HOUR, 14.0),
    "stopped an hour later": stopped(HOUR, 14.0),
    "stopped past its lease, and long on again": stopped(-20.0, 14.0),
    "killed an hour earlier: another process has its number": killed(-HOUR),
    "killed just before": killed(-2.0),
    "killed once it was reaped": killed(17.0),
    "stopped so late that no lease had expired as it was reaped": stopped(13.0, 14.0),
    "another worker": dataclasses.replace(killed(0.02), pid=7),
}


@pytest.mark.parametrize("stall", EXCUSED.values(), ids=EXCUSED.keys())
def test_an_attempt_of_a_dead_or_stalled_worker_may_arrive_twice(stall: Stall):
    history = lost_and_found([stall])
    assert judge(history) == []
    assert doubled(history) == {"1"}


@pytest.mark.parametrize("stall", NOT_EXCUSED.values(), ids=NOT_EXCUSED.keys())
def test_an_attempt_of_a_living_worker_may_not_arrive_twice(stall: Stall | None):
    assert Invariant.NONE_DOUBLED in broken(lost_and_found([stall] if stall else []))


@pytest.mark.parametrize("stall", NOT_EXCUSED.values(), ids=NOT_EXCUSED.keys())
def test_a_living_workers_attempt_is_never_lost_even_if_uncalled(stall: Stall | None):
    history = lost_and_found([stall] if stall else [])
    unseen = with_(history, exchanges=[one for one in history.exchanges if (one.execution, one.attempt) != ("1", 1)])
    assert Invariant.NONE_DOUBLED in broken(unseen)


@given(since=st.floats(-100, 100), seconds=st.floats(0, 60))
def test_a_pause_excuses_only_attempts_reaped_during_it_or_just_after(since: float, seconds: float):
    """Whatever the pause: outside it, or if it is shorter than two thirds of a lease, no attempt is lost."""
    found = broken(lost_and_found([stopped(since, seconds)]))
    overlaps = since <= 15.0 and since + seconds >= 15.0 - 6.0
    if seconds < LEASE_SECONDS / 2 or not overlaps:
        assert Invariant.NONE_DOUBLED in found
    if seconds > LEASE_SECONDS and since <= 15.0 - LEASE_SECONDS and since + seconds >= 15.0:
        assert Invariant.NONE_DOUBLED not in found


def test_no_attempt_starts_while_the_target_handles_the_previous_one():
    """The target answers with an error, but only after the next attempt arrived: nobody could know."""
    late = {"status": 503, "answered_at": AGAIN_AT + 5}
    assert Invariant.NONE_DOUBLED in broken(retried(first=REFUSED, seen=late))


def third_after(second_run: Any, third_run: Any, stalls: Sequence[Stall]) -> History:
    """The worker of attempt 1 was paused; attempt 2 was answered 200, and there was a third."""
    third_at = AGAIN_AT + 10
    return with_(
        GOOD,
        executions=[execution("1", attempts=3, finished_at=third_at + 0.1), *GOOD.executions[1:]],
        runs=[lost_run("1"), second_run, third_run, *GOOD.runs[1:]],
        exchanges=[
            exchange("1", 1),
            exchange("1", 2, at=AGAIN_AT),
            exchange("1", 3, at=third_at),
            *GOOD.exchanges[1:],
        ],
        stalls=stalls,
        disturbances=[Disturbance(instant("1"), third_at, "a fault")],
    )


def test_a_third_attempt_after_an_answered_second_is_found():
    """The same worker: an excuse for attempt 1 is none for another."""
    second = run("1", 2, status="failed", failure_reason="unknown", response_status=None, response_body=None)
    found = broken(third_after(second, run("1", 3), [stopped(0.02, 14.0)]))
    assert {Invariant.NONE_DOUBLED, Invariant.RECORDED} <= found
    lost = lost_run("1", 2, started_at=AGAIN_AT - 0.5, finished_at=AGAIN_AT + 9)
    assert Invariant.NONE_DOUBLED in broken(third_after(lost, run("1", 3), [stopped(0.02, 14.0)]))
    killed_then = Stall(PID, AGAIN_AT + 1, None, "killed")
    assert broken(third_after(lost, run("1", 3), [stopped(0.02, 14.0), killed_then])) == set()


def test_an_exchange_recorded_in_another_attempts_run_is_found():
    second = run("1", 2, status="failed", failure_reason="worker_lost", response_status=None, response_body=None)
    third = run("1", 3, response_body="token 1 2")
    assert Invariant.ONE_ROW in broken(third_after(second, third, [stopped(0.02, 14.0)]))


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
@pytest.mark.parametrize("another", [{"response_body": "token 1 2"}, {"request_body": "x"}, {"response_status": 201}])
def test_a_run_must_have_its_own_attempts_exchange(status: str, another: dict[str, Any]):
    """Even for lost or canceled runs: a recorded answer is the run's own."""
    lost = lost_run("1", status=status, response_status=200, response_body="token 1 1")
    assert Invariant.ONE_ROW in broken(retried(first=dataclasses.replace(lost, **another), seen={}, stalls=[killed(1)]))


@given(st.permutations(range(3)))
def test_rows_and_exchanges_are_one_to_one(order: list[int]):
    """Any other pairing of runs and exchanges than the true one is found."""
    runs = [
        dataclasses.replace(one, response_body=GOOD.exchanges[other].token)
        for one, other in zip(GOOD.runs, order, strict=True)
    ]
    assert (Invariant.ONE_ROW in broken(with_(GOOD, runs=runs))) == (order != sorted(order))


# -- everything else ---------------------------------------------------------------------------------------------------


def test_an_edit_moves_the_occurrences_from_its_instant_on():
    edited = Job(
        "job",
        "steady",
        "default",
        MADE_AT,
        (
            Period("active", MADE_AT, PAUSED_AT, 1),
            Period("active", PAUSED_AT, PAUSED_AT + datetime.timedelta(seconds=2), 2),
            Period("paused", PAUSED_AT + datetime.timedelta(seconds=2), None, 2),
        ),
    )
    assert [at for at, _ in edited.planned()] == [SECONDS[1], SECONDS[2], SECONDS[4]]


def _without_the_second() -> History:
    return with_(GOOD, executions=GOOD.executions[::2], runs=GOOD.runs[::2], exchanges=GOOD.exchanges[::2])


def _with_execution(**fields: Any) -> History:
    return with_(GOOD, executions=[dataclasses.replace(GOOD.executions[0], **fields), *GOOD.executions[1:]])


def _with_run(**fields: Any) -> History:
    return with_(GOOD, runs=[dataclasses.replace(GOOD.runs[0], **fields), *GOOD.runs[1:]])


def _with_exchange(**fields: Any) -> History:
    return with_(GOOD, exchanges=[dataclasses.replace(GOOD.exchanges[0], **fields), *GOOD.exchanges[1:]])


def _and(key: str, **fields: Any) -> History:
    """One more execution, with its run and call."""
    return with_(
        GOOD,
        executions=[*GOOD.executions, execution(key, **fields)],
        runs=[*GOOD.runs, run(key)],
        exchanges=[*GOOD.exchanges, exchange(key)],
    )


WRONG: dict[str, tuple[Invariant, Callable[[], History]]] = {
    "an occurrence that nothing records": (Invariant.RECONCILED, _without_the_second),
    "an occurrence that is recorded twice": (
        Invariant.RECONCILED,
        lambda: _and("4", scheduled_for=SECONDS[2]),
    ),
    "a stretch that counts too many": (
        Invariant.RECONCILED,
        lambda: _with_execution(status="skipped", skip_reason="missed", occurrences=3, last=SECONDS[1]),
    ),
    "one that was never planned": (Invariant.RECONCILED, lambda: _and("5")),
    "one that fired while its job was paused": (
        Invariant.RECONCILED,
        lambda: with_(
            GOOD,
            jobs=[
                dataclasses.replace(
                    JOB, periods=(Period("paused", MADE_AT, PAUSED_AT, 1), Period("disabled", PAUSED_AT, None, 1))
                )
            ],
            changes=[dataclasses.replace(PAUSE, wanted="disabled")],
        ),
    ),
    "a call before its time": (Invariant.RECONCILED, lambda: _with_exchange(at=SECONDS[1].timestamp() - 0.2)),
    "a plan that nobody asked for": (Invariant.RECONCILED, lambda: with_(GOOD, changes=[])),
    "a pause that was confirmed and is not in force": (
        Invariant.RECONCILED,
        lambda: with_(GOOD, changes=[PAUSE, dataclasses.replace(PAUSE, wanted="ended")]),
    ),
    "a success that the target never saw": (Invariant.NONE_LOST, lambda: with_(GOOD, exchanges=GOOD.exchanges[1:])),
    "an answer that was never given": (Invariant.NONE_LOST, lambda: _with_exchange(answered_at=None)),
    "a failure that nobody caused": (
        Invariant.NONE_LOST,
        lambda: with_(
            _with_execution(status="failed"),
            runs=[run("1", status="failed", failure_reason="timeout"), *GOOD.runs[1:]],
        ),
    ),
    "a failure of what never arrived": (
        Invariant.NONE_LOST,
        lambda: with_(
            _with_execution(status="failed"),
            runs=[
                run("1", status="failed", failure_reason="timeout", response_status=None, response_body=None),
                *GOOD.runs[1:],
            ],
            exchanges=GOOD.exchanges[1:],
        ),
    ),
    "a failure with its worker, which lived": (
        Invariant.NONE_LOST,
        lambda: with_(_with_execution(status="failed"), runs=[lost_run("1"), *GOOD.runs[1:]]),
    ),
    "a call of what was skipped": (
        Invariant.NONE_LOST,
        lambda: _with_execution(status="skipped", skip_reason="overlap"),
    ),
    "a cancel of a job that was never deleted": (Invariant.NONE_LOST, lambda: _with_execution(status="canceled")),
    "one that the API confirmed and that is gone": (
        Invariant.BY_HAND,
        lambda: with_(GOOD, asked=frozenset({"hand", "gone"})),
    ),
    "an attempt that arrived twice": (
        Invariant.NONE_DOUBLED,
        lambda: with_(GOOD, exchanges=[*GOOD.exchanges, exchange("1", token="another")]),
    ),
    "a second attempt after a success": (
        Invariant.NONE_DOUBLED,
        lambda: retried(first=run("1"), seen={}),
    ),
    "a second attempt after an attempt without a row": (
        Invariant.NONE_DOUBLED,
        lambda: retried(first=run("2", 9), seen={}, stalls=[killed(0.02)]),
    ),
    "an execution without an end": (Invariant.TERMINAL, lambda: _with_execution(status="running")),
    "a run without an end": (Invariant.TERMINAL, lambda: _with_run(status="running")),
    "a lease that nobody reaped": (Invariant.LEASES, lambda: with_(GOOD, overdue=[Overdue("1", 31.0)])),
    "an exchange without a run": (Invariant.ONE_ROW, lambda: with_(GOOD, runs=GOOD.runs[1:])),
    "two runs for one exchange": (Invariant.ONE_ROW, lambda: with_(GOOD, runs=[*GOOD.runs, run("1")])),
    "one exchange in the rows of two attempts": (
        Invariant.ONE_ROW,
        lambda: with_(GOOD, runs=[*GOOD.runs, run("1", 2, response_body="token 1 1")]),
    ),
    "a run that tells another answer": (Invariant.ONE_ROW, lambda: _with_run(response_body="token 2 1")),
    "a run that tells another request": (Invariant.ONE_ROW, lambda: _with_run(request_body="")),
    "a run that tells another status": (Invariant.ONE_ROW, lambda: _with_run(response_status=503)),
    "a run of what never was": (Invariant.ONE_ROW, lambda: _with_run(response_body="invented")),
    "a run that tells nothing of its answer": (
        Invariant.RECORDED,
        lambda: _with_run(response_status=None, response_body=None),
    ),
    "a success that is told as a failure": (
        Invariant.RECORDED,
        lambda: _with_run(status="failed", failure_reason="timeout"),
    ),
    "an attempt without a run": (Invariant.RECORDED, lambda: _with_execution(attempts=2)),
    "a step that the protocol does not know": (
        Invariant.PROTOCOL,
        lambda: with_(GOOD, steps_unknown=["1: succeeded -> pending"]),
    ),
    "a secret in a row": (Invariant.SECRETS, lambda: with_(GOOD, secrets_seen=["runs_run 1"])),
    "an execution in another's workspace": (Invariant.APART, lambda: _with_execution(workspace="other")),
    "a run in another's workspace": (Invariant.APART, lambda: _with_run(workspace="other")),
    "a call of another's endpoint": (Invariant.APART, lambda: _with_exchange(workspace="other")),
    "a row that another's key sees": (Invariant.APART, lambda: with_(GOOD, strangers_seen=["other sees 1"])),
    "a skip without a cause": (Invariant.SKIPPED, lambda: with_(GOOD, executions=[skipped("1", "quota")])),
    "two calls of a job that allows one": (
        Invariant.OVERLAP,
        lambda: with_(
            _with_exchange(answered_at=instant("1") + 1.5),
            jobs=[
                dataclasses.replace(
                    JOB, periods=tuple(dataclasses.replace(one, overlap="queue") for one in JOB.periods)
                )
            ],
        ),
    ),
    "more calls at once than the job allows": (
        Invariant.CONCURRENCY,
        lambda: with_(
            _with_exchange(answered_at=HAND_AT + 5),
            jobs=[
                dataclasses.replace(JOB, periods=tuple(dataclasses.replace(one, concurrency=1) for one in JOB.periods))
            ],
        ),
    ),
    "a call an hour late": (
        Invariant.PUNCTUAL,
        lambda: _with_exchange(at=instant("1") + HOUR, answered_at=instant("1") + HOUR + 0.01),
    ),
}


@pytest.mark.parametrize(("invariant", "history"), WRONG.values(), ids=WRONG.keys())
def test_each_violation_is_reported_by_name(invariant: Invariant, history: Callable[[], History]):
    assert invariant in broken(history())


def test_every_rule_has_a_history_that_violates_it():
    assert {invariant for invariant, _ in WRONG.values()} == set(Invariant)
