"""A rate as an operator writes it, and what a token bucket makes of it. Pure."""

import re
from dataclasses import dataclass

_SECONDS = {"s": 1, "min": 60, "hour": 3600}
_FORM = re.compile(r"([1-9][0-9]{0,8})/(s|min|hour)")
_MAX_BURST = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `seconds`, evenly, of which `burst` may come at once after a pause."""

    count: int
    seconds: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """`600/min`, `50/s` or `1000/hour`; None, for no limit, from `0`. Raises ValueError for anything else."""
        if text == "0":
            return None
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} should be a number per s, min or hour, as in 600/min, or 0 for no limit.")
        count, seconds = int(found[1]), _SECONDS[found[2]]
        return cls(count, seconds, burst=count if seconds == 1 else min(count, _MAX_BURST))

    @property
    def per_millisecond(self) -> float:
        return self.count / (self.seconds * 1000)


@dataclass(frozen=True, slots=True)
class RateDecision:
    """What a bucket says to one request. `retry_seconds` is 0 when it is allowed; `reset_seconds` is until all of the
    burst is there again. Whole seconds, rounded up.
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
