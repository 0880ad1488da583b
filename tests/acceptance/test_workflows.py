"""Workflows with real processes that die at each step of the path: answered calls are made once, steps end once."""

import json
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import psycopg2
import pytest

from tests.acceptance.chaos.services import Services
from tests.support.deployment import Deployment
from tests.support.project import ROOT
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for
from tests.support.workflows import step, workflow_config

pytestmark = pytest.mark.storms
#: Where workers may die, and whether the call that they then hold may have been sent.
WORKER_POINTS = {
    "claim.taken": False,
    "progress.written": False,
    "claim.committed": False,
    "send.submitted": True,
    "record.written": True,
    "record.committed": True,
}
_POST = """
from runs.inbound import InboundRequest
from runs.workflows.resume import resume
body = {body!r}
resume({token!r}, InboundRequest({{}}, {{}}, body, len(body), {{}}))
"""
_APPROVE = """
import uuid
from accounts.actors import SYSTEM
from accounts.models import Workspace
from django.utils import timezone
from runs.workflows.approvals import ApprovalChoice, decide
decide(workspace=Workspace.objects.get(slug="default"), execution_id=uuid.UUID({execution!r}), step=None,
       choice=ApprovalChoice(approves=True), actor=SYSTEM, now=timezone.now())
"""
_SLUG = "three"


class Flow:
    """A deployment with one workflow: an http step, one that waits, and an http step with what came."""

    def __init__(self, deployment: Deployment, receiver: Receiver, waiting: dict[str, Any]) -> None:
        self.deployment, self.receiver = deployment, receiver
        self.points = deployment.directory / "failpoints"
        self.points.mkdir()
        deployment.environment["HOURHAND_FAILPOINTS"] = str(self.points)
        for name in ("beat", "worker"):
            deployment.start(name)
        job = deployment.make_job(_SLUG, request={"url": receiver.url})
        retry = {"delay_ms": 100, "max_attempts": 5, "jitter": False}
        url = '{{steps.wait.resume_url|default("-")}}'
        config = workflow_config(
            step("ask", request={"url": f"{receiver.url}/ask", "body": url}, retry=retry),
            waiting,
            step(
                "ship", request={"url": f"{receiver.url}/ship", "body": '{{steps.wait.body|default("-")}}'}, retry=retry
            ),
        )
        deployment.rows("UPDATE jobs_jobversion SET config = %s::jsonb", json.dumps(config))
        assert job["version"] == 1

    def begin(self) -> str:
        self.deployment.make_pending(_SLUG, 1, enqueued=False)
        ((execution,),) = self.deployment.rows("SELECT id::text FROM runs_execution ORDER BY created_at DESC LIMIT 1")
        return str(execution)

    def status(self, execution: str) -> str:
        ((status,),) = self.deployment.rows("SELECT status FROM runs_execution WHERE id = %s", execution)
        return str(status)

    def await_status(self, execution: str, status: str) -> None:
        wait_for(lambda: self.status(execution) == status, f"the execution to be {status}")

    def seen(self, execution: str) -> Counter[tuple[str, str]]:
        """The requests of an execution by step and attempt."""
        headers = [request["headers"] for request in list(self.receiver.seen)]
        return Counter(
            (one["x-hourhand-step"], one["x-hourhand-attempt"])
            for one in headers
            if one["x-hourhand-execution-id"] == execution
        )

    def body(self, execution: str, name: str) -> str:
        """What a step sent."""
        bodies = {
            request["body"].decode()
            for request in list(self.receiver.seen)
            if (request["headers"]["x-hourhand-execution-id"], request["path"]) == (execution, f"/{name}")
        }
        (body,) = bodies
        return str(body)

    def post(self, execution: str, body: bytes) -> int:
        """Send a request to the URL that the first step was given. Returns how its process ended."""
        token = self.body(execution, "ask").rpartition("/")[2]
        return self._shell(_POST.format(token=token, body=body))

    def approve(self, execution: str) -> int:
        return self._shell(_APPROVE.format(execution=execution))

    def _shell(self, code: str) -> int:
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
        return subprocess.run(command, cwd=ROOT, env=self.deployment.environment, check=False).returncode

    def kill_at(self, point: str) -> None:
        """Let the next process that reaches this point kill itself."""
        (self.points / point).write_text(str(int(signal.SIGKILL)))

    def restart_killed(self, point: str, name: str) -> None:
        wait_for(lambda: list(self.points.glob(f"{point}.*")), f"a process to die at {point}")
        self.deployment.processes[name].wait(30)
        for done in self.points.glob(f"{point}.*"):
            done.unlink()
        self.deployment.start(name)

    def require_once(self, execution: str, *, repeated: bool = False) -> None:
        """Each step has ended once; what was answered was called once, and is recorded.

        `repeated`: a call may have been sent by a worker that died holding it.
        """
        self.await_status(execution, "succeeded")
        steps = self.deployment.rows("SELECT step, status FROM runs_stepstate WHERE execution_id = %s", execution)
        assert sorted(steps) == [("ask", "succeeded"), ("ship", "succeeded"), ("wait", "succeeded")]
        runs = self.deployment.rows(
            "SELECT step, number::text, failure_reason FROM runs_run WHERE execution_id = %s", execution
        )
        seen = self.seen(execution)
        assert set(seen.values()) == {1}
        answered = {(name, number) for name, number, reason in runs if reason == ""}
        lost = {(name, number) for name, number, reason in runs if reason == "worker_lost"}
        assert sorted(name for name, _ in answered) == ["ask", "ship"]
        assert len(answered) + len(lost) == len(runs)
        assert answered <= set(seen) <= answered | (lost if repeated else set())


