"""How a burst is divided into messages."""

import uuid
from typing import Any

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from core.redis import Breaker
from runs import queue


class Sent:
    """A fake sender of Celery: records messages, and breaks like Redis on request."""

    def __init__(self, *, works_for: int = 10_000) -> None:
        self.works_for = works_for
        self.messages: list[list[str]] = []

    def send_task(self, _name: str, args: tuple[list[str]], **_options: Any) -> None:
        if len(self.messages) >= self.works_for:
            raise OperationalError
        self.messages.append(args[0])


def sent(monkeypatch: pytest.MonkeyPatch, count: int, **given: int) -> tuple[int, list[list[str]]]:
    made = Sent(**given)
    monkeypatch.setattr(current_app, "send_task", made.send_task)
    monkeypatch.setattr(queue, "_breaker", Breaker(queue.PAUSE_SECONDS))
    return queue.enqueue(uuid.UUID(int=number) for number in range(count)), made.messages


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, []), (1, [1]), (120, [50, 50, 20]), (1600, [100] * 16), (8000, [500] * 16), (20_100, [500] * 40 + [100])],
)
def test_a_burst_is_spread_over_the_workers_in_few_messages(
    monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]
) -> None:
    total, messages = sent(monkeypatch, count)
    assert (total, [len(message) for message in messages]) == (count, sizes)
    assert [key for message in messages for key in message] == [str(uuid.UUID(int=number)) for number in range(count)]


def test_a_broken_redis_reports_how_many_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    total, messages = sent(monkeypatch, 500, works_for=3)
    assert total == sum(map(len, messages)) == 150
    assert queue.enqueue([uuid.UUID(int=1)]) == 0, "it is not even asked"
