"""A rate in a setting, and a token bucket's decision by it. Pure."""

import re
from dataclasses import dataclass

_SECONDS = {"s": 1, "min": 60, "hour": 3600}
_FORM = re.compile(r"([1-9][0-9]{0,8})/(s|min|hour)")
_MAX_BURST = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `seconds`; after a pause, `burst` of them may come at once."""

    count: int
    seconds: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """Read `600/min`, `50/s` or `1000/hour`; `0` is None, no limit. Raises ValueError for anything else."""
        if text == "0":
            return None
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} should be a number per s, min or hour, as in 600/min, or 0 for no limit.")
        count, seconds = int(match[1]), _SECONDS[match[2]]
        return cls(count, seconds, burst=count if seconds == 1 else min(count, _MAX_BURST))

    @property
    def per_millisecond(self) -> float:
        return self.count / (self.seconds * 1000)


@dataclass(frozen=True, slots=True)
class RateDecision:
    """A bucket's decision about one request. `retry_seconds` is 0 if it is allowed; the bucket is full again after
    `reset_seconds`. Both are rounded up.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_seconds),
        }
