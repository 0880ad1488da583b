"""A running delivery engine, and behaviors of endpoints that it calls."""

import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from jobs.egress import EgressPolicy
from tests.support.receiver import Exchange
from workers.delivery.contract import DeliveryRequest, DeliveryResult
from workers.delivery.engine import DeliveryEngine

LOOPBACK_ALLOWED = EgressPolicy.parse("127.0.0.0/8, ::1", "*")


def request(url: str, **fields: Any) -> DeliveryRequest:
    identity = {"run_id": str(uuid.uuid4()), "execution_id": str(uuid.uuid4()), "attempt": 1, "workspace_id": None}
    return DeliveryRequest(**{**identity, "method": "GET", "url": url, "timeout_seconds": 5.0, **fields})


class Running:
    """A running engine and its results."""

    def __init__(self, policy: EgressPolicy = LOOPBACK_ALLOWED, max_in_flight: int = 100, **options: Any) -> None:
        self.results: list[DeliveryResult] = []
        self.arrived = threading.Condition()
        self.engine = DeliveryEngine(policy=policy, on_result=self.take, max_in_flight=max_in_flight, **options)
        self.engine.start()

    def take(self, result: DeliveryResult) -> None:
        with self.arrived:
            self.results.append(result)
            self.arrived.notify_all()

    def wait(self, count: int, seconds: float = 10) -> list[DeliveryResult]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.results) >= count, seconds), f"{len(self.results)} of {count}"
        return self.results

    def deliver(self, url: str, **fields: Any) -> DeliveryResult:
        """Submit one request and return its result."""
        before = len(self.results)
        self.engine.submit([request(url, **fields)])
        return self.wait(before + 1)[before]


def answering(raw: bytes, *, then_close: bool = True) -> Callable[[Exchange], None]:
    def behave(exchange: Exchange) -> None:
        exchange.send(raw)
        if then_close:
            exchange.connection.shutdown(socket.SHUT_WR)

    return behave


def flooding(head: bytes, line: bytes) -> Callable[[Exchange], None]:
    """Return a behavior that sends `head` once and then `line` forever."""

    def behave(exchange: Exchange) -> None:
        exchange.send(head)
        while True:
            exchange.send(line * 200)

    return behave


def eventually(holds: Callable[[], bool], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)
