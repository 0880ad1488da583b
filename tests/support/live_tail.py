"""A client of the live tail over HTTP."""

import contextlib
import json
import queue
import threading
from typing import Any

import requests


class EventStream:
    """A stream, read in the background. `events` are (name, data); the last one is ("end", None)."""

    def __init__(self, url: str, *, path: str = "/api/v1/events/", **options: Any) -> None:
        self.answer = requests.get(url + path, stream=True, timeout=10, **options)
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.position: str | None = None
        self.opened = threading.Event()
        if self.answer.ok:
            threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "EventStream":
        assert self.answer.status_code == 200, self.answer.text
        assert self.opened.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream, and the thread that reads it: `answer.close()` alone waits until the server sends more."""
        with contextlib.suppress(RuntimeError, ValueError):  # it has ended, or was closed before
            self.answer.raw.shutdown()
        self.answer.close()

    def next(self, seconds: float = 10) -> tuple[str, Any]:
        return self.events.get(timeout=seconds)

    def until(self, status: str, seconds: float = 10) -> dict[str, Any]:
        """The next execution of this status."""
        while True:
            name, shown = self.next(seconds)
            assert name == "execution", name
            if shown["status"] == status:
                return shown

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is told for a moment that is longer than changes take."""
        try:
            return self.next(0.8)[0] == "end"
        except queue.Empty:
            return True

    def _read(self) -> None:
        name, data = "message", []
        try:
            for line in self.answer.iter_lines(chunk_size=1):
                field, _, value = line.decode().partition(": ")
                if field == "id":
                    self.position = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif not line:
                    if data:
                        self.events.put((name, json.loads("\n".join(data))))
                    name, data = "message", []
                    self.opened.set()
        except (requests.RequestException, AttributeError, OSError):
            self.events.put(("broken", None))
        self.events.put(("end", None))
