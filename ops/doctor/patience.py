"""Asks what may never answer: a server that was stopped holds whoever waits for it, whatever timeouts a client has."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any


class NoAnswerError(Exception):
    """Nothing came back in time. Whoever was asked is still waited for, by a thread that nobody waits for."""


class Asker:
    """Does one thing after another on a thread of its own, where connections stay open in between."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="asker", daemon=True).start()

    def ask(self, question: Callable[[], Any], *, seconds: float) -> tuple[Any, float]:
        """The answer, and the seconds that it took. Raises what the question raises, and NoAnswerError.

        After that error the thread is lost: ask no more.
        """
        began = time.monotonic()
        self._asked.put(question)
        try:
            answer, error = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise NoAnswerError from None
        if error is not None:
            raise error
        return answer, time.monotonic() - began

    def _work(self) -> None:
        while True:
            question = self._asked.get()
            try:
                self._answers.put((question(), None))
            except Exception as error:  # raised where it was asked
                self._answers.put((None, error))
