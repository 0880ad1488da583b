"""What an answer's `Retry-After` asks for (RFC 9110, section 10.2.3). Pure."""

import datetime
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

#: Longer waits than this are not told apart; policies cap them far below.
_MAX_MS = 10**12


def retry_after_ms(headers: Mapping[str, str], *, received_at: datetime.datetime) -> int | None:
    """The wait that an answer asks for, from now on; None if it asks for none, or not so that it can be understood.

    A date is read against the answer's own `Date`, so that a target whose clock is wrong still means the wait that it
    means; without one, against `received_at`. A date in the past is no wait.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", value):
        return _MAX_MS if len(value) > 9 else int(value) * 1000  # noqa: PLR2004 - digits
    at = _http_date(value)
    if at is None:
        return None
    wait = at - (_http_date(headers.get("date", "")) or received_at)
    return min(_MAX_MS, max(0, round(wait.total_seconds() * 1000)))


def _http_date(text: str) -> datetime.datetime | None:
    """An instant in any of the three forms that RFC 9110, section 5.6.7 knows; all of them are UTC."""
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
