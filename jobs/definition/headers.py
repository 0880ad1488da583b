"""Which headers a job may set. Pure."""

import re

MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 1024

#: Headers, in lower case, that a job can't set: hop-by-hop (RFC 9110, section 7.6.1), framing, the engine's own, and
#: Hourhand's own.
PROTECTED_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "http2-settings", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "idempotency-key", "webhook-id", "webhook-signature", "webhook-timestamp",
    }
)  # fmt: skip
PROTECTED_HEADER_PREFIX = "x-hourhand-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # control characters except the tab


def header_problems(headers: dict[str, str]) -> dict[str, str]:
    """Return why each header that can't be sent is invalid, by its name."""
    problems = {}
    seen: set[str] = set()
    for name, value in headers.items():
        if problem := _problem(name, value, seen):
            problems[name] = problem
        seen.add(name.lower())
    return problems


def is_name(text: str) -> bool:
    """Return whether a text is a valid header name, of a request or a response."""
    return _TOKEN.fullmatch(text) is not None


def size_of(headers: dict[str, str]) -> int:
    """Return the size of all names and values, in bytes."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())


def _problem(name: str, value: str, seen: set[str]) -> str | None:
    lower = name.lower()
    if not is_name(name):
        return "Should be a valid header name: letters, digits and !#$%&'*+.^_`|~- only."
    if lower in PROTECTED_HEADERS or lower.startswith(PROTECTED_HEADER_PREFIX):
        return "Hourhand sets this header itself."
    if lower in seen:
        return "This header is given twice; names are case-insensitive."
    if NOT_IN_A_VALUE.search(value):
        return "Should have no line breaks or control characters."
    return None
