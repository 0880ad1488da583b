"""The live tail with real processes: events of beat and workers arrive, and no listener blocks anything."""

import signal
import socket
import time
import urllib.parse

import pytest
import requests

from tests.support.deployment import Deployment
from tests.support.live_tail import EventStream
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges


def listening(deployment: Deployment, query: str = "") -> EventStream:
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    return EventStream(deployment.url, path=f"/api/v1/events/{query}", headers=headers)


def test_changes_are_streamed_and_counted_and_a_stop_ends_the_stream(
    deployment: Deployment, receiver: Receiver
) -> None:
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job("tick", schedule="* * * * * *", request={"url": receiver.url})
    deployment.make_job("fails", request={"url": f"{receiver.url}/status/404"}, retry={"max_attempts": 1})
    with listening(deployment, "?job=tick") as heard, listening(deployment, "?status=failed") as failures:
        first = heard.until("succeeded", seconds=100)
        assert (first["job"], first["trigger"]) == ("tick", "schedule")
        made = deployment.call("POST", "/jobs/fails/run/", json={})
        told = failures.until("failed", seconds=100)
        assert (told["id"], told["failure_reason"]) == (made["id"], "http_client_error")
        deployment.make_job("tick", schedule=None, request={"url": receiver.url})
        counts = _settled(deployment)
        [(succeeded, failed)] = deployment.rows(
            "SELECT count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status = 'failed')"
            " FROM runs_execution"
        )
        assert (counts["succeeded"], counts["failed"]) == (succeeded, failed)
        asked = time.monotonic()
        deployment.signal("web", signal.SIGTERM)
        while heard.next()[0] != "end":
            pass
        assert deployment.processes["web"].wait(60) == 0
        assert time.monotonic() - asked < 25  # gunicorn would wait for 30 seconds


def _settled(deployment: Deployment) -> dict[str, int]:
    """Return the counts of the statistics after all executions have ended."""
    wait_for(lambda: deployment.unfinished() == 0, "all executions to end")
    time.sleep(1.2)  # an occurrence that was due before the job changed
    counts: dict[str, int] = deployment.call("GET", "/stats/?bucket=1m")["counts"]
    return counts


def test_listeners_use_no_threads_and_get_the_same_events(deployment: Deployment, receiver: Receiver) -> None:
    """There are far more listeners than threads in the web process; half of them never read."""
    streams = [listening(deployment) for _ in range(60)]
    deaf = [_deaf_listener(deployment) for _ in range(60)]
    try:
        for one in streams:
            assert one.answer.status_code == 200
            assert one.opened.wait(20)
        for _ in range(10):
            assert requests.get(f"{deployment.url}/healthz", timeout=5).ok
        deployment.make_job("report", request={"url": receiver.url})
        made = deployment.call("POST", "/jobs/report/run/", json={})
        assert {one.until("pending", seconds=30)["id"] for one in streams} == {made["id"]}
    finally:
        for one in [*streams, *deaf]:
            one.close()


def _deaf_listener(deployment: Deployment) -> socket.socket:
    address = urllib.parse.urlsplit(deployment.url)
    link = socket.create_connection((address.hostname, address.port), timeout=20)
    head = f"GET /api/v1/events/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {deployment.api_key}\r\n\r\n"
    link.sendall(head.encode())
    return link


def test_a_listener_that_stops_reading_is_disconnected_and_its_slot_is_freed(
    deployment: Deployment, receiver: Receiver
) -> None:
    deployment.restart_web(HOURHAND_EVENT_STREAMS="1")
    deployment.make_job("report", request={"url": receiver.url, "headers": {"X-Long": "x" * 4000}})
    deaf = _deaf_listener(deployment)
    wait_for(lambda: listening(deployment).answer.status_code == 503, "the only place to be taken")
    tail = deployment.redis()
    [(workspace,)] = deployment.rows("SELECT id FROM accounts_workspace")
    deployment.make_pending("report", 500, enqueued=True)
    ids = " ".join(str(key) for (key,) in deployment.rows("SELECT id FROM runs_execution"))

    def is_free() -> bool:
        for _ in range(20):
            tail.xadd(f"hourhand:tail:{workspace}", {"ids": ids})
        answer = listening(deployment).answer
        answer.close()
        return answer.status_code == 200

    wait_for(is_free, "the place of a listener that does not read", seconds=300)
    deaf.close()


def test_revoking_a_key_ends_its_streams_even_if_they_do_not_read(deployment: Deployment) -> None:
    deployment.restart_web(HOURHAND_EVENT_STREAMS="2")
    made = deployment.call("POST", "/keys/", json={"name": "tail", "scopes": ["executions:read"]})
    mine, deployment.api_key = deployment.api_key, made["key"]
    deaf = _deaf_listener(deployment)
    deployment.api_key = mine
    wait_for(lambda: len(_open_streams(deaf)) > 0, "the stream to begin")
    deployment.call("DELETE", f"/keys/{made['id']}/")
    deaf.settimeout(30)
    told = b""
    while not told.endswith(b"\r\n0\r\n\r\n") and (more := deaf.recv(65536)):
        told += more
    deaf.close()


def _open_streams(link: socket.socket) -> bytes:
    return link.recv(65536, socket.MSG_PEEK)
