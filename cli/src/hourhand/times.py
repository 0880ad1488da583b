"""Times on the command line: an instant, or how long ago."""

import datetime
import re
from typing import Any

import click

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Time(click.ParamType):
    """An instant in ISO 8601, or an age such as 90m, 2h or 7d; converts to what the API accepts."""

    name = "time"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        try:
            return instant_of(str(value), now=datetime.datetime.now(datetime.timezone.utc))
        except ValueError as error:
            self.fail(str(error), parameter, context)


def instant_of(text: str, *, now: datetime.datetime) -> str:
    """Return an instant as ISO 8601 with an offset. Without one it is in UTC. Raises ValueError."""
    if ago := _AGO.fullmatch(text):
        at = now - datetime.timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        return at.isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        # Python 3.10 knows no Z.
        at = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError as error:
        raise ValueError(f"{text!r} is neither a time such as 2026-03-15T02:00Z nor an age such as 2h.") from error
    return (at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)).isoformat()
