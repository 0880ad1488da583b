"""Which headers a job may set. Pure."""

import re

MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 1024

#: Header names, lower case, that a job can't set: hop-by-hop (RFC 9110, section 7.6.1), framing, what the engine
#: decides, and Hourhand's own.
PROTECTED_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "http2-settings", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "idempotency-key", "webhook-id", "webhook-signature", "webhook-timestamp",
    }
)  # fmt: skip
PROTECTED_HEADER_PREFIX = "x-hourhand-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # control characters but the tab


def wrong_headers(headers: dict[str, str]) -> dict[str, str]:
    """What is wrong with each header that can't be sent, by its name."""
    wrong = {}
    seen: set[str] = set()
    for name, value in headers.items():
        if problem := _what_is_wrong(name, value, seen):
            wrong[name] = problem
        seen.add(name.lower())
    return wrong


def is_name(text: str) -> bool:
    """Whether a header can be called so, a job's or an answer's."""
    return _TOKEN.fullmatch(text) is not None


def size_of(headers: dict[str, str]) -> int:
    """Bytes of all names and values together."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())


def _what_is_wrong(name: str, value: str, seen: set[str]) -> str | None:
    lower = name.lower()
    if not is_name(name):
        return "This is no valid header name."
    if lower in PROTECTED_HEADERS or lower.startswith(PROTECTED_HEADER_PREFIX):
        return "Hourhand sets this header itself."
    if lower in seen:
        return "This header stands twice; names know no upper and lower case."
    if NOT_IN_A_VALUE.search(value):
        return "A header value holds no line breaks or control characters."
    return None
