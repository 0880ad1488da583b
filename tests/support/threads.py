"""Work in a thread with its own database connection, like another process."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def run_in_thread(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread with its own database connection and return its result."""
    return start_in_thread(work)()


def start_in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start `work` in a thread with its own database connection. Return a function that waits for its result."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()

    def answer() -> Any:
        thread.join(20)
        assert answers, "the other connection did not answer"
        return answers[0]

    return answer
