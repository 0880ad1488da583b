"""Fairness and remote control with real processes: slow hosts, concurrency, canceling in flight, drain."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.deployment import Deployment
from tests.support.project import ROOT
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

#: For calls that a test cancels: the longest timeout that a job may have, and an answer that comes after it. Under
#: load, control commands and restarts take longer than a job's default timeout, and the call would end before them.
LONGEST_TIMEOUT_SECONDS = 300
NO_ANSWER_SECONDS = 600.0


@pytest.fixture
def slow():
    made = Receiver()
    yield made
    made.close()


def remote(deployment: Deployment, kind: str, *command: str) -> dict[str, Any]:
    """Run `celery inspect` or `celery control` and return each worker's reply."""
    given = [sys.executable, "-m", "celery", "-A", "scheduler_project", kind, "--json", "--timeout", "3", *command]
    told = subprocess.run(given, cwd=ROOT, env=deployment.environment, capture_output=True, text=True, check=False)
    assert told.returncode in {0, 69}, told.stderr  # 69: no worker has replied yet
    return json.loads(told.stdout) if told.returncode == 0 else {}


def deliveries(deployment: Deployment) -> dict[str, Any]:
    """Return the only worker's reply to `inspect deliveries`, asking again until it is in time."""
    (reply,) = wait_for(lambda: remote(deployment, "inspect", "deliveries"), "the worker to reply").values()
    return reply


def run(deployment: Deployment, slug: str) -> str:
    return deployment.call("POST", f"/jobs/{slug}/run/", json={})["id"]


def test_a_call_in_flight_is_listed_and_canceled_and_its_worker_continues(
    deployment: Deployment, receiver: Receiver, slow: Receiver
):
    slow.delay_seconds = NO_ANSWER_SECONDS
    deployment.start("beat")
    deployment.start("worker")
    secret = {"url": f"{slow.url}/hook?token=hush", "headers": {"Authorization": "hush"}}
    deployment.make_job("slow", request={**secret, "timeout_seconds": LONGEST_TIMEOUT_SECONDS})
    deployment.make_job("fast", request={"url": f"{receiver.url}/"})
    ids = [run(deployment, "slow"), run(deployment, "slow")]
    wait_for(lambda: len(slow.seen) == 2, "the requests")

    told = deliveries(deployment)
    assert (told["draining"], told["waiting"]) == (False, 0)
    assert [one["execution_id"] for one in told["deliveries"]] == ids
    assert {(one["attempt"], one["host"]) for one in told["deliveries"]} == {(1, "127.0.0.1")}
    assert "hush" not in json.dumps(told)

    canceled = deployment.call("POST", f"/executions/{ids[0]}/cancel/", json={})
    assert canceled["status"] == "canceled"
    assert [one["status"] for one in canceled["runs"]] == ["canceled"]
    assert "may have arrived" in canceled["runs"][0]["error"]
    wait_for(lambda: "delivery_fenced" in deployment.log("worker"), "the worker to abort it")
    told = deliveries(deployment)
    assert [one["execution_id"] for one in told["deliveries"]] == ids[1:]

    remote(deployment, "control", "cancel_execution", ids[1])
    ended = wait_for(
        lambda: deployment.unfinished() == 0 and deployment.call("GET", f"/executions/{ids[1]}/"), "the other"
    )
    assert (ended["status"], ended["runs"][0]["status"], ended["attempts"]) == ("canceled", "canceled", 1)
    assert ended["runs"][0]["duration_ms"] > 0
    run(deployment, "fast")
    wait_for(lambda: len(receiver.seen) == 1, "the worker to go on")
    assert set(slow.deliveries().values()) == {1}


def test_canceling_works_without_redis_and_the_worker(deployment: Deployment, slow: Receiver):
    """The worker notices when it renews its leases, every second here."""
    slow.delay_seconds = NO_ANSWER_SECONDS
    deployment.start("worker")
    deployment.make_job("slow", request={"url": f"{slow.url}/", "timeout_seconds": LONGEST_TIMEOUT_SECONDS})
    execution = run(deployment, "slow")
    wait_for(lambda: slow.seen, "the request")
    deployment.kill("web", 15)
    deployment.environment["REDIS_URL"] = f"unix://{deployment.directory}/nobody.sock?db=0"
    (deployment.directory / "web.log").unlink()
    deployment.start("web", until="/healthz")
    assert deployment.call("POST", f"/executions/{execution}/cancel/", json={})["status"] == "canceled"
    wait_for(lambda: "leases_lost" in deployment.log("worker"), "the worker to notice")
    assert slow.deliveries() == {execution: 1}


def test_a_drained_worker_claims_nothing_and_another_does(deployment: Deployment, slow: Receiver):
    slow.delay_seconds = 3.0
    deployment.start("beat")
    deployment.start("worker-1")
    deployment.make_job("slow", request={"url": f"{slow.url}/"})
    first = run(deployment, "slow")
    wait_for(lambda: len(slow.seen) == 1, "the first request")
    assert remote(deployment, "control", "drain") is not None
    told = deliveries(deployment)
    assert told["draining"] is True
    second = run(deployment, "slow")
    wait_for(lambda: deployment.call("GET", f"/executions/{first}/")["status"] == "succeeded", "the first to end")
    assert deployment.call("GET", f"/executions/{second}/")["status"] == "pending"
    deployment.start("worker-2")
    wait_for(lambda: deployment.unfinished() == 0, "the other worker to take it")
    assert deployment.call("GET", f"/executions/{second}/")["runs"][0]["worker"].startswith("worker-2@")


def test_two_workers_share_a_jobs_concurrency_limit(deployment: Deployment, receiver: Receiver):
    receiver.delay_seconds = 0.2
    for name in ("beat", "worker-1", "worker-2"):
        deployment.start(name)
    deployment.make_job("few", concurrency=3, request={"url": f"{receiver.url}/", "method": "GET"})
    deployment.make_job("many", request={"url": f"{receiver.url}/", "method": "GET"})
    for _ in range(40):
        run(deployment, "few")
    run(deployment, "many")
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")
    spans = deployment.rows(
        "SELECT started_at, finished_at FROM runs_run JOIN jobs_job AS job ON job.id = job_id WHERE job.slug = 'few'"
    )
    assert len(spans) == 40
    together = max(sum(a <= start < b for a, b in spans) for start, _ in spans)
    assert together == 3
    assert set(receiver.deliveries().values()) == {1}


def test_thousands_of_calls_to_a_slow_host_do_not_delay_others(
    deployment: Deployment, receiver: Receiver, slow: Receiver
):
    slow.delay_seconds = 600.0
    deployment.environment["HOURHAND_MAX_IN_FLIGHT"] = "100"
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job("slow", request={"url": f"{slow.url}/", "method": "GET", "timeout_seconds": 300})
    deployment.make_job("fast", request={"url": f"{receiver.url}/", "method": "GET"})
    deployment.make_pending("slow", 10_000, enqueued=False)
    wait_for(lambda: len(slow.seen) == 75, "the slow host to have its share")
    for number in range(5):
        run(deployment, "fast")
        wait_for(lambda number=number: len(receiver.seen) > number, "a fast one")
    assert deployment.rows("SELECT count(*) FROM runs_run WHERE request_url = %s", f"{slow.url}/") == [(0,)]
    assert len(slow.seen) == 75
    assert set(slow.deliveries().values()) == {1}
