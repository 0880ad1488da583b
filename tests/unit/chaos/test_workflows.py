"""The chaos oracle on workflows: one that went through passes, and each violation is named."""

import dataclasses
import json

import pytest

from tests.acceptance.chaos.findings import Index
from tests.acceptance.chaos.history import Exchange, Flow, History
from tests.acceptance.chaos.workflows import flows

STEPS = (("ask", "succeeded"), ("paid", "succeeded"), ("pause", "succeeded"), ("ship", "succeeded"))
GOOD = Flow("one", "succeeded", "", STEPS)


def history(flow: Flow, *, brought: str = "first") -> History:
    body = json.dumps({"token": brought})
    ship = Exchange(1.0, "default", "chain", f"{flow.id}/ship", 1, None, body, 200, "t", 1.1)
    return History([], [], [], [ship], flows=[flow], sent={"one": ["first", "second"]})


def problems(case: History) -> list[str]:
    return [finding.detail for finding in flows(case, Index(case))]


def test_a_workflow_that_went_through_passes():
    assert problems(history(GOOD)) == []
    assert problems(history(GOOD, brought="second")) == []
    lost = dataclasses.replace(GOOD, status="failed", failure_reason="worker_lost", steps=STEPS[:1])
    assert problems(history(lost)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": "waiting"}, "is waiting"),
        ({"status": "failed", "failure_reason": "wait_expired"}, "failed with wait_expired"),
        ({"steps": STEPS[:2]}, "succeeded with the steps"),
        ({"steps": (*STEPS, STEPS[1])}, "several rows of paid"),
    ],
)
def test_each_violation_is_named(change, problem):
    assert any(problem in told for told in problems(history(dataclasses.replace(GOOD, **change))))


def test_a_request_that_nobody_sent_is_named():
    assert problems(history(GOOD, brought="another")) == ["sent on what no request had brought"]
