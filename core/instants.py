"""How instants are written and read. Pure."""

import datetime

#: Instants that callers name lie between these: days can be added to them, and any time zone can show them.
EARLIEST = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)
LATEST = datetime.datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)


class InvalidInstantError(ValueError):
    """A text that names no instant; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def instant_text(value: datetime.datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`: how every time is written on the wire and in a job's configuration."""
    return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_instant(text: str, *, zone: datetime.tzinfo | None = None, is_bound: bool = False) -> datetime.datetime:
    """The instant, in UTC, that an ISO 8601 text names; without an offset, on the wall clock of `zone`.

    What only bounds a span (`is_bound`) is moved to EARLIEST or LATEST where it is beyond: nothing is there. Raises
    InvalidInstantError with the code `invalid`, `no_offset` (and no `zone`), or `out_of_range`.
    """
    try:
        found = datetime.datetime.fromisoformat(text)
        if found.tzinfo is None:
            if zone is None:
                raise InvalidInstantError("no_offset")
            found = found.replace(tzinfo=zone)
        found = found.astimezone(datetime.UTC)
    except OverflowError as error:
        raise InvalidInstantError("out_of_range") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInstantError):
            raise
        raise InvalidInstantError("invalid") from error
    bounded = min(max(found, EARLIEST), LATEST)
    if bounded != found and not is_bound:
        raise InvalidInstantError("out_of_range")
    return bounded
