"""The one tree of errors that the house raises for what a caller asked. Each has a code and is told as it is."""

from typing import Any


class HourhandError(Exception):
    """A request that can't be done. `code` is stable, `detail` is a sentence for people, `field` names the input.

    `members` are told beside those that every problem has (RFC 9457, section 3.2).
    """

    code = "error"
    status = 400

    def __init__(self, detail: str, *, field: str | None = None, members: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.members = members or {}


class ConflictError(HourhandError):
    """Illegal in the present state of things."""

    code = "conflict"
    status = 409


class NotFoundError(HourhandError):
    """There is no such thing within the caller's reach."""

    code = "not_found"
    status = 404
