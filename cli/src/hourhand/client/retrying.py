"""When to repeat a request, and how long to wait before. Pure."""

import datetime
import email.utils
from dataclasses import dataclass

#: Statuses that are repeated if the answer says when.
_RETRIED = frozenset({429, 503})
_CONFLICT = 409
#: The code of an answer to a repetition while the first request is still being processed.
IN_USE = "idempotency_key_in_use"
#: Waits before lost connections are tried again, in seconds.
_RECONNECT_SECONDS = (0.5, 1.5)


@dataclass
class Patience:
    """The waits of one request: together at most `max_seconds`."""

    max_seconds: float
    waited: float = 0.0
    _lost: int = 0

    def after_answer(self, status: int, code: str, retry_after: str | None, *, now: datetime.datetime) -> float | None:
        """Return the seconds to wait before repeating a request that was answered; None: the answer counts."""
        if status not in _RETRIED and not (status == _CONFLICT and code == IN_USE):
            return None
        return self._take(parse_retry_after(retry_after, now=now))

    def after_lost_connection(self) -> float | None:
        """Return the seconds to wait before connecting again; None: give up."""
        if self._lost >= len(_RECONNECT_SECONDS):
            return None
        self._lost += 1
        return self._take(_RECONNECT_SECONDS[self._lost - 1])

    def _take(self, seconds: float | None) -> float | None:
        if seconds is None or self.waited + seconds > self.max_seconds:
            return None
        self.waited += seconds
        return seconds


def parse_retry_after(text: str | None, *, now: datetime.datetime) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date (RFC 9110, 10.2.3); None: absent or invalid."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (at - now).total_seconds())
