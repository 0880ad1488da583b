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


class House:
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
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(monkeypatch)
    yield made
    made.speaks.set()
    while made.resolver.busy:
        made.answered()


def test_concurrent_requests_for_a_name_share_one_lookup(house: House) -> None:
    house.speaks.clear()
    assert [house.ask(waiter=waiter) for waiter in ("one", "two", "three")] == [None] * 3
    house.resolver.forget("two")
    house.speaks.set()
    assert house.answered() == {"one": OLD, "three": OLD}
    assert house.asked == [NAME]
    assert not house.resolver.busy


def test_an_answer_is_cached_until_it_expires_and_refreshed_shortly_before(house: House) -> None:
    house.known()
    house.answer = NEW
    house.now += FRESH_SECONDS - 1
    assert house.ask() == OLD
    assert house.asked == [NAME]
    house.now += 2
    assert house.ask() == OLD
    assert house.answered() == {}
    assert house.ask() == NEW
    assert house.asked == [NAME] * 2


def test_an_expired_answer_is_looked_up_again(house: House) -> None:
    house.known()
    house.answer = NEW
    house.now += KEPT_SECONDS + 1
    assert house.ask() is None
    assert house.answered() == {"one": NEW}


def test_a_stale_answer_serves_while_its_servers_fail_for_a_limited_time(house: House) -> None:
    house.known()
    known_at, house.answer = house.now, AGAIN
    house.now += KEPT_SECONDS + 1
    assert house.ask() is None
    assert house.answered() == {"one": OLD}
    house.now += FAILURE_SECONDS + 1
    assert house.ask() == OLD
    assert house.answered() == {}
    house.now = known_at + STALE_SECONDS + 1
    assert house.ask() is None
    assert house.answered() == {"one": ()}


def test_a_stale_answer_serves_while_its_servers_are_silent(house: House) -> None:
    house.known()
    house.speaks.clear()
    house.now += KEPT_SECONDS + 1
    assert house.ask() is None
    house.now += PATIENCE_SECONDS + 0.1
    assert house.ask(waiter="two") == OLD
    house.now += STALE_SECONDS
    assert house.ask(waiter="three") is None


def test_a_name_that_no_longer_exists_fails_at_once(house: House) -> None:
    house.known()
    house.answer = UNKNOWN
    house.now += KEPT_SECONDS + 1
    assert house.ask() is None
    assert house.answered() == {"one": ()}
    assert house.ask() == ()


@pytest.mark.parametrize("error", [AGAIN, UNKNOWN])
def test_a_failed_lookup_is_cached_for_a_moment(house: House, error: Exception) -> None:
    house.answer = error
    assert house.ask() is None
    assert house.answered() == {"one": ()}
    assert house.ask() == ()
    house.answer = NEW
    house.now += FAILURE_SECONDS + 0.1
    assert house.ask() is None
    assert house.answered() == {"one": NEW}


def test_waiters_time_out_in_the_order_of_their_deadlines(house: House) -> None:
    house.speaks.clear()
    for waiter, seconds in (("last", 3), ("first", 1), ("gone", 1.5), ("second", 2)):
        assert house.ask(waiter=waiter, seconds=seconds) is None
    house.resolver.forget("gone")
    assert house.resolver.next_deadline == house.now + 1
    house.now += 2
    assert house.resolver.late(house.now) == ["first", "second"]
    assert house.resolver.waiters() == ["last"]
    house.resolver.forget("last")
    assert house.resolver.next_deadline == float("inf")


def test_a_repeated_wait_has_a_new_deadline(house: House) -> None:
    house.known()
    house.speaks.clear()
    house.now += KEPT_SECONDS + 1
    assert house.ask(waiter="other") is None
    assert house.ask(seconds=1) is None
    house.resolver.forget("one")
    assert house.ask(seconds=5) is None
    assert house.resolver.late(house.now + 2) == []
    assert house.resolver.late(house.now + 5) == ["one"]


def test_more_names_than_threads_are_queued(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 3)
    names = [f"{number}.example" for number in range(10)]
    assert [house.ask(name, waiter=name) for name in names] == [None] * 10
    told: dict[str, Addresses] = {}
    while len(told) < 10:
        told |= house.answered()
    assert told == dict.fromkeys(names, OLD)
    assert sorted(house.asked) == names


def test_without_a_free_thread_a_lookup_fails(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert house.ask() is None
    assert house.answered() == {"one": ()}


def test_the_cache_of_names_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_NAMES", 200)
    for number in range(1000):
        name = f"{number}.example"
        assert house.ask(name) is None
        house.answered()
        assert house.ask(name) == OLD
    assert len(house.resolver._names) <= 200
