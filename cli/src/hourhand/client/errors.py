"""What can go wrong with a request, as exceptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """One invalid field of a request; `field` is its dotted path, None for the whole body."""

    field: str | None
    code: str
    detail: str


class ClientError(Exception):
    """Anything that the client raises: the base of the errors below."""


class ServerAwayError(ClientError):
    """No answer: the server can't be reached, or the connection was lost or timed out."""


class WaitTimeoutError(ClientError):
    """An execution did not end in the time that the caller allows."""


class ApiError(ClientError):
    """An answer that reports an error: problem+json (RFC 9457), whose members these attributes are.

    `code` is stable, `detail` is for people, `errors` are the invalid fields, and `problem` is the whole document.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code") or f"http_{status}")
        self.title = str(problem.get("title") or "")
        self.detail = str(problem.get("detail") or self.title or f"The server answered {status}.")
        self.errors = tuple(
            FieldError(error.get("field"), str(error.get("code", "")), str(error.get("detail", "")))
            for error in problem.get("errors") or ()
        )
        super().__init__(f"{self.detail} ({self.code})")


class AccessDeniedError(ApiError):
    """401 or 403: there is no valid key, or it lacks a scope."""


class NotFoundError(ApiError):
    """404: it does not exist, or the key does not reach it."""


class ConflictError(ApiError):
    """409: the present state does not allow the request."""


class RateLimitedError(ApiError):
    """429: too many requests, for longer than the client waits."""


class UnavailableError(ApiError):
    """502, 503 or 504: the server or what it needs is away, for longer than the client waits."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def api_error(status: int, problem: Mapping[str, Any]) -> ApiError:
    """Return the exception for an answer with this status and problem document."""
    return _BY_STATUS.get(status, ApiError)(status, problem)
