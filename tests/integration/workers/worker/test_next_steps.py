"""The recorder claims the next step of a workflow with the record of the last one, and loses none whatever happens."""

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest

from jobs.models import JobEnvironment
from runs.attempts import recording
from runs.models import Execution, Run, StepState
from tests.support.workflows import Worker, step
from workers.connections import DatabaseAwayError
from workers.worker import recorder as recorder_module
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.held import HeldAttempts
from workers.worker.next_steps import NextSteps
from workers.worker.recorder import Recorder

pytestmark = pytest.mark.django_db(transaction=True)


class Recording:
    """A recorder of `worker`'s calls, with what it passed on: calls of next steps, and executions to claim later."""

    def __init__(self, worker: Worker) -> None:
        self.delivered: list[Claimed] = []
        self.recorded: list[Claimed] = []
        self.later: list[str] = []
        self.may_claim = True
        self._worker = worker
        claimer = Claimer(owner=worker.name, lease_seconds=60, user_agent="Hourhand/test")
        self._recorder = Recorder(
            worker=worker.name,
            claimer=claimer,
            lease_seconds=60,
            held=HeldAttempts(60),
            on_recorded=self.recorded.extend,
            on_lost=lambda lost: None,
            on_retries=lambda retries: self.later.extend(retry.execution_id for retry in retries),
            next_steps=NextSteps(claimer, may_claim=lambda: self.may_claim, deliver=self.delivered.extend),
        )

    def record(self, *claimed: Claimed, change: Callable[[Any], Any] = lambda result: result) -> None:
        """Record these calls in one batch, with their answers."""
        for item in claimed:
            self._recorder.put(item, change(self._worker.result_of(item)))
        self._recorder.start()
        assert self._recorder.stop(timeout_seconds=20.0) == 0

    @property
    def steps(self) -> list[str]:
        return [item.attempt.step for item in self.delivered]


@pytest.fixture
def recording_of_worker(worker: Worker) -> Recording:
    return Recording(worker)


def unstorable(result: Any) -> Any:
    """An answer from an address that PostgreSQL does not take."""
    return result._replace(remote_ip="nowhere")


def row(execution: Execution) -> tuple[str, str, int]:
    execution.refresh_from_db()
    return str(execution.status), execution.step, execution.attempts


def test_the_next_call_is_claimed_with_the_record_of_the_last(start, worker, recording_of_worker):
    execution = start(step("one"), step("two"))
    recording_of_worker.record(*worker.claim())
    assert recording_of_worker.steps == ["two"]
    assert recording_of_worker.later == []
    assert row(execution) == ("running", "two", 2)
    assert worker.finish(*recording_of_worker.delivered) == {(str(execution.pk), 2)}
    assert row(execution)[0] == "succeeded"


def test_an_end_is_left_to_the_claimer(start, worker, recording_of_worker):
    never = [{"value": "{{input.mode}}", "op": "equals", "to": "full"}]
    execution = start(step("one"), step("two", **{"if": never}), output={"a": 1}, given={"mode": "quick"})
    recording_of_worker.record(*worker.claim())
    assert recording_of_worker.steps == []
    assert recording_of_worker.later == [str(execution.pk)], "the claimer looks for it at once"
    assert row(execution) == ("pending", "two", 1)
    assert not StepState.objects.filter(step="two").exists()
    assert worker.run() == []
    execution.refresh_from_db()
    assert (execution.status, execution.output, execution.attempts) == ("succeeded", {"a": 1}, 1)
    assert JobEnvironment.objects.get(job=execution.job).last_status == "succeeded"


def test_a_wait_begins_with_the_record(start, worker, recording_of_worker):
    execution = start(step("one"), step("ask", "approval"))
    recording_of_worker.record(*worker.claim())
    assert (recording_of_worker.steps, recording_of_worker.later) == ([], [])
    assert row(execution) == ("waiting", "ask", 1)


def test_a_worker_that_takes_no_more_work_leaves_the_next_step(start, worker, recording_of_worker):
    execution = start(step("one"), step("two"))
    recording_of_worker.may_claim = False
    recording_of_worker.record(*worker.claim())
    assert recording_of_worker.delivered == []
    assert recording_of_worker.later == [str(execution.pk)]
    assert row(execution) == ("pending", "two", 1)


def test_the_halves_of_a_batch_keep_what_they_claimed(start, worker, recording_of_worker):
    """One answer can't be stored, so the batch is recorded in parts: each part's next steps are delivered."""
    executions = [start(step("one"), step("two")) for _ in range(3)]
    bad = str(executions[1].pk)
    recording_of_worker.record(
        *worker.claim(), change=lambda result: unstorable(result) if result.request.execution_id == bad else result
    )
    good = {str(executions[0].pk), str(executions[2].pk)}
    assert {item.attempt.execution_id for item in recording_of_worker.delivered} == good
    assert {str(pk) for pk in Execution.objects.filter(status="running").values_list("pk", flat=True)} == good
    assert Run.objects.get(execution=executions[1]).error == "The exchange could not be stored."
    assert worker.run() == []
    assert row(executions[1])[0] == "failed"


def test_a_database_that_goes_away_between_two_halves_loses_nothing(start, worker, recording_of_worker, monkeypatch):
    first, second = start(step("one"), step("two")), start(step("one"), step("two"))
    calls = sorted(worker.claim(), key=lambda item: item.attempt.execution_id)
    bad = psycopg2.DataError("not storable")  # of the batch with its claims, and without
    faults = iter([bad, bad, None, DatabaseAwayError("away"), None])

    def faulty(cursor: Any, batch: Any) -> Any:
        if fault := next(faults):
            raise fault
        return recording.record(cursor, batch)

    monkeypatch.setattr(recorder_module, "record", faulty)
    recording_of_worker.record(*calls)
    assert recording_of_worker.steps == ["two", "two"]
    assert len(recording_of_worker.recorded) == 2
    assert [row(execution) for execution in (first, second)] == [("running", "two", 2)] * 2


def test_a_fault_in_what_follows_costs_no_record(start, worker, recording_of_worker, monkeypatch):
    execution = start(step("one"), step("two"))
    calls = worker.claim()
    monkeypatch.setattr(Claimer, "claim_within", lambda *_: 1 / 0)
    recording_of_worker.record(*calls)
    assert Run.objects.get(execution=execution).status == "succeeded"
    assert recording_of_worker.later == [str(execution.pk)]
    assert row(execution) == ("pending", "two", 1)


def test_a_limited_job_says_that_a_workflow_left_its_place(start, worker):
    claimer = Claimer(owner="second", lease_seconds=60, user_agent="Hourhand/test")
    waiting = start(step("nap", "delay", seconds=60), concurrency=1)
    Execution.objects.update(concurrency=1)
    assert claimer.claim_of_job(worker.link, str(waiting.job_id), limit=5) == ([], True)
    assert row(waiting)[0] == "waiting"
    assert claimer.claim_of_job(worker.link, str(waiting.job_id), limit=5) == ([], False)
