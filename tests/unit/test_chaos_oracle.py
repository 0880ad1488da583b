"""The judge of the storms, on made-up histories: a good one passes, and what is wrong with every other is named."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.chaos.history import Change, Exchange, Execution, History, Job, Overdue, Period, Run
from tests.acceptance.chaos.oracle import Invariant, doubled, judge

MADE_AT = datetime.datetime(2026, 3, 1, 12, 0, 0, 400_000, tzinfo=datetime.UTC)
#: Then the job was paused: its plan is over, after two occurrences.
PAUSED_AT = MADE_AT + datetime.timedelta(seconds=2)
SECONDS = [MADE_AT.replace(microsecond=0) + datetime.timedelta(seconds=number) for number in range(6)]
WORKER = "worker-1@host/4242/abcd"


def execution(key: str, **fields: Any) -> Execution:
    at = SECONDS[int(key)] if key.isdigit() else None
    told: dict[str, Any] = {
        "job": "job", "workspace": "default", "trigger": "schedule" if at else "manual", "status": "succeeded",
        "scheduled_for": at, "last": None, "occurrences": 1, "skip_reason": "", "attempts": 1,
    }  # fmt: skip
    return Execution(key, **{**told, **fields})


def run(key: str, number: int = 1, **fields: Any) -> Run:
    told: dict[str, Any] = {
        "workspace": "default", "status": "succeeded", "failure_reason": "", "worker": "worker-1@host",
        "request_body": f"body of {key}", "response_status": 200, "response_body": f"token {key} {number}",
    }  # fmt: skip
    return Run(key, number, **{**told, **fields})


def exchange(key: str, attempt: int = 1, **fields: Any) -> Exchange:
    at = SECONDS[int(key)].timestamp() if key.isdigit() else None
    told: dict[str, Any] = {
        "at": (at or 0) + 0.01, "workspace": "default", "job": "steady", "scheduled_for": at,
        "body": f"body of {key}", "status": 200, "token": f"token {key} {attempt}", "answered": True,
    }  # fmt: skip
    return Exchange(execution=key, attempt=attempt, **{**told, **fields})


LOST = {
    "status": "failed",
    "failure_reason": "worker_lost",
    "worker": WORKER,
    "response_status": None,
    "response_body": None,
}
JOB = Job(
    "job",
    "steady",
    "default",
    MADE_AT,
    (Period("active", MADE_AT, PAUSED_AT, 1), Period("paused", PAUSED_AT, None, 1)),
)
PAUSE = Change("steady", "paused", PAUSED_AT, PAUSED_AT + datetime.timedelta(milliseconds=5), confirmed=True)
GOOD = History(
    jobs=[JOB],
    executions=[execution("1"), execution("2"), execution("hand")],
    runs=[run("1"), run("2"), run("hand")],
    exchanges=[exchange("1"), exchange("2"), exchange("hand")],
    asked=frozenset({"hand"}),
    changes=[PAUSE],
)


def with_(history: History, **fields: Any) -> History:
    return dataclasses.replace(history, **fields)


def retried(*, first: dict[str, Any], seen: dict[str, Any], lost_workers: frozenset[int] = frozenset()) -> History:
    """The first execution was tried twice: what its first run says, and what the target had answered to it."""
    return with_(
        GOOD,
        executions=[execution("1", attempts=2), *GOOD.executions[1:]],
        runs=[run("1", 1, **first), run("1", 2), *GOOD.runs[1:]],
        exchanges=[exchange("1", 1, **seen), exchange("1", 2), *GOOD.exchanges[1:]],
        lost_workers=lost_workers,
    )


def test_a_history_in_which_all_is_well_passes():
    assert judge(GOOD) == []
    assert doubled(GOOD) == set()


def test_what_a_killed_worker_held_may_arrive_twice():
    history = retried(first=LOST, seen={}, lost_workers=frozenset({4242}))
    assert judge(history) == []
    assert doubled(history) == {"1"}


def test_what_the_target_refused_may_be_tried_again():
    refused = {"status": "failed", "failure_reason": "http_server_error", "response_status": 503}
    assert judge(retried(first=refused, seen={"status": 503})) == []
    assert doubled(retried(first=refused, seen={"status": 503})) == set()


def test_a_stretch_that_was_missed_counts_each_of_its_occurrences():
    missed = execution("1", status="skipped", skip_reason="missed", last=SECONDS[2], occurrences=2, attempts=0)
    history = with_(GOOD, executions=[missed, execution("hand")], runs=[run("hand")], exchanges=[exchange("hand")])
    assert judge(history) == []


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


WRONG: dict[str, tuple[Invariant, Callable[[], History]]] = {
    "an occurrence that nothing records": (Invariant.RECONCILED, _without_the_second),
    "an occurrence that is recorded twice": (
        Invariant.RECONCILED,
        lambda: with_(
            GOOD,
            executions=[*GOOD.executions, dataclasses.replace(execution("2"), id="4")],
            runs=[*GOOD.runs, run("4")],
            exchanges=[*GOOD.exchanges, exchange("4")],
        ),
    ),
    "a stretch that counts too many": (
        Invariant.RECONCILED,
        lambda: _with_execution(status="skipped", skip_reason="missed", occurrences=3, last=SECONDS[1]),
    ),
    "one that was never planned": (
        Invariant.RECONCILED,
        lambda: with_(
            GOOD,
            executions=[*GOOD.executions, execution("5")],
            runs=[*GOOD.runs, run("5")],
            exchanges=[*GOOD.exchanges, exchange("5")],
        ),
    ),
    "one that fired while its job was paused": (
        Invariant.RECONCILED,
        lambda: with_(
            GOOD,
            jobs=[
                dataclasses.replace(
                    JOB,
                    periods=(
                        Period("paused", MADE_AT, PAUSED_AT, 1),
                        Period("disabled", PAUSED_AT, None, 1),
                    ),
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
    "a success that the target never saw": (
        Invariant.NONE_LOST,
        lambda: with_(GOOD, exchanges=GOOD.exchanges[1:]),
    ),
    "an answer that was never given": (Invariant.NONE_LOST, lambda: _with_exchange(answered=False)),
    "a failure that nobody caused": (
        Invariant.NONE_LOST,
        lambda: with_(
            _with_execution(status="failed"),
            runs=[run("1", status="failed", failure_reason="timeout"), *GOOD.runs[1:]],
        ),
    ),
    "a call of what was skipped": (
        Invariant.NONE_LOST,
        lambda: _with_execution(status="skipped", skip_reason="overlap"),
    ),
    "a cancel of a job that was never deleted": (Invariant.NONE_LOST, lambda: _with_execution(status="canceled")),
    "one that the API confirmed and that is gone": (
        Invariant.NONE_LOST,
        lambda: with_(GOOD, asked=frozenset({"hand", "gone"})),
    ),
    "an attempt that arrived twice": (
        Invariant.NONE_DOUBLED,
        lambda: with_(GOOD, exchanges=[*GOOD.exchanges, exchange("1", token="another")]),
    ),
    "a second attempt though the worker of the first lives": (
        Invariant.NONE_DOUBLED,
        lambda: retried(first=LOST, seen={}, lost_workers=frozenset({7})),
    ),
    "a second attempt after a success": (Invariant.NONE_DOUBLED, lambda: retried(first={}, seen={})),
    "an execution without an end": (Invariant.TERMINAL, lambda: _with_execution(status="running")),
    "a run without an end": (Invariant.TERMINAL, lambda: _with_run(status="running")),
    "a lease that nobody reaped": (Invariant.LEASES, lambda: with_(GOOD, overdue=[Overdue("1", 31.0)])),
    "an exchange without a run": (Invariant.RECORDED, lambda: with_(GOOD, runs=GOOD.runs[1:])),
    "a run that tells another answer": (Invariant.RECORDED, lambda: _with_run(response_body="token 2 1")),
    "a run that tells another request": (Invariant.RECORDED, lambda: _with_run(request_body="")),
    "a run of what never was": (Invariant.RECORDED, lambda: _with_run(response_body="invented")),
    "an attempt without a run": (Invariant.RECORDED, lambda: _with_execution(attempts=2)),
    "a secret in a row": (Invariant.SECRETS, lambda: with_(GOOD, secrets_seen=["runs_run 1"])),
    "an execution in another's workspace": (Invariant.APART, lambda: _with_execution(workspace="other")),
    "a run in another's workspace": (Invariant.APART, lambda: _with_run(workspace="other")),
    "a call of another's endpoint": (Invariant.APART, lambda: _with_exchange(workspace="other")),
    "a row that another's key sees": (Invariant.APART, lambda: with_(GOOD, strangers_seen=["other sees 1"])),
}


@pytest.mark.parametrize(("invariant", "history"), WRONG.values(), ids=WRONG.keys())
def test_a_history_is_refused_by_name(invariant: Invariant, history: Callable[[], History]):
    assert invariant in {finding.invariant for finding in judge(history())}


def test_every_invariant_has_a_history_that_breaks_it():
    assert {invariant for invariant, _ in WRONG.values()} == set(Invariant)
