"""Responses of the web server itself, as problem+json like all of the API's errors."""

import json

from api.base.problems import CONTENT_TYPE, problem

_MESSAGES = {
    400: ("bad_request", "The request is not valid HTTP."),
    408: ("request_timeout", "The request did not arrive in time."),
    414: ("uri_too_long", "The request line is longer than {line} bytes."),
    431: ("headers_too_large", "A header is longer than {field} bytes, or there are more than {fields} headers."),
    500: ("internal_error", "Internal error; see the server's log."),
    501: ("not_implemented", "The transfer coding of the request is not supported."),
    503: ("overloaded", "Too many requests are waiting; try again in a moment."),
}


def server_problem(
    status: int, *, line: int = 0, field: int = 0, fields: int = 0
) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of the web server's own error response."""
    code, message = _MESSAGES.get(status, _MESSAGES[400])
    body = json.dumps(problem(status, code, message.format(line=line, field=field, fields=fields))).encode()
    headers = [
        ("Content-Type", CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if status in {408, 503}:
        headers.append(("Retry-After", "1"))
    return headers, body
