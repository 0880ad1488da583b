"""The text of HTTP: header lines to send, and the head of an answer from the lines that libcurl hands over. Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_HEADER_LINES = 200
MAX_HEADER_BYTES = 64 * 1024

#: From this size on libcurl would ask "Expect: 100-continue" and wait for leave to send the body.
EXPECT_THRESHOLD_BYTES = 1_000_000

#: What only the engine, or nobody, may say about a connection or a message's framing (RFC 9110 section 7.6.1, RFC
#: 9112).
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
_BLANKS = " \t\r\n"  # what may stand around a value; other blanks are part of it

#: Header lines up to this length are parsed once and remembered: most answers repeat most of theirs.
REMEMBERED_LINE_BYTES = 256


class InvalidRequest(ValueError):  # noqa: N818 - it names what is wrong, as the failure reason does
    """The request cannot be sent as it is; the text says why."""


class Head(NamedTuple):
    """The status line and headers of the final answer. `headers`: lower-case names, repeated ones joined. `ended`: by a
    blank line, and not by the end of the connection."""

    status_code: int
    http_version: str
    headers: dict[str, str]
    ended: bool


def request_target(url: str) -> str:
    """What stands in the request line: path and query exactly as the URL has them, which libcurl would tidy up."""
    found = _AFTER_AUTHORITY.match(url)
    target = found[1] if found else ""
    return target if target.startswith("/") else f"/{target}"


def header_lines(headers: Sequence[tuple[str, str]], body: bytes | None) -> Sequence[str | bytes]:
    """The header list for libcurl: those given, and a line `Name:` for each one it would otherwise add by itself."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers]
    whole = "\t".join(lines)
    if "\n" in whole or "\r" in whole or "\0" in whole:
        raise InvalidRequest("a header holds a line break or a NUL character")
    lines += _withheld(tuple([name for name, _ in headers]), body is not None)
    if body is not None and len(body) >= EXPECT_THRESHOLD_BYTES:
        lines.append("Expect:")
    return lines if whole.isascii() else [line.encode() for line in lines]


@lru_cache(maxsize=4096)
def _withheld(names: tuple[str, ...], has_body: bool) -> tuple[str, ...]:
    """The lines that keep libcurl from adding headers of its own. Raises InvalidRequest for a name not to be sent."""
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
    """The final answer's head; None when none came. Interim (1xx) heads before it, trailers after it are left out."""
    start = 0
    while start < len(lines) and lines[start].startswith(b"HTTP/"):
        status_code, version = _status_line(lines[start])
        if status_code >= 200 or status_code == 101:  # noqa: PLR2004 - RFC 9110 section 15.2
            ended = lines[-1] in _BLANK or any(line in _BLANK for line in lines[start:])
            return Head(status_code, version, _headers(lines, start + 1), ended)
        start = _after_blank(lines, start + 1)
    return None


def _status(line: bytes) -> tuple[int, str]:
    """Status code, 0 where there is none, and HTTP version of a status line."""
    version, *rest = line.split(None, 2)
    return int(rest[0]) if rest and rest[0].isdigit() else 0, version[5:].decode("latin-1")


_remembered_status = lru_cache(maxsize=256)(_status)


def _status_line(line: bytes) -> tuple[int, str]:
    return _remembered_status(line) if len(line) <= REMEMBERED_LINE_BYTES else _status(line)


def _after_blank(lines: Sequence[bytes], start: int) -> int:
    for index in range(start, len(lines)):
        if lines[index] in _BLANK:
            return index + 1
    return len(lines)


def _headers(lines: Sequence[bytes], start: int) -> dict[str, str]:
    """The headers from `lines[start]` to the blank line, as far as the limits allow."""
    headers: dict[str, str] = {}
    left_bytes = MAX_HEADER_BYTES
    for line in lines[start : start + MAX_HEADER_LINES]:
        length = len(line)
        left_bytes -= length
        field = _remembered_field(line) if length <= REMEMBERED_LINE_BYTES else _field(line)
        if field is None or left_bytes < 0:
            break
        name, value = field
        if name in headers:
            value = f"{headers[name]}\n{value}" if name == "set-cookie" else f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _field(line: bytes) -> tuple[str, str] | None:
    """Name, in lower case, and value of a header line; None for the blank one.

    UTF-8 is what servers send today where a value goes beyond ASCII; any other octets are Latin-1 (RFC 9110 section
    5.5), in which none is lost.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    name, colon, value = text.partition(":")
    return (name.strip().lower(), value.strip(_BLANKS)) if colon else None


_remembered_field = lru_cache(maxsize=8192)(_field)
