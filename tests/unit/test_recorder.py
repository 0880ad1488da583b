"""How much the recorder judges before it records."""

import time

import pytest

from workers import recorder
from workers.held import HeldAttempts
from workers.recorder import BATCH, Recorder


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
        made.put(number, number)  # type: ignore[arg-type]
    return made


def test_a_batch_is_bounded(waiting, monkeypatch):
    monkeypatch.setattr(recorder, "judge", lambda claimed, result, **_: claimed)
    assert waiting._judged() == list(range(BATCH))


def test_a_batch_that_takes_long_to_judge_ends_early_but_is_never_empty(waiting, monkeypatch):
    monkeypatch.setattr(recorder, "_JUDGING_SECONDS", 0.02)
    monkeypatch.setattr(recorder, "judge", lambda claimed, result, **_: time.sleep(0.015) or claimed)
    assert waiting._judged() == [0, 1]
    monkeypatch.setattr(recorder, "_JUDGING_SECONDS", -1.0)
    assert waiting._judged() == [0]
