"""The wait that a response's `Retry-After` asks for (RFC 9110, section 10.2.3). Pure."""

import datetime
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

#: Longer waits count as this one; policies cap them far below.
_MAX_MS = 10**12
#: No date is longer, so nothing longer is parsed.
_MAX_CHARACTERS = 64
_WEEKDAY = re.compile(r"(?:mon|tue|tues|wed|wednes|thu|thurs|fri|sat|satur|sun)(?:day)?", re.IGNORECASE)


def retry_after_ms(headers: Mapping[str, str], *, received_at: datetime.datetime) -> int | None:
    """The wait that a response asks for, in milliseconds from now. None without one that can be parsed.

    A date is compared with the response's own `Date`, so that the wait is right though the target's clock is wrong;
    without one, with `received_at`. A date in the past is a wait of 0.

    The field is not a list, yet proxies repeat it, and repeated fields come joined by commas (section 5.3). Of several
    waits the longest counts, so that no retry comes earlier than any of them asks; the unparseable are ignored.
    """
    waits = [
        wait
        for value in _values(headers.get("retry-after", ""))
        if (wait := _wait_ms(value, headers, received_at)) is not None
    ]
    return max(waits, default=None)


def _values(joined: str) -> Iterator[str]:
    """The values of a field that came once or repeatedly. The comma after a weekday is part of a date."""
    weekday = ""
    for part in map(str.strip, joined.split(",")):
        if _WEEKDAY.fullmatch(part):
            weekday = f"{part}, "
        else:
            yield weekday + part
            weekday = ""


def _wait_ms(value: str, headers: Mapping[str, str], received_at: datetime.datetime) -> int | None:
    if re.fullmatch(r"[0-9]+", value):
        return _MAX_MS if len(value) > 9 else int(value) * 1000  # noqa: PLR2004 - digits
    at = _http_date(value)
    if at is None:
        return None
    now = next(filter(None, map(_http_date, _values(headers.get("date", "")))), received_at)
    return min(_MAX_MS, max(0, round((at - now).total_seconds() * 1000)))


def _http_date(text: str) -> datetime.datetime | None:
    """An instant in any of the three forms of RFC 9110, section 5.6.7; all of them are UTC."""
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
