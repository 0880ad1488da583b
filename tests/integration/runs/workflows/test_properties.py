"""Any workflow, with events in any order, does what the documentation says, and each of its steps ends once."""

import contextlib
import json
import random
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment, JobVersion
from runs.attempts.reaping import reap_expired
from runs.executions import services
from runs.inbound import InboundRequest
from runs.models import Execution, Run, StepState
from runs.states import TERMINAL, ExecutionStatus
from runs.workflows.advance import OVER
from runs.workflows.approvals import ApprovalChoice, NotWaitingForApprovalError, decide
from runs.workflows.resume import resume
from runs.workflows.resume_urls import resume_url
from tests.support.workflow_reference import ReferenceWorkflow
from tests.support.workflows import Worker, pass_time, step, wake, workflow_config
from workers.worker.claimed import Claimed

pytestmark = pytest.mark.django_db(transaction=True)

#: All limits of the definitions end in 5, so that no event happens just at one.
PASSED_SECONDS = (20, 130, 1040, 3100)
POLL = {
    "until": [{"type": "json_path_equals", "path": "$.state", "value": "done"}],
    "every_seconds": 15,
    "timeout_seconds": 35,
}
VALUES = {"http": [200, 500], "webhook": ["received"], "approval": ["approved", "rejected"], "delay": [200]}


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    """The configuration of a workflow of one to five steps, and up to two for the end."""
    written: list[dict[str, Any]] = []
    kinds = draw(st.lists(st.sampled_from(["http", "http", "webhook", "approval", "delay"]), min_size=1, max_size=5))
    for number, kind in enumerate(kinds):
        written.append(draw(steps(f"s{number}", kind, written)))
    last = [draw(steps(f"f{number}", "http", written)) for number in range(draw(st.integers(0, 2)))]
    return workflow_config(*written, finally_steps=last, timeout_seconds=draw(st.sampled_from([3005, 90_005])))


