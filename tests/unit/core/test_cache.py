"""Cached answers, loads and expiry."""

from collections.abc import Collection
from typing import Any

import pytest

from core.cache import TtlCache


class Source:
    """Load each key as the number of loads so far, and record the requested keys."""

    def __init__(self) -> None:
        self.now = 0.0
        self.loads: list[list[str]] = []
        self.cache: TtlCache[str, int] = TtlCache(3.0, max_entries=3, clock=lambda: self.now)

    def get(self, keys: str) -> dict[str, int]:
        return self.cache.get_many(list(keys), self.load)

    def load(self, keys: Collection[str]) -> dict[str, int]:
        self.loads.append(sorted(keys))
        return dict.fromkeys(keys, len(self.loads))


@pytest.fixture
def source() -> Source:
    return Source()


def test_only_missing_keys_are_loaded_and_all_at_once(source: Source) -> None:
    assert source.get("ab") == {"a": 1, "b": 1}
    assert source.get("abc") == {"a": 1, "b": 1, "c": 2}
    assert source.loads == [["a", "b"], ["c"]]


def test_a_value_is_loaded_again_once_it_is_too_old(source: Source) -> None:
    source.get("a")
    source.now = 2.9
    assert source.get("a") == {"a": 1}
    source.now = 3.0
    assert source.get("a") == {"a": 2}


def test_a_value_is_as_old_as_the_moment_before_it_was_read(source: Source) -> None:
    def slow(keys: Collection[str]) -> dict[str, int]:
        source.now = 2.0
        return source.load(keys)

    source.cache.get_many(["a"], slow)
    source.now = 3.0
    assert source.get("a") == {"a": 2}


def test_a_slow_load_keeps_no_value_longer_than_a_quick_one_that_it_overlaps(source: Source) -> None:
    def slow(keys: Collection[str]) -> dict[str, int]:
        source.now = 2.0
        source.get("b")
        return source.load(keys)

    source.cache.get_many(["a"], slow)
    source.now = 3.0
    assert source.get("ab") == {"a": 3, "b": 1}


def test_the_oldest_entries_are_evicted(source: Source) -> None:
    source.get("a")
    source.get("bcd")
    source.get("bcd")
    source.get("a")
    assert source.loads == [["a"], ["b", "c", "d"], ["a"]]


def test_a_batch_larger_than_the_cache_is_answered_whole(source: Source) -> None:
    assert source.get("abcde") == dict.fromkeys("abcde", 1)
    source.get("abcde")
    assert len(source.loads[1]) == 2


def test_a_key_in_use_outlives_others_only_as_long_as_its_value_is_fresh(source: Source) -> None:
    source.get("ab")
    source.now = 2.0
    source.get("c")
    source.now = 3.0
    assert source.get("abc") == {"a": 3, "b": 3, "c": 2}


def test_nothing_expired_stays_in_memory(source: Source) -> None:
    source.get("abc")
    source.now = 3.0
    source.get("")
    assert not source.cache._entries


def test_keys_unknown_to_the_source_are_not_cached(source: Source) -> None:
    def nothing(keys: Collection[str]) -> dict[str, Any]:
        source.loads.append(sorted(keys))
        return {}

    assert [source.cache.get_many(["a"], nothing), source.cache.get_many(["a"], nothing)] == [{}, {}]
    assert source.loads == [["a"], ["a"]]
