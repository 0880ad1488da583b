"""Delays: "in 10 minutes" is a one-off, relative to when it is saved."""

import datetime
import re

from jobs.schedule.contract import ScheduleError
from jobs.schedule.tokens import Tokens

FIRST_WORD = "in"
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
_MAX_SECONDS = 10 * 366 * 86_400
_EXAMPLE = "in 10 minutes"


def read_delay(text: str) -> datetime.timedelta:
    """Read a delay; a day is 24 hours. Raises ScheduleError."""
    tokens = Tokens(text)
    tokens.needs(FIRST_WORD, _EXAMPLE)
    if not re.fullmatch(r"[0-9]{1,9}", tokens.next):
        raise tokens.unexpected(f'write it like "{_EXAMPLE}"')
    count = int(tokens.take())
    unit = tokens.next.removesuffix("s")
    if unit not in _UNITS:
        raise tokens.unexpected("expected seconds, minutes, hours, days or weeks")
    tokens.take()
    tokens.ended(_EXAMPLE)
    seconds = count * _UNITS[unit]
    if not 1 <= seconds <= _MAX_SECONDS:
        raise ScheduleError("should be from 1 second to ten years.")
    return datetime.timedelta(seconds=seconds)
