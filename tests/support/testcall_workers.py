"""Workers for test calls in this process, which get announcements directly instead of through Celery."""

from typing import Any

import pytest

from runs.testcalls import calls as testcalls
from tests.support.engine import LOOPBACK_ALLOWED
from workers.worker.service import DeliveryService


def service(**options: Any) -> DeliveryService:
    return DeliveryService(
        **{
            "name": "worker-1@test",
            "owner": "worker-1@test/1",
            "policy": LOOPBACK_ALLOWED,
            "max_in_flight": 10,
            "max_per_host": 10,
            "max_per_workspace": 10,
            "lease_seconds": 60,
            "user_agent": "Hourhand/test",
            **options,
        }
    )


class RemoteControl:
    """A stand-in for Celery's remote control that calls every worker directly."""

    def __init__(self) -> None:
        self.workers: list[DeliveryService] = []
        self.calls: list[str] = []

    def announce(self, call_id: str) -> bool:
        self.calls.append(call_id)
        for worker in self.workers:
            worker.make_call(call_id)
        return True


def announce_in_process(monkeypatch: pytest.MonkeyPatch) -> RemoteControl:
    """Announce calls to the workers of the returned object. A call that no worker takes waits half a second."""
    control = RemoteControl()
    monkeypatch.setattr(testcalls, "announce_call", control.announce)
    monkeypatch.setattr(testcalls, "TAKEN_SECONDS", 0.5)
    return control
