"""A workflow goes through its steps: calls, values from one to the next, failures, conditions, waits and its end."""

import pytest

from jobs.models import JobEnvironment
from runs.models import Run, StepState
from runs.states import ExecutionStatus
from tests.support.workflows import pass_time, step, wake

pytestmark = pytest.mark.django_db(transaction=True)


def states(execution) -> dict[str, str]:
    return dict(StepState.objects.filter(execution=execution).order_by("id").values_list("step", "status"))


def test_each_step_is_called_in_order_with_what_the_earlier_ones_brought(start, worker):
    execution = start(
        step("create", extract={"order": "$.id"}),
        step("pay", request={"url": "http://receiver.test/pay/{{steps.create.order}}", "body": "{{input.amount}}"}),
        step("tell", request={"headers": {"X-Paid": "{{steps.pay.status}} {{steps.pay.headers.x-step}}"}}),
        output={"order": "{{steps.create.order}}", "said": "{{steps.tell.json.ok}}"},
        given={"amount": 12},
    )
    worker.answers["create"] = (201, {"id": 42})
    assert worker.run() == ["create", "pay", "tell"]
    _, pay, tell = worker.calls
    assert pay.request.url == "http://receiver.test/pay/42"
    assert pay.request.body == b"12"
    assert ("X-Paid", "200 pay") in tell.request.headers
    execution.refresh_from_db()
    assert (execution.status, execution.attempts, execution.output) == ("succeeded", 3, {"order": 42, "said": True})
    assert states(execution) == {"create": "succeeded", "pay": "succeeded", "tell": "succeeded"}
    runs = Run.objects.filter(execution=execution).order_by("id").values_list("step", "number", "status")
    assert list(runs) == [("create", 1, "succeeded"), ("pay", 1, "succeeded"), ("tell", 1, "succeeded")]
    keys = [dict(call.request.headers)["Idempotency-Key"] for call in worker.calls]
    assert len(set(keys)) == 3
    place = JobEnvironment.objects.get(job=execution.job)
    assert (place.last_status, place.consecutive_failures) == ("succeeded", 0)


def test_a_step_is_retried_by_its_own_policy(start, worker):
    execution = start(step("one"), step("two", retry={"max_attempts": 3, "delay_ms": 0}))
    tries = iter([503, 503, 200])
    worker.answers["two"] = lambda claimed: (next(tries), {})
    assert worker.run() == ["one", "two", "two", "two"]
    execution.refresh_from_db()
    assert (execution.status, execution.attempts) == ("succeeded", 4)
    assert list(Run.objects.filter(step="two").order_by("id").values_list("number", "status")) == [
        (1, "failed"),
        (2, "failed"),
        (3, "succeeded"),
    ]
    assert StepState.objects.get(step="two").attempts == 3


@pytest.mark.parametrize(
    ("on_failure", "called", "status"),
    [
        ("fail", ["one", "bad"], ExecutionStatus.FAILED),
        ("continue", ["one", "bad", "last"], ExecutionStatus.SUCCEEDED),
        ("stop", ["one", "bad"], ExecutionStatus.SUCCEEDED),
    ],
)
def test_what_follows_a_failed_step(start, worker, on_failure, called, status):
    execution = start(step("one"), step("bad", on_failure=on_failure), step("last"))
    worker.answers["bad"] = (500, {})
    assert worker.run() == called
    execution.refresh_from_db()
    assert execution.status == status
    if status == ExecutionStatus.FAILED:
        assert (execution.failure_reason, execution.error) == ("http_server_error", "bad: HTTP 500")
        assert JobEnvironment.objects.get(job=execution.job).consecutive_failures == 1


def test_a_step_whose_condition_does_not_hold_is_skipped(start, worker):
    condition = [{"value": "{{input.mode}}", "op": "equals", "to": "full"}]
    execution = start(step("one"), step("two", **{"if": condition}), step("three"), given={"mode": "quick"})
    assert worker.run() == ["one", "three"]
    assert states(execution)["two"] == "skipped"
    assert "does not hold" in StepState.objects.get(step="two").error


def test_a_variable_of_a_skipped_step_fails_the_execution_unsent(start, worker):
    condition = [{"value": "{{input.mode}}", "op": "equals", "to": "full"}]
    body = {"request": {"body": "{{steps.two.body}}"}}
    execution = start(step("two", **{"if": condition}), step("three", **body), given={})
    claimed = worker.claim() or worker.claim()
    assert [item.refusal.reason for item in claimed] == ["template_error"]
    assert execution.pk


