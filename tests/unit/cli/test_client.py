"""The client's resources: waiting for the end of an execution, secrets by name, the stream of events."""

import json
from typing import Any

import pytest
import requests

from hourhand import Client, ServerAwayError, WaitTimeoutError
from hourhand.client.events import Event, events_of, parse_events
from hourhand.client.executions import Executions
from hourhand.client.session import Session
from tests.support.canned_api import URL, CannedApi, answer


def executions(api: CannedApi, clock: list[float]) -> Executions:
    """Executions whose waits move this clock."""

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    return Executions(Session(URL, "hh_test", http=api.http()), sleep=sleep, monotonic=lambda: clock[0])


def states(*statuses: str) -> CannedApi:
    return CannedApi(*(answer(200, {"id": "e1", "status": status}) for status in statuses))


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled", "skipped"])
def test_waiting_ends_with_a_status_that_is_final(status: str):
    clock, seen = [0.0], []
    api = states("pending", "running", "running", "waiting", status)
    ended = executions(api, clock).wait("e1", on_change=lambda execution: seen.append(execution["status"]))
    assert ended["status"] == status
    assert seen == ["pending", "running", "waiting", status]


def test_waiting_has_a_limit():
    clock = [0.0]
    api = states(*["running"] * 20)
    with pytest.raises(WaitTimeoutError, match="e1 has not ended in 5 s: it is running"):
        executions(api, clock).wait("e1", timeout_seconds=5)
    assert clock == [5.0]


def test_what_ended_in_the_last_moment_counts():
    clock = [0.0]
    assert executions(states("running", "succeeded"), clock).wait("e1", timeout_seconds=0.1)["status"] == "succeeded"
    assert clock == [0.1]


def secrets(*found: dict[str, Any]) -> requests.Response:
    return answer(200, {"next": None, "previous": None, "results": list(found)})


def test_a_secret_is_created_or_changed_by_name_and_environment():
    everywhere = {"id": "s1", "name": "TOKEN", "environment": None}
    api = CannedApi(secrets(everywhere), answer(200, everywhere), secrets(everywhere), answer(201, {"id": "s2"}))
    client = Client(URL, "hh_test", http=api.http())
    client.secrets.set("TOKEN", "new")
    client.secrets.set("TOKEN", "other", environment="staging")
    _, changed, _, created = api.asked
    assert (changed.method, changed.path_url) == ("PATCH", "/api/v1/secrets/s1/")
    assert json.loads(changed.body or "") == {"value": "new"}
    assert json.loads(created.body or "") == {"name": "TOKEN", "environment": "staging", "value": "other"}


def test_a_name_in_a_path_is_quoted():
    api = CannedApi(answer(200, {}))
    Client(URL, "hh_test", http=api.http()).jobs.get("../keys?x=")
    assert api.asked[0].path_url == "/api/v1/jobs/..%2Fkeys%3Fx%3D/"


def test_events_are_parsed_as_they_are_specified():
    lines = [
        "retry: 2000", "id: 1-0", "",
        ":", "",
        "event: execution", 'data: {"id":"e1",', 'data: "status":"failed"}', "",
        "event: gap", "data: {}", "",
        "id: 2-0", "",
    ]  # fmt: skip
    assert list(parse_events(lines)) == [
        Event("position", None, "1-0"),
        Event("execution", {"id": "e1", "status": "failed"}, None),
        Event("gap", None, None),
        Event("position", None, "2-0"),
    ]


class Pieces:
    """The body of a response in pieces, which may end anywhere, and a loss of the connection."""

    def __init__(self, *pieces: bytes, breaks: bool = False) -> None:
        self._pieces, self._breaks = pieces, breaks
        self.headers = {"Transfer-Encoding": "chunked"}

    def iter_content(self, chunk_size: int | None) -> Any:
        assert chunk_size is None
        yield from self._pieces
        if self._breaks:
            raise requests.exceptions.ChunkedEncodingError("Connection broken")


def test_events_may_be_cut_anywhere():
    body = 'event: execution\r\ndata: {"id":"é"}\r\n\r\n'.encode()
    for cut in range(len(body)):
        response: Any = Pieces(body[:cut], body[cut:])
        assert [event.execution for event in events_of(response)] == [{"id": "é"}]


def test_a_broken_stream_is_a_server_that_is_away():
    response: Any = Pieces(b"event: gap\ndata: {}\n\n", breaks=True)
    events = events_of(response)
    assert next(events).kind == "gap"
    with pytest.raises(ServerAwayError):
        next(events)


def test_a_stream_resumes_after_the_last_position():
    api = CannedApi(answer(200, b"event: gap\ndata: {}\n\n"))
    [event] = Client(URL, "hh_test", http=api.http()).events(after="7-0", job="nightly")
    assert event.kind == "gap"
    assert api.headers("Last-Event-ID") == ["7-0"]
    assert api.asked[0].path_url == "/api/v1/events/?job=nightly"
