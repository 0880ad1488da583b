"""Work on a database connection of its own, as another process would do it."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def in_another_thread(work: Callable[[], Any]) -> Any:
    """Run `work` with a database connection of its own; answers with what it returned."""
    return begun_in_another_thread(work)()


def begun_in_another_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin `work` with a database connection of its own. What this returns waits for its answer."""
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
