"""Reads and writes instants in ISO 8601. Pure."""

import datetime

#: Bounds of the instants that callers may name: days can be added to them, and every time zone can show them.
EARLIEST = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)
LATEST = datetime.datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)


class InvalidInstantError(ValueError):
    """A text that is not an instant; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def instant_text(value: datetime.datetime) -> str:
    """Write ISO 8601 in UTC with milliseconds and `Z`, as everywhere on the wire and in a job's configuration."""
    return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_instant(text: str, *, zone: datetime.tzinfo | None = None, is_bound: bool = False) -> datetime.datetime:
    """Read an ISO 8601 text as an instant in UTC. Without an offset it is local time of `zone`.

    The bound of a span (`is_bound`) is moved to EARLIEST or LATEST if it is beyond. Raises InvalidInstantError with the
    code `invalid`, `no_offset` (without a `zone`), or `out_of_range`.
    """
    try:
        instant = datetime.datetime.fromisoformat(text)
        if instant.tzinfo is None:
            if zone is None:
                raise InvalidInstantError("no_offset")
            instant = instant.replace(tzinfo=zone)
        instant = instant.astimezone(datetime.UTC)
    except OverflowError as error:
        raise InvalidInstantError("out_of_range") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInstantError):
            raise
        raise InvalidInstantError("invalid") from error
    bounded = min(max(instant, EARLIEST), LATEST)
    if bounded != instant and not is_bound:
        raise InvalidInstantError("out_of_range")
    return bounded
