"""A cache of values that may be some seconds old."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Keeps values for `ttl_seconds`, and at most `max_entries` of them. Thread-safe.

    `clock` is monotonic, in seconds. Unlike cachetools.TTLCache it takes its lock once for a whole batch of keys, and
    loads all that are missing at once.
    """

    def __init__(self, ttl_seconds: float, *, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_entries = max_entries
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[K, tuple[float, V]] = {}  # in the order in which they were loaded

    def get_many(self, keys: Collection[K], load: Callable[[set[K]], Mapping[K, V]]) -> dict[K, V]:
        """The values of `keys`, of which `load` reads those that are missing or expired."""
        now = self._clock()
        with self._lock:
            self._evict(now)
            values = {key: entry[1] for key in keys if (entry := self._entries.get(key)) and entry[0] > now}
        if len(values) < len(keys) and (missing := set(keys) - values.keys()):
            loaded = load(missing)
            with self._lock:
                self._entries |= {key: (now + self._ttl_seconds, value) for key, value in loaded.items()}
                self._evict(now)
            values |= loaded
        return values

    def _evict(self, now: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries))
            if len(self._entries) <= self._max_entries and self._entries[oldest][0] > now:
                break
            del self._entries[oldest]
