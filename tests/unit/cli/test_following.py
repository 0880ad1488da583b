"""Following executions: each change is yielded once, with a stream, with gaps in it, and without one."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from hourhand.client.errors import UnavailableError
from hourhand.client.events import Event
from hourhand.client.following import Follower

BUSY = UnavailableError(503, {"code": "too_many_streams", "detail": "No stream is free."})


def execution(number: int, status: str = "succeeded", attempts: int = 1) -> Any:
    return {"id": f"e{number}", "status": status, "attempts": attempts, "next_attempt_at": None, "waiting": None}


class Server:
    """Executions by id, and streams that are scripted: lists of events, functions to call between them, or errors."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.streams: list[Any] = []
        self.resumed_after: list[str | None] = []
        self.executions = self

    def put(self, *executions: Any) -> None:
        self.rows.update({row["id"]: row for row in executions})

    def events(self, *, after: str | None = None, **_filters: Any) -> Iterator[Event]:
        self.resumed_after.append(after)
        stream = self.streams.pop(0) if self.streams else BUSY
        if isinstance(stream, Exception):
            raise stream
        for step in stream:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Event):
                yield step
            else:
                step()

    def list(self, *, limit: int | None = None, status: Any = None, **_filters: Any) -> Iterator[Any]:
        rows = sorted(self.rows.values(), key=lambda row: row["id"], reverse=True)
        yield from islice((row for row in rows if status is None or row["status"] in status), limit)

    def get(self, key: str) -> Any:
        return self.rows[key]


def follower(server: Any, sleeps: Any = None, polls: list[str] | None = None) -> Follower:
    steps = iter(sleeps or ())

    def sleep(_seconds: float) -> None:
        step = next(steps, None)
        if step is not None:
            step()

    return Follower(server, {"job": "a"}, sleep=sleep, on_poll=([] if polls is None else polls).append)


def seen(following: Follower, count: int) -> list[tuple[str, str, int]]:
    return [(one["id"], one["status"], one["attempts"]) for one in islice(following.changes(), count)]


START = Event("position", None, "1-0")


def test_events_are_yielded_once_each_and_what_was_there_is_not():
    server = Server()
    server.put(execution(1))
    running, ended = execution(2, "running"), execution(2)
    server.streams = [[START, Event("execution", running), Event("execution", running), Event("execution", ended)]]
    following = follower(server)
    following.prime()
    assert seen(following, 2) == [("e2", "running", 1), ("e2", "succeeded", 1)]


def test_what_happened_before_the_stream_began_is_read():
    server = Server()
    server.put(execution(1, "running"))
    following = follower(server)
    following.prime()
    server.put(execution(1), execution(2))
    server.streams = [[START, Event("execution", execution(3))]]
    assert seen(following, 3) == [("e1", "succeeded", 1), ("e2", "succeeded", 1), ("e3", "succeeded", 1)]


def test_after_a_gap_the_list_is_read():
    server = Server()
    server.streams = [[START, lambda: server.put(execution(1), execution(2)), Event("gap", None)]]
    assert seen(follower(server), 2) == [("e1", "succeeded", 1), ("e2", "succeeded", 1)]


def test_a_stream_that_ends_is_resumed_after_its_last_position():
    server = Server()
    server.streams = [[START, Event("position", None, "2-0")], [Event("execution", execution(1))]]
    assert seen(follower(server), 1) == [("e1", "succeeded", 1)]
    assert server.resumed_after == [None, "2-0"]


def test_without_a_stream_lists_are_read_until_there_is_one():
    server, polls = Server(), []
    waits = [lambda: server.put(execution(1, "running")), lambda: server.put(execution(1), execution(2, "pending", 0))]
    following = follower(server, waits, polls)
    assert seen(following, 3) == [("e1", "running", 1), ("e1", "succeeded", 1), ("e2", "pending", 0)]
    assert polls == ["No stream is free. Looking every 2 s instead."]


def test_an_old_execution_under_way_is_found_behind_a_hundred_newer_ones():
    server = Server()
    server.put(execution(1000, "running"), *(execution(number) for number in range(2000, 2150)))
    following = follower(server, [lambda: server.put(execution(1000, "failed"))])
    following.prime()
    assert seen(following, 1) == [("e1000", "failed", 1)]


def test_a_state_that_comes_late_does_not_undo_the_end():
    server = Server()
    late = Event("execution", execution(1, "running"))
    server.streams = [[START, Event("execution", execution(1)), late, Event("execution", execution(2))]]
    assert [key for key, *_ in seen(follower(server), 2)] == ["e1", "e2"]


def test_a_server_that_goes_away_is_waited_for():
    server = Server()
    broken = [START, UnavailableError(503, {"detail": "The database is unavailable."})]
    server.streams = [broken]
    following = follower(server, [lambda: server.put(execution(7))])
    assert seen(following, 1) == [("e7", "succeeded", 1)]
