"""Test calls with real processes: without a worker, with one, with a killed one, and with another."""

import time
from typing import Any

import requests

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.threads import start_in_thread
from tests.support.waiting import wait_for


def make_test_call(deployment: Deployment, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    return requests.post(f"{deployment.url}/api/v1/jobs/report/test/", json=body, headers=headers, timeout=60)


def start(deployment: Deployment, worker: str) -> None:
    deployment.start(worker)
    wait_for(lambda: " ready." in deployment.log(worker), f"{worker} to be ready")


def test_a_test_call_returns_a_result_or_an_error_in_bounded_time(deployment: Deployment, receiver: Receiver) -> None:
    deployment.make_job("report", request={"url": f"{receiver.url}/saved", "timeout_seconds": 300})
    refused = make_test_call(deployment)
    assert (refused.status_code, refused.json()["code"]) == (503, "no_worker")

    start(deployment, "worker-1")
    answer = make_test_call(deployment)
    assert answer.ok, answer.text
    assert answer.json()["response"]["body"] == "ok"
    assert answer.json()["worker"].startswith("worker-1@")
    assert [one["path"] for one in receiver.seen] == ["/saved"]  # the call that no worker took is never made

    receiver.delay_seconds = 60.0
    asked_at = time.monotonic()
    wait = start_in_thread(lambda: make_test_call(deployment, request={"url": f"{receiver.url}/unsaved"}))
    wait_for(lambda: len(receiver.seen) == 2, "the request")
    deployment.kill("worker-1")
    lost = wait()
    assert (lost.status_code, lost.json()["code"]) == (503, "call_lost")
    assert time.monotonic() - asked_at < 30
    receiver.delay_seconds = 0.0

    start(deployment, "worker-2")
    assert make_test_call(deployment).json()["status"] == "succeeded"
    assert [one["path"] for one in receiver.seen] == ["/saved", "/unsaved", "/saved"]
    assert deployment.rows("SELECT count(*) FROM runs_execution") == [(0,)]
    assert deployment.rows("SELECT count(*) FROM runs_run") == [(0,)]
