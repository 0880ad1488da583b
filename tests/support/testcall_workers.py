"""Workers for test calls, in this process: what Celery's remote control would tell them is told straight away."""

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


class Told:
    """Stands for Celery's remote control: what it would tell every worker."""

    def __init__(self) -> None:
        self.workers: list[DeliveryService] = []
        self.calls: list[str] = []

    def announce(self, call_id: str) -> bool:
        self.calls.append(call_id)
        for worker in self.workers:
            worker.make_call(call_id)
        return True


def announced_here(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Have calls announced to the workers of what is returned; a call that none takes waits half a second."""
    made = Told()
    monkeypatch.setattr(testcalls, "announce_call", made.announce)
    monkeypatch.setattr(testcalls, "TAKEN_SECONDS", 0.5)
    return made
