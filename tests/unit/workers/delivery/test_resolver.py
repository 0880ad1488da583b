"""Caching of DNS answers over time, and waiting for lookups."""

import _thread
import socket
import threading
from collections.abc import Iterator

import pytest

from workers.delivery import resolver
from workers.delivery.resolver import (
    FAILURE_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    PATIENCE_SECONDS,
    STALE_SECONDS,
    Addresses,
    Resolver,
)

NAME = "name.example"
OLD, NEW = ("192.0.2.1",), ("192.0.2.2",)
AGAIN = socket.gaierror(socket.EAI_AGAIN, "no server answered")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "no such name")


class ResolverHarness:
    """A resolver, a fake system and a fake clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.answer: Addresses | Exception = OLD
        self.asked: list[str] = []
        self.speaks = threading.Event()
        self.speaks.set()
        self.news = threading.Semaphore(0)
        self.resolver: Resolver[str] = Resolver(self.news.release)
        monkeypatch.setattr(resolver, "resolve", self.resolve)

    def resolve(self, text: str) -> Addresses:
        self.asked.append(text)
        self.speaks.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def ask(self, name: str = NAME, waiter: str = "one", seconds: float = 30) -> Addresses | None:
        return self.resolver.ask(name, waiter, deadline=self.now + seconds, now=self.now)

    def answered(self, lookups: int = 1) -> dict[str, Addresses]:
        """Return the answers to waiters, after this many lookups have ended."""
        for _ in range(lookups):
            assert self.news.acquire(timeout=10)
        return dict(self.resolver.answered(self.now))

    def known(self) -> None:
        """Look the name up once."""
        assert self.ask() is None
        assert self.answered() == {"one": OLD}


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[ResolverHarness]:
    made = ResolverHarness(monkeypatch)
    yield made
    made.speaks.set()
    while made.resolver.busy:
        made.answered()


def test_concurrent_requests_for_a_name_share_one_lookup(harness: ResolverHarness) -> None:
    harness.speaks.clear()
    assert [harness.ask(waiter=waiter) for waiter in ("one", "two", "three")] == [None] * 3
    harness.resolver.forget("two")
    harness.speaks.set()
    assert harness.answered() == {"one": OLD, "three": OLD}
    assert harness.asked == [NAME]
    assert not harness.resolver.busy


def test_an_answer_is_cached_until_it_expires_and_refreshed_shortly_before(harness: ResolverHarness) -> None:
    harness.known()
    harness.answer = NEW
    harness.now += FRESH_SECONDS - 1
    assert harness.ask() == OLD
    assert harness.asked == [NAME]
    harness.now += 2
    assert harness.ask() == OLD
    assert harness.answered() == {}
    assert harness.ask() == NEW
    assert harness.asked == [NAME] * 2


def test_an_expired_answer_is_looked_up_again(harness: ResolverHarness) -> None:
    harness.known()
    harness.answer = NEW
    harness.now += KEPT_SECONDS + 1
    assert harness.ask() is None
    assert harness.answered() == {"one": NEW}


def test_a_stale_answer_serves_while_its_servers_fail_for_a_limited_time(harness: ResolverHarness) -> None:
    harness.known()
    known_at, harness.answer = harness.now, AGAIN
    harness.now += KEPT_SECONDS + 1
    assert harness.ask() is None
    assert harness.answered() == {"one": OLD}
    harness.now += FAILURE_SECONDS + 1
    assert harness.ask() == OLD
    assert harness.answered() == {}
    harness.now = known_at + STALE_SECONDS + 1
    assert harness.ask() is None
    assert harness.answered() == {"one": ()}


def test_a_stale_answer_serves_while_its_servers_are_silent(harness: ResolverHarness) -> None:
    harness.known()
    harness.speaks.clear()
    harness.now += KEPT_SECONDS + 1
    assert harness.ask() is None
    harness.now += PATIENCE_SECONDS + 0.1
    assert harness.ask(waiter="two") == OLD
    harness.now += STALE_SECONDS
    assert harness.ask(waiter="three") is None


def test_a_name_that_no_longer_exists_fails_at_once(harness: ResolverHarness) -> None:
    harness.known()
    harness.answer = UNKNOWN
    harness.now += KEPT_SECONDS + 1
    assert harness.ask() is None
    assert harness.answered() == {"one": ()}
    assert harness.ask() == ()


@pytest.mark.parametrize("error", [AGAIN, UNKNOWN])
def test_a_failed_lookup_is_cached_for_a_moment(harness: ResolverHarness, error: Exception) -> None:
    harness.answer = error
    assert harness.ask() is None
    assert harness.answered() == {"one": ()}
    assert harness.ask() == ()
    harness.answer = NEW
    harness.now += FAILURE_SECONDS + 0.1
    assert harness.ask() is None
    assert harness.answered() == {"one": NEW}


def test_waiters_time_out_in_the_order_of_their_deadlines(harness: ResolverHarness) -> None:
    harness.speaks.clear()
    for waiter, seconds in (("last", 3), ("first", 1), ("gone", 1.5), ("second", 2)):
        assert harness.ask(waiter=waiter, seconds=seconds) is None
    harness.resolver.forget("gone")
    assert harness.resolver.next_deadline == harness.now + 1
    harness.now += 2
    assert harness.resolver.late(harness.now) == ["first", "second"]
    assert harness.resolver.waiters() == ["last"]
    harness.resolver.forget("last")
    assert harness.resolver.next_deadline == float("inf")


def test_a_repeated_wait_has_a_new_deadline(harness: ResolverHarness) -> None:
    harness.known()
    harness.speaks.clear()
    harness.now += KEPT_SECONDS + 1
    assert harness.ask(waiter="other") is None
    assert harness.ask(seconds=1) is None
    harness.resolver.forget("one")
    assert harness.ask(seconds=5) is None
    assert harness.resolver.late(harness.now + 2) == []
    assert harness.resolver.late(harness.now + 5) == ["one"]


def test_more_names_than_threads_are_queued(harness: ResolverHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 3)
    names = [f"{number}.example" for number in range(10)]
    assert [harness.ask(name, waiter=name) for name in names] == [None] * 10
    told: dict[str, Addresses] = {}
    while len(told) < 10:
        told |= harness.answered()
    assert told == dict.fromkeys(names, OLD)
    assert sorted(harness.asked) == names


def test_without_a_free_thread_a_lookup_fails(harness: ResolverHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert harness.ask() is None
    assert harness.answered() == {"one": ()}


def test_the_cache_of_names_is_bounded(harness: ResolverHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_NAMES", 200)
    for number in range(1000):
        name = f"{number}.example"
        assert harness.ask(name) is None
        harness.answered()
        assert harness.ask(name) == OLD
    assert len(harness.resolver._names) <= 200
