"""The live tail with real processes: what a worker and a beat do is heard, and nobody waits for a listener."""

import signal
import time

import requests

from tests.acceptance.conftest import House, Receiver
from tests.integration.listening import Listening


def listening(house: House, query: str = "") -> Listening:
    headers = {"Authorization": f"Bearer {house.api_key}"}
    return Listening(house.url, path=f"/api/v1/events/{query}", headers=headers)


def test_what_the_processes_do_is_heard_and_counted_and_a_stop_ends_the_stream(
    house: House, receiver: Receiver
) -> None:
    house.start("beat")
    house.start("worker")
    house.make_job("tick", schedule="* * * * * *", request={"url": receiver.url})
    house.make_job("fails", request={"url": f"{receiver.url}/status/404"}, retry={"max_attempts": 1})
    with listening(house, "?job=tick") as heard, listening(house, "?status=failed") as failures:
        first = heard.until("succeeded", seconds=100)
        assert (first["job"], first["trigger"]) == ("tick", "schedule")
        made = house.call("POST", "/jobs/fails/run/", json={})
        told = failures.until("failed", seconds=100)
        assert (told["id"], told["failure_reason"]) == (made["id"], "http_client_error")
        house.make_job("tick", schedule=None, request={"url": receiver.url})
        counts = _settled(house)
        [(succeeded, failed)] = house.rows(
            "SELECT count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status = 'failed')"
            " FROM runs_execution"
        )
        assert (counts["succeeded"], counts["failed"]) == (succeeded, failed)
        asked = time.monotonic()
        house.signal("web", signal.SIGTERM)
        while heard.next()[0] != "end":
            pass
        assert house.processes["web"].wait(10) == 0
        assert time.monotonic() - asked < 9  # gunicorn would wait for 30 seconds


def _settled(house: House) -> dict[str, int]:
    """What statistics count once nothing lives any more."""
    until = time.monotonic() + 20
    while house.unfinished() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1.2)  # a firing that was planned before its job was changed
    counts: dict[str, int] = house.call("GET", "/stats/?bucket=1m")["counts"]
    return counts


def test_one_stream_too_many_is_told_to_come_back(house: House) -> None:
    streams = [listening(house), listening(house)]
    answers = {one.answer.status_code for one in [*streams, listening(house)]}
    assert 429 in answers or 503 in answers
    assert requests.get(f"{house.url}/healthz", timeout=5).ok
    for one in streams:
        one.answer.close()
