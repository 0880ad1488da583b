"""Token buckets in Redis, one for each caller. While Redis is down or slow, every request passes."""

import math
import time
from collections.abc import Callable
from functools import cache

import structlog
from django.conf import settings

from core.limits.rate import Rate, RateDecision
from core.redis import REDIS_ERRORS, Breaker, redis_client

log = structlog.get_logger(__name__)

#: The longest that a request waits for Redis, which normally answers in a tenth of a millisecond.
TIMEOUT_SECONDS = 0.1
#: How long Redis is left alone after a failure, so that an outage does not cost every request the time-out.
PAUSE_SECONDS = 2.0
_PREFIX = "hourhand:rate:"
# A script is atomic: two requests never take the same token. It reads Redis's clock, so that all web machines agree.
# A full bucket is the same as none, so the key expires when the bucket would be full.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local burst, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * per_ms)
local allowed = 0
if tokens >= 1 then
  allowed = 1
  tokens = tokens - 1
end
local full_in = math.ceil((burst - tokens) / per_ms)
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], full_in + 1000)
return {allowed, math.floor(tokens), full_in, math.ceil(math.max(0, 1 - tokens) / per_ms)}
"""


class Buckets:
    """Token buckets in one Redis. Safe to share between threads; `clock` is monotonic, in seconds."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._take = redis_client(url, timeout_seconds=TIMEOUT_SECONDS).register_script(_TAKE)
        self._breaker = Breaker(PAUSE_SECONDS, clock=clock)

    def take(self, subject: str, rate: Rate) -> RateDecision | None:
        """Take a token from the bucket of `subject`. Returns None while Redis does not answer."""
        if self._breaker.is_open:
            return None
        try:
            allowed, remaining, full_ms, next_ms = self._take(
                keys=[_PREFIX + subject], args=[rate.burst, f"{rate.per_millisecond:.12f}"]
            )
        except REDIS_ERRORS as error:
            if self._breaker.failed():
                log.warning("rate_limit_suspended", error=str(error))
            return None
        if self._breaker.succeeded():
            log.info("rate_limit_resumed")
        return RateDecision(
            allowed=bool(allowed),
            limit=rate.count,
            remaining=remaining,
            reset_seconds=math.ceil(full_ms / 1000),
            retry_seconds=0 if allowed else max(1, math.ceil(next_ms / 1000)),
        )


@cache
def _buckets(url: str) -> Buckets:
    return Buckets(url)


def buckets() -> Buckets:
    """This process's buckets."""
    return _buckets(settings.REDIS_URL)
