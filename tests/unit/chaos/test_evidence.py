"""Evidence of the chaos tests: when processes were paused, and the target's log of each call."""

import http.client
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.chaos.history import Exchange
from tests.acceptance.chaos.stalls import Stalls
from tests.acceptance.chaos.target import Target

_PATIENCE_SECONDS = 20.0


def test_a_pause_ends_when_the_process_continues_and_a_death_never():
    stalls = Stalls()
    before = time.time()
    stalls.stopped(1, "stopped")
    stalls.killed(2, "killed")
    stalls.resumed(1)
    first, second = sorted(stalls.all(), key=lambda one: one.pid)
    assert before <= first.since <= (first.until or 0) <= time.time()
    assert (second.why, second.until) == ("killed", None)
    stalls.resumed(1)  # it has continued already
    stalls.resumed(3)
    assert len(stalls.all()) == 2


def test_a_process_stopped_twice_continues_at_the_first_release():
    stalls = Stalls()
    stalls.stopped(1, "stopped")
    stalls.stopped(1, "stopped for longer")
    (going,) = stalls.all()
    assert going.until is not None
    stalls.resumed(1)
    stalls.resumed(1)
    (ended,) = stalls.all()
    assert (ended.why, ended.since) == ("stopped", going.since)


def test_a_process_killed_while_paused_was_gone_since_the_pause():
    stalls = Stalls()
    stalls.stopped(1, "stopped")
    (going,) = stalls.all()
    stalls.killed(1, "killed")
    assert [(one.since, one.until) for one in stalls.all()] == [(going.since, None)]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    made = Target(tmp_path / "log", on_deadly=lambda _: None)
    yield made
    made.close()


def called(target: Target, behaviour: str) -> http.client.HTTPConnection:
    """A call of which nothing has been read yet."""
    host = target.url.removeprefix("http://")
    link = http.client.HTTPConnection(host, timeout=_PATIENCE_SECONDS)
    headers = {
        "X-Hourhand-Execution-Id": "1",
        "X-Hourhand-Attempt": "1",
        "X-Hourhand-Scheduled-For": "2026-03-01T12:00:00Z",
    }
    link.request("POST", f"/default/job/{behaviour}", body=b"body", headers=headers)
    return link


def noted(target: Target, look: Callable[[Exchange], bool]) -> Exchange:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not (found := [one for one in target.exchanges() if look(one)]):
        assert time.monotonic() < until, "the target noted nothing of that"
        time.sleep(0.02)
    return found[0]


@pytest.mark.parametrize(
    ("behaviour", "seconds", "status"), [("quick", 0, 200), ("after-0.3", 0.3, 200), ("flaky", 0, 503)]
)
def test_an_answer_is_noted_no_later_than_it_is_known(target: Target, behaviour: str, seconds: float, status: int):
    link = called(target, behaviour)
    answer = link.getresponse()
    token, known_at = answer.read().decode(), time.time()
    seen = noted(target, lambda one: one.answered)
    assert (seen.token, seen.body, answer.status, seen.status) == (token, "body", status, status)
    assert seen.left_at is None
    assert seen.at + seconds <= (seen.answered_at or 0) <= known_at
    assert seen.ended_at == seen.answered_at


def test_a_disconnect_is_noted_before_the_answer_is_due(target: Target):
    link = called(target, "after-60")
    assert noted(target, lambda _: True).ended_at == math.inf
    link.close()
    left = noted(target, lambda one: one.left_at is not None)
    assert left.answered_at is None
    assert left.at <= left.ended_at <= time.time()