@st.composite
def steps(draw: st.DrawFn, name: str, kind: str, earlier: list[dict[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {"on_failure": draw(st.sampled_from(["fail", "fail", "continue", "stop"]))}
    if earlier and draw(st.integers(0, 3)) == 0:
        looked_at = draw(st.sampled_from(earlier))
        to = draw(st.sampled_from(VALUES[looked_at["type"]]))
        fields["if"] = [{"value": f"{{{{steps.{looked_at['id']}.status}}}}", "op": "equals", "to": to}]
    match kind:
        case "http":
            attempts = draw(st.sampled_from([1, 1, 2, 3]))
            fields["retry"] = {"max_attempts": attempts, "delay_ms": 0, "jitter": False}
            fields["poll"] = POLL if draw(st.integers(0, 3)) == 0 else None
            if bodies := [other["id"] for other in earlier if other["type"] != "approval"]:
                repeated = draw(st.sampled_from(bodies))
                fields["request"] = {"body": f'{{{{steps.{repeated}.body|default("nothing")}}}}'}
        case "delay":
            fields["seconds"] = 105
        case "webhook":
            fields |= {"timeout_seconds": 1005, "on_timeout": draw(st.sampled_from(["fail", "continue"]))}
        case "approval":
            fields |= {"timeout_seconds": 1005, "on_timeout": draw(st.sampled_from(["reject", "continue"]))}
            fields["required"] = draw(st.sampled_from([1, 1, 2]))
    return step(name, kind, **fields)


ANSWERS = [(200, "done"), (200, "done"), (200, "busy"), (500, "done"), (404, "done")]
EVENTS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(["first", "second"])),
    st.tuples(st.just("claim"), st.sampled_from(["first", "second"])),
    st.tuples(st.just("answer"), st.sampled_from(ANSWERS)),
    st.tuples(st.just("answer"), st.sampled_from(ANSWERS)),
    st.tuples(st.just("post"), st.integers(0, 6)),
    st.tuples(st.just("decide"), st.booleans()),
    st.tuples(st.just("time"), st.sampled_from(PASSED_SECONDS)),
    st.tuples(st.sampled_from(["give back", "lose", "late answer", "late give back"]), st.none()),
    st.tuples(st.just("cancel"), st.none()),
)  # fmt: skip


class Stage:
    """One execution in the product and in the reference, to which the same happens."""

    def __init__(self, execution: Execution, config: dict[str, Any], workers: dict[str, Worker]) -> None:
        self.execution = execution
        self.reference = ReferenceWorkflow(config["workflow"])
        self.written = [*config["workflow"]["steps"], *config["workflow"]["finally"]]
        self.workers = workers
        #: The call that a worker has, and those it has without knowing that they are no longer its own.
        self.call: Claimed | None = None
        self.lost: list[Claimed] = []
        self.counter = 0
        self.ended: dict[str, tuple[Any, ...]] = {}

    def happen(self, kind: str, detail: Any) -> None:
        """Let it happen to both, as far as it can, and compare them."""
        getattr(self, kind.replace(" ", "_"))(detail)
        self.compare()

    def claim(self, worker: str) -> None:
        claimed = self.workers[worker].claim()
        called = self.reference.claim()
        assert [item.attempt.step for item in claimed] == ([called] if called else [])
        if claimed:
            (self.call,) = claimed
            self._compare_body(called)

    def _compare_body(self, called: str) -> None:
        assert self.call is not None
        template = next(written for written in self.written if written["id"] == called)["request"]["body"]
        if template is not None:
            name = template.partition(".body")[0].strip("{")
            expected = self.reference.value(f"{name}.body") or "nothing"
            assert (self.call.request.body or b"").decode() == expected

    def answer(self, answer: tuple[int, str]) -> None:
        if self.call is None:
            return
        code, state = answer
        self.counter += 1
        body = {"state": state, "n": self.counter}
        call, self.call = self.call, None
        assert self._finish(call, code, body), "the worker that has the call could not record it"
        self.lost.append(call)
        self.reference.answer(code, body)

    def late_answer(self, _: None) -> None:
        """A worker records an attempt that is not its own any more, or for the second time."""
        if self.lost:
            assert not self._finish(self.lost[-1], 200, {"state": "done", "n": 0})

    def _finish(self, call: Claimed, code: int, body: dict[str, Any]) -> set[tuple[str, int]]:
        worker = self.workers[call.attempt.lease_owner]
        worker.answers = {call.attempt.step: (code, body)}
        return worker.finish(call)

    def give_back(self, _: None) -> None:
        if self.call is not None:
            assert self.workers[self.call.attempt.lease_owner].give_back(self.call)
            self.call = None
            self.reference.give_back()

    def late_give_back(self, _: None) -> None:
        if self.lost:
            assert not self.workers[self.lost[-1].attempt.lease_owner].give_back(self.lost[-1])

    def lose(self, _: None) -> None:
        if self.call is None:
            return
        with connection.cursor() as cursor:
            cursor.execute("UPDATE runs_execution SET lease_expires_at = clock_timestamp() WHERE status = 'running'")
        assert reap_expired(user_agent="test", rng=random.Random(1)) == 1
        self.lost.append(self.call)
        self.call = None
        self.reference.lose_worker()

    def post(self, position: int) -> None:
        self.counter += 1
        body = f"request {self.counter}"
        token = resume_url(self.execution.pk, position).rpartition("/")[2]
        resume(token, InboundRequest({}, {}, body.encode(), len(body), {"text": body}))
        if position < len(self.written) and self.written[position]["type"] == "webhook":
            self.reference.post(self.written[position]["id"], body)

    def decide(self, approves: bool) -> None:
        with contextlib.suppress(NotWaitingForApprovalError):
            decide(
                workspace=self.execution.workspace, execution_id=self.execution.pk, step=None,
                choice=ApprovalChoice(approves), actor=SYSTEM, now=timezone.now(),
            )  # fmt: skip
        self.reference.decide(approves)

    def time(self, seconds: int) -> None:
        """Time goes by, and the clock looks at what waits. Calls take no time."""
        if self.call is not None:
            return
        pass_time(seconds=seconds)
        wake()
        self.reference.now += seconds
        self.reference.wake()
        assert not Execution.objects.filter(status="waiting", wait_expires_at__lte=self._now()).exists()

    def _now(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0]

    def cancel(self, _: None) -> None:
        if self.reference.status not in TERMINAL:
            services.cancel(
                workspace=self.execution.workspace, execution_id=self.execution.pk, now=timezone.now(), actor=SYSTEM
            )
        if self.call is not None:
            self.lost.append(self.call)
            self.call = None
        self.reference.cancel()

    def compare(self) -> None:
        """The rows say what the reference does, and no step that had ended has changed."""
        self.execution.refresh_from_db()
        expected = self.reference
        assert self.execution.status == expected.status
        rows = list(StepState.objects.filter(execution=self.execution).values())
        assert len({row["step"] for row in rows}) == len(rows)
        over = {row["step"]: tuple(row.values()) for row in rows if row["status"] in OVER}
        assert over | self.ended == over, "a step that had ended changed"
        self.ended = over
        statuses = {row["step"]: row["status"] for row in rows if row["status"] in OVER}
        assert statuses == {name: own.status for name, own in expected.steps.items() if own.status}
        runs = Run.objects.filter(execution=self.execution).order_by("id").values_list("step", "number", "status")
        assert sorted(runs) == sorted(expected.runs)
        if self.execution.status in TERMINAL:
            self._compare_end({row["step"]: row for row in rows})

    def _compare_end(self, rows: dict[str, dict[str, Any]]) -> None:
        assert self.execution.failure_reason == self.reference.reason
        assert "waiting" not in {row["status"] for row in rows.values()}
        if self.execution.status == ExecutionStatus.SUCCEEDED:
            name = self.reference.answers_with
            body = rows[name]["output"]["body"] if name else None
            assert self.execution.output == (_as_json(body) if body else None)

    def finish(self) -> None:
        """Answer whatever it asks for. It comes to an end."""
        for _ in range(200):
            if self.execution.status in TERMINAL:
                return
            self.happen("claim", "second")
            self.happen("answer", (200, "done"))
            if self.execution.status == ExecutionStatus.WAITING:
                position = [written["id"] for written in self.written].index(self.execution.step)
                self.happen("decide", True)
                self.happen("post", position)
            if self.execution.status == ExecutionStatus.WAITING and self.execution.wait_kind in ("delay", "poll"):
                self.happen("time", 130)
        raise AssertionError("The workflow does not come to an end.")


def _as_json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


@pytest.fixture
def workers():
    made = {name: Worker(name) for name in ("first", "second")}
    yield made
    for worker in made.values():
        worker.close()


def started(place: JobEnvironment, config: dict[str, Any]) -> Execution:
    """A new execution of a new version, and nothing else."""
    for model in (StepState, Run, Execution):
        model.objects.all()._raw_delete("default")
    number = JobVersion.objects.filter(job=place.job).count() + 1
    version = JobVersion.objects.create(job=place.job, number=number, config=place.job.current_version.config)
    JobVersion.objects.filter(pk=version.pk).update(config=config)
    place.job.current_version = version
    place.job.save(update_fields=["current_version"])
    execution = services.run_now(job_environment=place, now=timezone.now(), actor=SYSTEM)
    return Execution.objects.select_related("workspace").get(pk=execution.pk)


def test_any_workflow_does_what_the_documentation_says(make_job, workers, full):
    place = make_job()

    @settings(
        max_examples=1000 if full else 150,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(config=workflows(), events=st.lists(EVENTS, max_size=40))
    def check(config: dict[str, Any], events: list[tuple[str, Any]]) -> None:
        note(f"steps: {config['workflow']}")
        note(f"events: {events}")
        stage = Stage(started(place, config), config, workers)
        for kind, detail in events:
            stage.happen(kind, detail)
        stage.finish()

    check()
