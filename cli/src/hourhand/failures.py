"""What ends a command early: each error with its message and exit code."""

import click

from hourhand.client.errors import (
    AccessDeniedError,
    ApiError,
    ClientError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    ServerAwayError,
    UnavailableError,
)
from hourhand.exits import Exit

_CODES: tuple[tuple[tuple[type[ClientError], ...], Exit], ...] = (
    ((ServerAwayError, RateLimitedError, UnavailableError), Exit.AWAY),
    ((AccessDeniedError,), Exit.ACCESS),
    ((NotFoundError,), Exit.NOT_FOUND),
    ((ConflictError,), Exit.CONFLICT),
)


class Failure(click.ClickException):
    """The command failed: click prints the message on stderr and exits with the code."""

    def __init__(self, message: str, exit_code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.exit_code = int(exit_code)  # type: ignore[misc] # click reads it from the instance


class Interrupted(click.exceptions.Exit):
    """Ctrl-C."""

    def __init__(self) -> None:
        super().__init__(int(Exit.INTERRUPTED))


def failure_of(error: ClientError) -> Failure:
    """Return how a command ends with this error of the client."""
    code = next((code for kinds, code in _CODES if isinstance(error, kinds)), Exit.ERROR)
    return Failure(_message(error), code)


def _message(error: ClientError) -> str:
    if not isinstance(error, ApiError):
        return str(error)
    fields = [f"{one.field}: {one.detail}" if one.field else one.detail for one in error.errors]
    if len(fields) == 1:
        return fields[0]
    return "\n  ".join([f"The server refused {len(fields)} fields.", *fields]) if fields else error.detail
