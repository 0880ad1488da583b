"""How much the recorder evaluates before it records."""

import time
from types import SimpleNamespace

import pytest

from workers.worker import recorder
from workers.worker.held import HeldAttempts
from workers.worker.recorder import BATCH, Recorder


@pytest.fixture
def waiting() -> Recorder:
    made = Recorder(
        worker="w",
        claimer=None,  # type: ignore[arg-type]
        lease_seconds=60,
        held=HeldAttempts(60),
        on_recorded=lambda ids: None,
        on_lost=lambda ids: None,
    )
    for number in range(BATCH + 1):
        made.put(attempt(number), number)  # type: ignore[arg-type]
    return made


def attempt(number: int, *, sent_bytes: int = 0, received_bytes: int = 0) -> SimpleNamespace:
    """A fake attempt, evaluated or not."""
    body, response = bytes(sent_bytes), SimpleNamespace(body=bytes(received_bytes))
    return SimpleNamespace(number=number, sent=SimpleNamespace(body=body), received=response)


def numbers(batch) -> list[int]:
    return [item.number for item in batch]


def test_a_batch_is_bounded(waiting, monkeypatch):
    monkeypatch.setattr(recorder, "evaluate", lambda claimed, result, **_: claimed)
    assert numbers(waiting._evaluated_batch()) == list(range(BATCH))


def test_a_batch_that_is_slow_to_evaluate_ends_early_but_is_never_empty(waiting, monkeypatch):
    monkeypatch.setattr(recorder, "_EVALUATION_SECONDS", 0.02)
    monkeypatch.setattr(recorder, "evaluate", lambda claimed, result, **_: time.sleep(0.015) or claimed)
    assert numbers(waiting._evaluated_batch()) == [0, 1]
    monkeypatch.setattr(recorder, "_EVALUATION_SECONDS", -1.0)
    assert numbers(waiting._evaluated_batch()) == [0]


@pytest.mark.parametrize(
    ("sent_bytes", "received_bytes", "most"),
    [(0, 65_536, 65), (1_048_576, 0, 5), (1_048_576, 65_536, 4), (100, 100, BATCH)],
)
def test_a_batch_of_large_bodies_ends_early_but_is_never_empty(
    waiting, monkeypatch, sent_bytes: int, received_bytes: int, most: int
):
    large = attempt(0, sent_bytes=sent_bytes, received_bytes=received_bytes)
    monkeypatch.setattr(recorder, "evaluate", lambda claimed, result, **_: large)
    assert len(waiting._evaluated_batch()) == most
    monkeypatch.setattr(recorder, "BATCH_BYTES", 0)
    assert len(waiting._evaluated_batch()) == 1
