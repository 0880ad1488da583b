"""Redis clients, and the breaker that spares callers a Redis that is down."""

import threading
import time
from collections.abc import Callable

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

#: What a client raises while Redis is down, hangs or refuses.
REDIS_ERRORS = (redis.RedisError, OSError)


def redis_client(
    url: str, *, timeout_seconds: float, connect_seconds: float | None = None, retries: int = 0, decode: bool = False
) -> "redis.Redis":
    """A client with a pool of connections; safe to share between threads. `decode` has it answer text, not bytes.

    Connecting has the same time-out unless `connect_seconds` is given. redis-py keeps TCP connections alive by itself.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=decode,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds if connect_seconds is None else connect_seconds,
        retry=Retry(NoBackoff(), retries),
    )


def async_redis_client(url: str, *, timeout_seconds: float, decode: bool = False) -> "redis.asyncio.Redis":
    """The same for an event loop."""
    return redis.asyncio.Redis.from_url(
        url,
        decode_responses=decode,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=AsyncRetry(NoBackoff(), 0),
    )


class Breaker:
    """Opens for `pause_seconds` when a server fails, so that an outage costs one time-out a pause, not one a caller.

    Safe to share between threads; `clock` is monotonic, in seconds.
    """

    def __init__(self, pause_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failing = False
        self._closes_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether to leave the server alone."""
        return self._failing and self._clock() < self._closes_at

    def failed(self) -> bool:
        """Open. Returns True for the first failure of an outage."""
        with self._lock:
            was_failing, self._failing = self._failing, True
            self._closes_at = self._clock() + self._pause_seconds
        return not was_failing

    def succeeded(self) -> bool:
        """Close. Returns True for the first success after an outage."""
        if not self._failing:
            return False
        with self._lock:
            was_failing, self._failing = self._failing, False
        return was_failing
