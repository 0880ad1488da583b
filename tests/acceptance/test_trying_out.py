"""Test calls with real processes: no worker, one that answers, one that is killed in the middle, another one."""

import time
from typing import Any

import requests

from tests.support.house import House
from tests.support.recording_receiver import Receiver
from tests.support.threads import begun_in_another_thread
from tests.support.waiting import wait_for


def try_out(house: House, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {house.api_key}"}
    return requests.post(f"{house.url}/api/v1/jobs/report/test/", json=body, headers=headers, timeout=60)


def start(house: House, worker: str) -> None:
    house.start(worker)
    wait_for(lambda: " ready." in house.log(worker), f"{worker} to be ready")


def test_a_call_is_answered_or_says_in_bounded_time_why_not(house: House, receiver: Receiver) -> None:
    house.make_job("report", request={"url": f"{receiver.url}/saved", "timeout_seconds": 300})
    refused = try_out(house)
    assert (refused.status_code, refused.json()["code"]) == (503, "no_worker")

    start(house, "worker-1")
    answer = try_out(house)
    assert answer.ok, answer.text
    assert answer.json()["response"]["body"] == "ok"
    assert answer.json()["worker"].startswith("worker-1@")
    assert [one["path"] for one in receiver.seen] == ["/saved"]  # what was asked before it came is never made

    receiver.delay_seconds = 60.0
    asked_at = time.monotonic()
    wait = begun_in_another_thread(lambda: try_out(house, request={"url": f"{receiver.url}/unsaved"}))
    wait_for(lambda: len(receiver.seen) == 2, "the request")
    house.kill("worker-1")
    lost = wait()
    assert (lost.status_code, lost.json()["code"]) == (503, "call_lost")
    assert time.monotonic() - asked_at < 30
    receiver.delay_seconds = 0.0

    start(house, "worker-2")
    assert try_out(house).json()["status"] == "succeeded"
    assert [one["path"] for one in receiver.seen] == ["/saved", "/unsaved", "/saved"]
    assert house.rows("SELECT count(*) FROM runs_execution") == [(0,)]
    assert house.rows("SELECT count(*) FROM runs_run") == [(0,)]
