"""A recorded request, to be sent to another server. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from hourhand.client.types import Run

REDACTED = "[redacted]"
#: They belong to one connection, or are set anew.
_NOT_FORWARDED = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "keep-alive", "te", "upgrade", "expect"}
)


@dataclass(frozen=True)
class Forwarded:
    """The request to send. `hidden` names the parts that history keeps redacted."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    hidden: tuple[str, ...]


def forwarded(run: Run, target: str) -> Forwarded:
    """Return the recorded request of a run for another URL, whose path replaces the recorded one if it has any."""
    request = run["request"]
    headers = {name: value for name, value in request["headers"].items() if name.lower() not in _NOT_FORWARDED}
    hidden = [name for name, value in headers.items() if REDACTED in value]
    url, text = _url(request["url"], target), request["body"]
    hidden += ["URL"] * (REDACTED in url) + ["body"] * (text is not None and REDACTED in text)
    body = None if text is None else base64.b64decode(text) if request.get("body_encoding") else text.encode()
    return Forwarded(request["method"], url, headers, body, tuple(hidden))


def _url(recorded: str, target: str) -> str:
    to = urlsplit(target)
    if to.path not in {"", "/"} or to.query:
        return target
    parts = urlsplit(recorded)
    return urlunsplit((to.scheme, to.netloc, parts.path or "/", parts.query, ""))
