"""The tree of errors that callers see. The API shows each with its code and detail."""

from typing import Any


class HourhandError(Exception):
    """A request that can't be carried out. `code` is stable, `detail` a sentence for people, `field` names the input.

    `members` extend the problem document (RFC 9457, section 3.2).
    """

    code = "error"
    status = 400

    def __init__(self, detail: str, *, field: str | None = None, members: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.members = members or {}


class ConflictError(HourhandError):
    """The present state does not allow the request."""

    code = "conflict"
    status = 409


class NotFoundError(HourhandError):
    """The caller can see no such object."""

    code = "not_found"
    status = 404
