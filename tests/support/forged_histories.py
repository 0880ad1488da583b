"""Hand-made histories for tests of the chaos oracle: a valid one, and parts for others."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from tests.acceptance.chaos.findings import Invariant
from tests.acceptance.chaos.history import Change, Exchange, Execution, History, Job, Period, Run
from tests.acceptance.chaos.oracle import judge

MADE_AT = datetime.datetime(2026, 3, 1, 12, 0, 0, 400_000, tzinfo=datetime.UTC)
#: The job is paused then, after two occurrences.
PAUSED_AT = MADE_AT + datetime.timedelta(seconds=2)
SECONDS = [MADE_AT.replace(microsecond=0) + datetime.timedelta(seconds=number) for number in range(6)]
PID = 4242
WORKER = f"worker-1@host/{PID}/abcd"
HAND_AT = MADE_AT.timestamp() + 0.5
LEASE_SECONDS = 10.0


def second(key: str) -> datetime.datetime | None:
    """Return the occurrence of the execution with this id; None: a manual one."""
    return SECONDS[0] + datetime.timedelta(seconds=int(key)) if key.isdigit() else None


def instant(key: str) -> float:
    at = second(key)
    return at.timestamp() if at else HAND_AT


def execution(key: str, **fields: Any) -> Execution:
    at = second(key)
    columns: dict[str, Any] = {
        "job": "job", "workspace": "default", "trigger": "schedule" if at else "manual", "status": "succeeded",
        "scheduled_for": at, "last": None, "occurrences": 1, "skip_reason": "", "attempts": 1,
        "created_at": instant(key) + 0.005, "finished_at": instant(key) + 0.1,
    }  # fmt: skip
    return Execution(key, **{**columns, **fields})


def skipped(key: str, reason: str, *, count: int = 1, **fields: Any) -> Execution:
    at = second(key)
    last = at + datetime.timedelta(seconds=count - 1) if at and count > 1 else None
    columns: dict[str, Any] = {
        "status": "skipped", "skip_reason": reason, "attempts": 0, "last": last, "occurrences": count,
        "created_at": instant(key) + 0.005, "finished_at": instant(key) + 0.005,
    }  # fmt: skip
    return execution(key, **{**columns, **fields})


def run(key: str, number: int = 1, **fields: Any) -> Run:
    columns: dict[str, Any] = {
        "workspace": "default", "status": "succeeded", "failure_reason": "", "worker": "worker-1@host",
        "request_body": f"body of {key}", "response_status": 200, "response_body": f"token {key} {number}",
        "started_at": instant(key) + 0.005, "finished_at": instant(key) + 0.1,
    }  # fmt: skip
    return Run(key, number, **{**columns, **fields})


def lost_run(key: str, number: int = 1, **fields: Any) -> Run:
    """A run as the reaper records it, 15 seconds after the claim."""
    columns: dict[str, Any] = {
        "status": "failed", "failure_reason": "worker_lost", "worker": WORKER, "response_status": None,
        "response_body": None, "started_at": instant(key) + 0.005, "finished_at": instant(key) + 15,
    }  # fmt: skip
    return run(key, number, **{**columns, **fields})


def exchange(key: str, attempt: int = 1, **fields: Any) -> Exchange:
    at = second(key)
    arrived = fields.get("at", instant(key) + 0.01)
    columns: dict[str, Any] = {
        "at": arrived, "workspace": "default", "job": "steady", "scheduled_for": at.timestamp() if at else None,
        "body": f"body of {key}", "status": 200, "token": f"token {key} {attempt}", "answered_at": arrived + 0.01,
    }  # fmt: skip
    return Exchange(execution=key, attempt=attempt, **{**columns, **fields})


JOB = Job(
    "job",
    "steady",
    "default",
    MADE_AT,
    (Period("active", MADE_AT, PAUSED_AT, 1), Period("paused", PAUSED_AT, None, 1)),
)
_ANSWERED = datetime.timedelta(milliseconds=5)
PAUSE = Change("steady", "paused", PAUSED_AT, PAUSED_AT + _ANSWERED, confirmed=True)
GOOD = History(
    jobs=[JOB],
    executions=[execution("1"), execution("2"), execution("hand")],
    runs=[run("1"), run("2"), run("hand")],
    exchanges=[exchange("1"), exchange("2"), exchange("hand")],
    lease_seconds=LEASE_SECONDS,
    asked=frozenset({"hand"}),
    changes=[PAUSE],
)


def with_(history: History, **fields: Any) -> History:
    return dataclasses.replace(history, **fields)


def planned(seconds: int, **policy: Any) -> Job:
    """A job with a policy that is due every second for `seconds`, then paused."""
    until = MADE_AT + datetime.timedelta(seconds=seconds)
    return Job(
        "job",
        "steady",
        "default",
        MADE_AT,
        (Period("active", MADE_AT, until, 1, **policy), Period("paused", until, None, 1, **policy)),
    )


def of(job: Job, executions: Iterable[Execution], **fields: Any) -> History:
    """A history of one job in which each succeeded execution is called when due, for 10 ms."""
    executions = list(executions)
    called = [one for one in executions if one.status == "succeeded"]
    paused_at = job.periods[-1].since
    return History(
        **{
            "jobs": [job],
            "executions": executions,
            "runs": [run(one.id, finished_at=one.finished_at) for one in called],
            "exchanges": [exchange(one.id) for one in called],
            "lease_seconds": LEASE_SECONDS,
            "changes": [dataclasses.replace(PAUSE, asked_at=paused_at, answered_at=paused_at + _ANSWERED)],
            **fields,
        }
    )


def broken(history: History) -> set[Invariant]:
    """Return the invariants that a history violates."""
    return {finding.invariant for finding in judge(history)}


def details(history: History) -> Sequence[str]:
    return [finding.detail for finding in judge(history)]
