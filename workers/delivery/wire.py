"""HTTP's syntax: header lines to send, and the head of a response from libcurl's header lines. Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_HEADER_LINES = 200
MAX_HEADER_BYTES = 64 * 1024

#: From this size on libcurl would send "Expect: 100-continue" and wait before it sends the body.
EXPECT_THRESHOLD_BYTES = 1_000_000

#: Headers that only the engine, or nobody, may set: connection and framing (RFC 9110 section 7.6.1, RFC 9112).
ENGINE_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "connection",
        "proxy-connection",
        "keep-alive",
        "expect",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
    }
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_AFTER_AUTHORITY = re.compile(r"[^:/?#]+://[^/?#]*([^#]*)")
_BLANK = (b"\r\n", b"\n")
_BLANKS = " \t\r\n"  # optional whitespace around a value; other blanks belong to it

#: Header lines up to this length are parsed once and cached: most responses repeat most of theirs.
CACHED_LINE_BYTES = 256


class InvalidRequest(ValueError):  # noqa: N818 - it names what is wrong, like a failure reason
    """The request cannot be sent; the text says why."""


class Head(NamedTuple):
    """The status line and headers of the final response. `headers` has lower-case names, and repeated ones joined.
    `ended`: by a blank line, not by the end of the connection.
    """

    status_code: int
    http_version: str
    headers: dict[str, str]
    ended: bool


def request_target(url: str) -> str:
    """The target of the request line: path and query exactly as in the URL, which libcurl would normalize."""
    match = _AFTER_AUTHORITY.match(url)
    target = match[1] if match else ""
    return target if target.startswith("/") else f"/{target}"


def header_lines(headers: Sequence[tuple[str, str]], body: bytes | None) -> Sequence[str | bytes]:
    """Make libcurl's header list: `headers`, and a line `Name:` for each header that libcurl would add by itself.

    Raises InvalidRequest.
    """
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers]
    joined = "\t".join(lines)
    if "\n" in joined or "\r" in joined or "\0" in joined:
        raise InvalidRequest("a header holds a line break or a NUL character")
    lines += _withheld(tuple([name for name, _ in headers]), body is not None)
    if body is not None and len(body) >= EXPECT_THRESHOLD_BYTES:
        lines.append("Expect:")
    return lines if joined.isascii() else [line.encode() for line in lines]


@lru_cache(maxsize=4096)
def _withheld(names: tuple[str, ...], has_body: bool) -> tuple[str, ...]:
    """The lines that keep libcurl from adding its own headers. Raises InvalidRequest for a forbidden name."""
    lower = set()
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise InvalidRequest(f"{name[:80]!r} is not a valid header name")
        if name.lower() in ENGINE_HEADERS:
            raise InvalidRequest(f"the header {name} cannot be set")
        lower.add(name.lower())
    defaults = ("accept", "content-type") if has_body else ("accept",)
    return tuple(f"{default}:" for default in defaults if default not in lower)


def parse_head(lines: Sequence[bytes]) -> Head | None:
    """Parse the final response's head; None without one. Skips interim (1xx) heads before it and trailers after."""
    start = 0
    while start < len(lines) and lines[start].startswith(b"HTTP/"):
        status_code, version = _status_line(lines[start])
        if status_code >= 200 or status_code == 101:  # noqa: PLR2004 - RFC 9110 section 15.2
            ended = lines[-1] in _BLANK or any(line in _BLANK for line in lines[start:])
            return Head(status_code, version, _headers(lines, start + 1), ended)
        start = _after_blank(lines, start + 1)
    return None


def _status(line: bytes) -> tuple[int, str]:
    """Parse a status line into its status code, 0 if it is missing, and HTTP version."""
    version, *remainder = line.split(None, 2)
    return int(remainder[0]) if remainder and remainder[0].isdigit() else 0, version[5:].decode("latin-1")


_cached_status = lru_cache(maxsize=256)(_status)


def _status_line(line: bytes) -> tuple[int, str]:
    return _cached_status(line) if len(line) <= CACHED_LINE_BYTES else _status(line)


def _after_blank(lines: Sequence[bytes], start: int) -> int:
    for index in range(start, len(lines)):
        if lines[index] in _BLANK:
            return index + 1
    return len(lines)


def _headers(lines: Sequence[bytes], start: int) -> dict[str, str]:
    """Parse the headers from `lines[start]` to the blank line, within the limits."""
    headers: dict[str, str] = {}
    left_bytes = MAX_HEADER_BYTES
    for line in lines[start : start + MAX_HEADER_LINES]:
        length = len(line)
        left_bytes -= length
        field = _cached_field(line) if length <= CACHED_LINE_BYTES else _field(line)
        if field is None or left_bytes < 0:
            break
        name, value = field
        if name in headers:
            value = f"{headers[name]}\n{value}" if name == "set-cookie" else f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _field(line: bytes) -> tuple[str, str] | None:
    """Parse a header line into its name, in lower case, and value; None for the blank line.

    Servers today send UTF-8 beyond ASCII; other octets are read as Latin-1 (RFC 9110 section 5.5), which loses none.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    name, colon, value = text.partition(":")
    return (name.strip().lower(), value.strip(_BLANKS)) if colon else None


_cached_field = lru_cache(maxsize=8192)(_field)
