"""The live tail: server-sent events of executions."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import requests

from hourhand.client.errors import ServerAwayError
from hourhand.client.types import Execution

#: The stream's word for changes that it left out: read the list.
GAP = "gap"


@dataclass(frozen=True)
class Event:
    """A change of an execution, or a gap (`execution` is None). `position` is where to resume after it, if known."""

    kind: str
    execution: Execution | None
    position: str | None = None


def events_of(response: requests.Response) -> Iterator[Event]:
    """Yield the events of a stream until it ends. Raises ServerAwayError if it breaks."""
    try:
        yield from parse_events(_lines(response))
    except requests.RequestException as error:
        raise ServerAwayError(f"The stream of events broke: {error}") from error


def _lines(response: requests.Response) -> Iterator[str]:
    """Yield lines as they arrive. Without chunks, any larger piece than a byte would be waited for."""
    is_chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    pending = b""
    for piece in response.iter_content(chunk_size=None if is_chunked else 1):
        *lines, pending = (pending + piece).split(b"\n")
        yield from (line.decode().rstrip("\r") for line in lines)


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Parse lines of `text/event-stream`. An id on its own belongs to the events before it."""
    kind, data, position = "message", [], None
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            position = value
        elif not line:
            if data or position is not None:
                yield _event(kind, data, position)
            kind, data, position = "message", [], None


def _event(kind: str, data: list[str], position: str | None) -> Event:
    execution = json.loads("\n".join(data)) if kind == "execution" and data else None
    return Event(kind if data else "position", execution, position)
