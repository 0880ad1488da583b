"""A worker that is suspended past its lease and then claims the next attempt itself must not mix the two up.

The oracle of the chaos suite compares the target's log with the history.
"""

import contextlib
import dataclasses
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.chaos.evidence import rows_of
from tests.acceptance.chaos.history import Disturbance, History
from tests.acceptance.chaos.oracle import judge
from tests.acceptance.chaos.stalls import Stalls
from tests.acceptance.chaos.target import Target
from tests.support.deployment import Deployment
from tests.support.waiting import wait_for

pytestmark = pytest.mark.storms
LEASE_SECONDS = 6
_SLUG = "lasting"
_END_SECONDS = 180.0


@dataclasses.dataclass(frozen=True)
class Variant:
    """The target takes `answer_seconds`; all workers are suspended for `stop_seconds`, and beat if `beat_stops`."""

    workers: int
    answer_seconds: float
    stop_seconds: float
    max_attempts: int
    beat_stops: bool

    def __str__(self) -> str:
        beat = "beat-stops" if self.beat_stops else "beat-runs"
        times = f"{self.answer_seconds:g}s-answers-{self.stop_seconds:g}s-stop"
        return f"{self.workers}-workers-{times}-{self.max_attempts}-attempts-{beat}"


#: A response that arrives during the suspension, and one that arrives afterwards.
_TIMES = ((9.0, 11.0), (16.0, 12.5))
VARIANTS = [
    Variant(workers, answer_seconds, stop_seconds, max_attempts, beat_stops)
    for workers in (1, 2)
    for answer_seconds, stop_seconds in _TIMES
    for max_attempts in (2, 5)
    for beat_stops in (False, True)
]
#: The short suite: each value of each dimension, in the two variants that found the most bugs.
_SHORT = [Variant(1, 9.0, 11.0, 5, beat_stops=False), Variant(2, 16.0, 12.5, 2, beat_stops=False)]
_SHORT_COUNT, _FULL_COUNT = 20, 13


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    made = Target(tmp_path / "target.jsonl", on_deadly=lambda _: None)
    yield made
    made.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", VARIANTS if metafunc.config.getoption("--full") else _SHORT, ids=str)


def test_a_suspended_worker_keeps_its_attempts_apart(
    deployment: Deployment, target: Target, variant: Variant, full: bool
):
    count = _FULL_COUNT if full else _SHORT_COUNT
    history = stalled(deployment, target, variant, count)

    found = [f"{one.subject}: {one.detail} ({one.invariant})" for one in judge(history)]
    assert not found, "\n".join(found)
    assert len(history.executions) == count
    # There was only one suspension, so nothing prevented a second attempt.
    assert {(one.status, one.attempts <= 2) for one in history.executions} == {("succeeded", True)}
    # Each received request has a row; lost ones may never have been sent.
    came = {(one.execution, one.attempt) for one in history.exchanges}
    assert len(came) == len(history.exchanges)
    told = {(run.execution, run.number) for run in history.runs if run.response_body is not None}
    assert told <= came
    assert len(told) == count
    if not variant.beat_stops:
        assert any(run.failure_reason == "worker_lost" for run in history.runs), "no lease expired: nothing was tested"


def stalled(deployment: Deployment, target: Target, variant: Variant, count: int) -> History:
    """Start executions one after the other, suspend the workers meanwhile, and return the history."""
    began_at = time.time()
    deployment.environment["HOURHAND_LEASE_SECONDS"] = str(LEASE_SECONDS)
    workers = [f"worker-{number}" for number in range(variant.workers)]
    for name in ("beat", *workers):
        deployment.start(name)
    for name in workers:
        wait_for(lambda name=name: " ready." in deployment.log(name), f"{name} to be ready")
    make_job(deployment, target, variant)
    for _ in range(count):  # so that responses arrive early, late and after the suspension
        deployment.make_pending(_SLUG, 1, enqueued=False)
        time.sleep(variant.answer_seconds / 2 / count)
    wait_for(lambda: len(target.exchanges()) >= count * 3 // 4, "the first requests")

    stalls = Stalls()
    with suspended(deployment, workers + ["beat"] * variant.beat_stops, stalls):
        time.sleep(variant.stop_seconds)
    wait_for(lambda: deployment.unfinished() == 0, "everything to end", seconds=_END_SECONDS)
    ids = deployment.rows("SELECT id::text FROM runs_execution")
    return rows_of(
        deployment.rows,
        target.exchanges(),
        lease_seconds=LEASE_SECONDS,
        stalls=stalls.all(),
        disturbances=[Disturbance(began_at, time.time(), "suspended workers")],
        asked=frozenset(key for (key,) in ids),
    )


def make_job(deployment: Deployment, target: Target, variant: Variant) -> None:
    deployment.make_job(
        _SLUG,
        request={
            "url": f"{target.url}/default/{_SLUG}/after-{variant.answer_seconds:g}",
            "method": "POST",
            "body": {"execution": "{{execution_id}}"},
            "timeout_seconds": 60,
        },
        retry={"max_attempts": variant.max_attempts, "delay_ms": 250},
    )


@contextlib.contextmanager
def suspended(deployment: Deployment, names: list[str], stalls: Stalls) -> Iterator[None]:
    """Suspend these processes and record that in `stalls`."""
    pids = {name: deployment.processes[name].pid for name in names}
    for name, pid in pids.items():
        stalls.stopped(pid, "stopped")
        deployment.signal(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name, pid in pids.items():
            deployment.signal(name, signal.SIGCONT)
            stalls.resumed(pid)
