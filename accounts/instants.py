"""How instants are written. Pure."""

import datetime


def instant_text(value: datetime.datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`: how every time is written on the wire and in a job's configuration."""
    return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
