"""Calls with a time limit: a server that was stopped blocks its callers, whatever time-outs its client has."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any


class TimeLimitError(Exception):
    """A call took too long. Its thread keeps blocking on it; we abandon it."""


class TimeLimitedThread:
    """Makes one call after the other on a thread of its own, so that connections stay open between calls."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="doctor", daemon=True).start()

    def call(self, function: Callable[[], Any], *, seconds: float) -> tuple[Any, float]:
        """Return the result and the seconds that it took. Raises what the function raises, and TimeLimitError.

        After a TimeLimitError the thread is lost: call no more.
        """
        started = time.monotonic()
        self._calls.put(function)
        try:
            result, error = self._results.get(timeout=seconds)
        except queue.Empty:
            raise TimeLimitError from None
        if error is not None:
            raise error
        return result, time.monotonic() - started

    def _work(self) -> None:
        while True:
            function = self._calls.get()
            try:
                self._results.put((function(), None))
            except Exception as error:  # raised in the calling thread
                self._results.put((None, error))
