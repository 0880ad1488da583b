"""Error responses: every exception becomes `application/problem+json` (RFC 9457)."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from core.errors import HourhandError
from core.sqlstates import is_passing

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
_NON_FIELD = "non_field_errors"
#: Maximum number of fields in `errors`; `detail` has the total.
MAX_ERRORS = 100
#: Names from the request are cut to this length in errors.
MAX_NAME_LENGTH = 100
_MIB = 1024 * 1024


class LengthRequired(exceptions.APIException):
    """The body has no Content-Length, and would be read as empty."""

    status_code = HTTPStatus.LENGTH_REQUIRED
    default_detail = "Send the body with a Content-Length header; chunked bodies are not supported."
    default_code = "length_required"


class BodyTooLarge(exceptions.APIException):
    """The body is larger than `limit` bytes."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit // _MIB} MiB.")

    @classmethod
    def default(cls) -> "BodyTooLarge":
        return cls(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


class EncodedBody(exceptions.APIException):
    """The body is compressed, so its size is unknown."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_content_encoding"

    def __init__(self, coding: str) -> None:
        super().__init__(f"Send the body without Content-Encoding; {shortened(coding)} is not supported.")


class TooManyRequests(exceptions.APIException):
    """The rate limit is exceeded; retry after `wait` seconds."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS
    default_code = "rate_limited"

    def __init__(self, wait: int) -> None:
        self.wait = wait
        super().__init__(f"Too many requests; retry in {wait} second{'s' if wait > 1 else ''}.")


class DatabaseUnavailable(exceptions.APIException):
    """PostgreSQL is unreachable or read-only. Nothing was changed."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database is unavailable; retry in a moment."
    default_code = "database_unavailable"
    wait = 5


def problem_response(error: Exception, context: dict[str, Any]) -> Response:
    """The response for an exception. An unexpected one is logged, and answered 500 without details."""
    headers = {}
    if isinstance(error, (DatabaseError, InterfaceError)) and is_passing(error):
        log.warning("api_database_away", view=type(context.get("view")).__name__, error=str(error).strip())
        error = DatabaseUnavailable()
    if isinstance(error, exceptions.APIException) and (header := getattr(error, "auth_header", None)):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(wait)
    body = _problem_of(error)
    if body is None:
        log.error("api_request_failed", view=type(context.get("view")).__name__, exc_info=error)
        body = internal_error()
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _problem_of(error: Exception) -> dict[str, Any] | None:
    match error:
        case HourhandError():
            errors = [{"field": error.field, "code": error.code, "detail": error.detail}] if error.field else []
            return {**problem(error.status, error.code, error.detail, errors), **error.members}
        case exceptions.ValidationError():
            errors = list(field_errors(error.detail))
            return problem(error.status_code, "invalid", _summary(errors), errors)
        case exceptions.APIException():
            code = getattr(error.detail, "code", None) or error.default_code
            return problem(error.status_code, code, str(error.detail))
        case Http404():
            return problem(404, "not_found", "Not found.")
        case PermissionDenied():
            return problem(403, "permission_denied", str(error) or "Not allowed.")
        case RequestDataTooBig():
            return problem(413, "too_large", str(BodyTooLarge.default().detail))
        case SuspiciousOperation():
            return problem(400, "bad_request", "The request is malformed.")
    return None


def problem(status: int, code: str, detail: str, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The body of an error. `errors` has the first MAX_ERRORS invalid fields, by dotted path."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "errors": (errors or [])[:MAX_ERRORS],
    }


def shortened(name: str) -> str:
    """A name from the request, cut for an error."""
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"


def internal_error() -> dict[str, Any]:
    return problem(500, "internal_error", "Internal error; see the server's log.")


def field_errors(detail: Any, path: str | None = None) -> Iterator[dict[str, Any]]:
    """Flatten DRF's tree of errors to `{"field", "code", "detail"}`; `field` is null for the whole body."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            own = shortened(str(key))
            name = path if key == _NON_FIELD else f"{path}.{own}" if path else own
            yield from field_errors(inner, name)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, (dict, list))
            yield from field_errors(inner, f"{path}.{index}" if nested and path else path)
    else:
        yield {"field": path, "code": getattr(detail, "code", "invalid"), "detail": str(detail)}


def _summary(errors: list[dict[str, Any]]) -> str:
    if not errors:
        return "The request is invalid."
    first = errors[0]
    detail: str = f"{first['field']}: {first['detail']}" if first["field"] else first["detail"]
    return detail if len(errors) == 1 else f"{detail} (and {len(errors) - 1} more)"
