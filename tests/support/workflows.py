"""Workflows for tests: complete definitions from a few words, and a worker in this process that answers their calls."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from runs.attempts.contract import Received, Timings
from runs.attempts.recording import record
from runs.clock.due_state import read_due_state
from runs.failures import FailureReason
from runs.inbound import InboundRequest
from runs.models import Execution
from runs.workflows.resume import resume
from runs.workflows.resume_urls import resume_url
from runs.workflows.wake import wake_due
from tests.support.jobs import job_config
from workers.connections import Link
from workers.delivery.contract import DeliveryResult
from workers.delivery.transfer import unanswered
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate

_COMMON: dict[str, Any] = {"if": [], "on_failure": "fail"}
_VERIFY = {"preset": "none", "secret": None, "header": None}
_BY_TYPE: dict[str, dict[str, Any]] = {
    "http": {"extract": {}, "poll": None},
    "delay": {"seconds": None, "until": None},
    "webhook": {"timeout_seconds": 3600, "on_timeout": "fail", "verify": _VERIFY, "accept": []},
    "approval": {
        "message": None, "approvers": [], "required": 1, "self_approval": True, "form": [], "timeout_seconds": 3600,
        "on_timeout": "reject",
    },
}  # fmt: skip


def step(name: str, kind: str = "http", **fields: Any) -> dict[str, Any]:
    """A complete step as a version stores it. `request`, `success` and `retry` are merged into a job's own."""
    whole = {"id": name, "type": kind, **_COMMON, **_BY_TYPE[kind]}
    if kind == "http":
        plain = job_config()
        request = {"url": f"http://receiver.test/{name}", **fields.pop("request", {})}
        whole |= {
            "request": {**plain["request"], **request},
            "success": {**plain["success"], **fields.pop("success", {})},
            "retry": {**plain["retry"], "max_attempts": 1, **fields.pop("retry", {})},
        }
    return {**whole, **fields}


def workflow_config(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A complete definition of a workflow; `finally_steps`, `output` and `timeout_seconds` are the workflow's own."""
    workflow = {
        "timeout_seconds": fields.pop("timeout_seconds", 86_400),
        "steps": list(steps),
        "finally": list(fields.pop("finally_steps", ())),
        "output": fields.pop("output", None),
    }
    nulls = {"request": None, "success": None, "retry": None}
    return {**job_config(), **nulls, "kind": "workflow", "workflow": workflow, **fields}


#: A fixture that starts a workflow with the given steps.
StartWorkflow = Callable[..., Execution]
#: In place of an answer: an operator aborts the call.
ABORTED = "aborted"
Answer = Callable[[Claimed], tuple[int, Any]]


class Worker:
    """Claims what is due and answers calls in this process: by step, a status and a body, or a function of the call."""

    def __init__(self, name: str = "first", answers: dict[str, Any] | None = None) -> None:
        self.name = name
        self.answers = answers or {}
        #: The claimed calls, in order.
        self.calls: list[Claimed] = []
        self._claimer = Claimer(owner=name, lease_seconds=60, user_agent="Hourhand/test")
        self.link = Link("test")

    def close(self) -> None:
        self.link.close()

    def claim(self) -> list[Claimed]:
        claimed = self._claimer.claim_any(self.link, limit=100)
        self.calls += claimed
        return claimed

    def finish(self, *claimed: Claimed) -> set[tuple[str, int]]:
        """Record the calls with their answers."""
        batch = [evaluate(item, self.result_of(item), worker=self.name, rng=random.Random(1)) for item in claimed]
        with self.link.transaction() as cursor:
            return record(cursor, batch)

    def give_back(self, *claimed: Claimed) -> set[tuple[str, int]]:
        """Give unsent calls back."""
        return self._claimer.give_back(self.link, claimed)

    def run(self, *, turns: int = 100) -> list[str]:
        """Claim and finish until nothing is due. Returns the called steps, in order."""
        before = len(self.calls)
        for _ in range(turns):
            claimed = self.claim()
            self.finish(*claimed)
            if not claimed and not self._due():
                return [item.attempt.step for item in self.calls[before:]]
        raise AssertionError("The workflow does not come to rest.")

    def _due(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM runs_execution WHERE status = 'pending' AND next_attempt_at <= clock_timestamp()"
            )
            return bool(cursor.fetchone()[0])

    def result_of(self, claimed: Claimed) -> DeliveryResult:
        """What the engine would hand over for this call."""
        answer = self.answers.get(claimed.attempt.step, (200, {"ok": True}))
        if answer == ABORTED:
            return unanswered(claimed.request, FailureReason.UNKNOWN, "canceled", aborted=True)
        status, body = answer(claimed) if callable(answer) else answer
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", "x-step": claimed.attempt.step}
        received = Received(status, headers, raw, len(raw), False, "1.1")
        good = 200 <= status < 300
        now = time.monotonic()
        reason, error = (None, None) if good else _failure(status)
        return DeliveryResult(claimed.request, reason, error, received, "127.0.0.1", Timings(total_ms=1), now, now)


def _failure(status: int) -> Any:
    return FailureReason.HTTP_SERVER_ERROR if status >= 500 else FailureReason.HTTP_CLIENT_ERROR, f"HTTP {status}"


def wake() -> int:
    """What the clock does with waits that are over. Returns how many."""
    return len(wake_due(read_due_state().now))


def pass_time(**interval: int) -> None:
    """Move all instants of waits, starts and deadlines into the past, as if this much time had gone by."""
    seconds = sum(
        amount * {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}[unit] for unit, amount in interval.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_execution SET wait_expires_at = wait_expires_at - %(s)s * interval '1 second',"
            " started_at = started_at - %(s)s * interval '1 second',"
            " next_attempt_at = next_attempt_at - %(s)s * interval '1 second',"
            " state = CASE WHEN state ? 'finally' THEN jsonb_set(state, '{finally,until}', to_jsonb("
            "(state #>> '{finally,until}')::timestamptz - %(s)s * interval '1 second')) ELSE state END"
            " WHERE finished_at IS NULL",
            {"s": seconds},
        )
        cursor.execute(
            "UPDATE runs_stepstate SET wait_expires_at = wait_expires_at - %(s)s * interval '1 second'"
            " WHERE finished_at IS NULL",
            {"s": seconds},
        )


def post(execution: Any, position: int, body: bytes = b'{"paid": true}', given: Any = None, **headers: str) -> None:
    """Send a request to the URL of the step at a position."""
    token = resume_url(execution.pk, position).rpartition("/")[2]
    resume(token, InboundRequest(headers, {}, body, len(body), given if given is not None else {"paid": True}))


def status(execution: Any) -> str:
    """The status of an execution now."""
    execution.refresh_from_db()
    return str(execution.status)