def test_a_missing_value_fails_the_step(start, worker):
    execution = start(step("one", extract={"n": "$.n", "m": {"path": "$.m", "default": 7}}))
    assert worker.run() == ["one"]
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason) == ("failed", "extraction_failed")
    worker.answers["one"] = (200, {"n": [1]})
    again = start(step("one", extract={"n": "$.n", "m": {"path": "$.m", "default": 7}, "all": "$.n[*]"}))
    worker.run()
    assert StepState.objects.get(execution=again).extracted == {"n": [1], "m": 7, "all": [1]}


def test_a_secret_value_is_sent_on_and_shown_nowhere(start, worker, settings):
    token = "tok-{}".format("x" * 12)
    execution = start(
        step("login", extract={"token": {"path": "$.token", "secret": True}}),
        step("use", request={"headers": {"Authorization": "Bearer {{steps.login.token}}"}}),
        output={"login": "{{steps.login.token}}"},
    )
    worker.answers = {"login": (200, {"token": token}), "use": (200, {"echo": token})}
    worker.run()
    assert ("Authorization", f"Bearer {token}") in worker.calls[1].request.headers
    execution.refresh_from_db()
    assert execution.status == "succeeded"
    shown = [str(row) for row in Run.objects.values()] + [str(row) for row in StepState.objects.values()]
    assert not [row for row in [*shown, str(execution.output)] if token in row]


def test_a_delay_waits_in_the_database(start, worker):
    execution = start(step("one"), step("cool", "delay", seconds=600), step("two"))
    assert worker.run() == ["one"]
    execution.refresh_from_db()
    assert (execution.status, execution.wait_kind, execution.step) == ("waiting", "delay", "cool")
    assert (execution.lease_owner, execution.next_attempt_at) == (None, None)
    assert wake() == 0
    pass_time(minutes=10)
    assert wake() == 1
    assert worker.run() == ["two"]
    execution.refresh_from_db()
    assert (execution.status, execution.attempts) == ("succeeded", 2)


def test_polling_calls_until_its_assertion_holds(start, worker):
    until = [{"type": "json_path_equals", "path": "$.state", "value": "done"}]
    poll = {"until": until, "every_seconds": 10, "timeout_seconds": 60}
    execution = start(step("ask", poll=poll, extract={"n": "$.n"}), output={"n": "{{steps.ask.n}}"})
    answers = iter([{"state": "busy"}, {"state": "busy"}, {"state": "done", "n": 3}])
    worker.answers["ask"] = lambda claimed: (200, next(answers))
    for _ in range(3):
        assert worker.run() == ["ask"]
        execution.refresh_from_db()
        if execution.status == "waiting":
            assert execution.wait_kind == "poll"
            pass_time(seconds=10)
            assert wake() == 1
    assert (execution.status, execution.output, execution.attempts) == ("succeeded", {"n": 3}, 3)
    assert [run.number for run in Run.objects.order_by("id")] == [1, 2, 3]


def test_polling_ends_in_time(start, worker):
    until = [{"type": "json_path_equals", "path": "$.state", "value": "done"}]
    execution = start(step("ask", poll={"until": until, "every_seconds": 10, "timeout_seconds": 15}))
    worker.run()
    pass_time(seconds=10)
    wake()
    worker.run()
    pass_time(seconds=6)
    assert wake() == 1
    assert worker.run() == []
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason) == ("failed", "wait_expired")


def test_a_wait_that_nobody_ends_expires(start, worker):
    execution = start(step("paid", "webhook", timeout_seconds=60), step("after"))
    assert worker.run() == []
    assert states(execution) == {"paid": "waiting"}
    pass_time(seconds=61)
    assert wake() == 1
    assert worker.run() == []
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason) == ("failed", "wait_expired")
    assert states(execution) == {"paid": "failed"}


def test_finally_runs_after_a_failure_and_hides_nothing(start, worker):
    execution = start(step("bad"), step("never"), finally_steps=[step("clean"), step("tidy")])
    worker.answers |= {"bad": (500, {}), "clean": (500, {})}
    assert worker.run() == ["bad", "clean", "tidy"]
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason, execution.error) == (
        "failed",
        "http_server_error",
        "bad: HTTP 500",
    )
    assert states(execution) == {"bad": "failed", "clean": "failed", "tidy": "succeeded"}


def test_the_whole_ends_in_time(start, worker):
    execution = start(step("one"), step("cool", "delay", seconds=1000), timeout_seconds=60, finally_steps=[step("end")])
    worker.run()
    pass_time(seconds=61)
    assert wake() == 1
    assert worker.run() == ["end"]
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason) == ("failed", "timeout")
    assert states(execution)["cool"] == "canceled"