def test_a_worker_killed_at_any_step_repeats_no_call_that_was_answered(
    deployment: Deployment, receiver: Receiver, full: bool
):
    flow = Flow(deployment, receiver, step("wait", "webhook"))
    for number, (point, repeated) in enumerate(WORKER_POINTS.items()):
        for after_the_wait in (False, True):
            if not full and after_the_wait != bool(number % 2):
                continue
            if after_the_wait:
                execution = flow.begin()
                flow.await_status(execution, "waiting")
                flow.kill_at(point)
            else:
                flow.kill_at(point)
                execution = flow.begin()
                flow.restart_killed(point, "worker")
                flow.await_status(execution, "waiting")
            assert flow.post(execution, point.encode()) == 0
            if after_the_wait:
                flow.restart_killed(point, "worker")
            flow.require_once(execution, repeated=repeated)
            assert flow.body(execution, "ship") == point


def test_a_beat_killed_while_it_wakes_or_reaps_leaves_it_to_the_next(deployment: Deployment, receiver: Receiver):
    flow = Flow(deployment, receiver, step("wait", "delay", seconds=1))
    flow.kill_at("wake.written")
    woken = flow.begin()
    flow.restart_killed("wake.written", "beat")
    flow.require_once(woken)

    flow.kill_at("claim.committed")
    flow.kill_at("reap.written")
    reaped = flow.begin()
    flow.restart_killed("claim.committed", "worker")
    flow.restart_killed("reap.written", "beat")
    flow.require_once(reaped)


def test_a_resolver_killed_before_its_commit_has_not_resolved(deployment: Deployment, receiver: Receiver):
    flow = Flow(deployment, receiver, step("wait", "webhook"))
    execution = flow.begin()
    flow.await_status(execution, "waiting")
    flow.kill_at("resume.written")
    assert flow.post(execution, b"lost") == -signal.SIGKILL
    assert flow.status(execution) == "waiting"
    for body in (b"first", b"second"):
        assert flow.post(execution, body) == 0
    flow.require_once(execution)
    assert flow.body(execution, "ship") == "first"


def test_an_approval_killed_before_its_commit_has_not_decided(deployment: Deployment, receiver: Receiver):
    flow = Flow(deployment, receiver, step("wait", "approval"))
    execution = flow.begin()
    flow.await_status(execution, "waiting")
    flow.kill_at("approval.written")
    assert flow.approve(execution) == -signal.SIGKILL
    assert flow.status(execution) == "waiting"
    assert flow.approve(execution) == 0
    flow.require_once(execution)
    decisions = deployment.rows("SELECT jsonb_array_length(decisions) FROM runs_stepstate WHERE step = 'wait'")
    assert decisions == [(1,)]


def test_what_waits_outlives_every_process_and_service(deployment: Deployment, receiver: Receiver):
    flow = Flow(deployment, receiver, step("wait", "webhook"))
    executions = [flow.begin() for _ in range(3)]
    for execution in executions:
        flow.await_status(execution, "waiting")
    first, second, third = executions
    deployment.redis().flushall()
    assert flow.post(first, b"after the flush") == 0
    flow.require_once(first)

    restart_postgres(deployment)
    assert flow.post(second, b"after the restart") == 0
    flow.require_once(second)

    for name in ("beat", "worker"):
        deployment.kill(name, signal.SIGTERM)
    assert flow.post(third, b"while nobody works") == 0
    assert flow.status(third) == "pending"
    for name in ("beat-new", "worker-new"):
        deployment.start(name)
    flow.require_once(third)
    said = [flow.body(execution, "ship") for execution in executions]
    assert said == ["after the flush", "after the restart", "while nobody works"]


def restart_postgres(deployment: Deployment) -> None:
    """Restart the database's server, and wait until it answers."""
    services = Services(deployment.environment["DATABASE_URL"], deployment.redis_url)
    server, *_ = services.postgres()
    server.send_signal(signal.SIGINT)
    server.wait(30)

    def answers() -> bool:
        try:
            deployment.reconnect()
        except psycopg2.Error:
            return False
        return True

    wait_for(answers, "PostgreSQL to be back")
