"""Times on the command line: an instant, or a distance from now."""

import datetime
import re
from typing import Any

import click

_DISTANCE = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Time(click.ParamType):
    """An instant in ISO 8601, or a distance from now such as 90m, 2h or 7d; converts to what the API accepts.

    Distances count back, or forward if `ahead`.
    """

    name = "time"

    def __init__(self, *, ahead: bool = False) -> None:
        self._ahead = ahead

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        try:
            return instant_of(str(value), now=datetime.datetime.now(datetime.timezone.utc), ahead=self._ahead)
        except ValueError as error:
            self.fail(str(error), parameter, context)


def instant_of(text: str, *, now: datetime.datetime, ahead: bool = False) -> str:
    """Return an instant as ISO 8601 with an offset. Without one it is in UTC. Raises ValueError."""
    if distance := _DISTANCE.fullmatch(text):
        seconds = datetime.timedelta(seconds=int(distance[1]) * _SECONDS[distance[2]])
        at = now + seconds if ahead else now - seconds
        return at.isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        # Python 3.10 knows no Z.
        at = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a time such as 2026-03-15T02:00Z nor a distance from now such as 2h."
        ) from error
    return (at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)).isoformat()
