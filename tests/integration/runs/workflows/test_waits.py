"""Waits end once: by a request, early, doubled or late, by people, by their time, or with the execution."""

import contextlib
import datetime
import random

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from accounts.actors import SYSTEM, Actor
from accounts.models import Membership
from core.errors import HourhandError
from runs.attempts.reaping import reap_expired
from runs.executions import services
from runs.inbound import InboundRequest
from runs.models import Execution, Run, StepState
from runs.workflows.approvals import (
    AlreadyDecidedError,
    ApprovalChoice,
    NotAnApproverError,
    NotWaitingForApprovalError,
    decide,
)
from runs.workflows.resume import resume
from runs.workflows.resume_urls import resume_url
from tests.support.jobs import EPOCH
from tests.support.workflows import ABORTED, Worker, pass_time, post, status, step, wake

pytestmark = pytest.mark.django_db(transaction=True)
YES, NO = ApprovalChoice(approves=True), ApprovalChoice(approves=False, note="too much")


@pytest.fixture
def three(start):
    """An http step, a wait for a request, and an http step that uses what came."""
    return start(
        step("ask", request={"body": "{{steps.paid.resume_url}}"}),
        step("paid", "webhook"),
        step("ship", request={"body": "{{steps.paid.body}}"}),
    )


def test_a_request_ends_the_wait_on_any_worker(three, worker):
    worker.run()
    assert worker.calls[0].request.body.decode() == resume_url(three.pk, 1)
    assert status(three) == "waiting"
    post(three, 1)
    other = Worker("second")
    assert other.run() == ["ship"]
    assert other.calls[0].request.body == b'{"paid": true}'
    other.close()
    assert status(three) == "succeeded"


def test_a_request_that_comes_early_is_kept(three, worker):
    post(three, 1)
    post(three, 1, b'{"paid": false}')
    assert StepState.objects.get().status == "pending"
    assert worker.run() == ["ask", "ship"]
    assert worker.calls[1].request.body == b'{"paid": true}'
    assert status(three) == "succeeded"


def test_a_second_request_does_nothing(three, worker):
    worker.run()
    post(three, 1)
    post(three, 1, b'{"paid": false}')
    assert worker.run() == ["ship"]
    post(three, 1, b'{"paid": false}')
    assert worker.run() == []
    assert worker.calls[1].request.body == b'{"paid": true}'
    assert Run.objects.count() == 2


@pytest.mark.parametrize("woken", [False, True])
def test_a_request_after_the_expiry_does_nothing(three, worker, woken):
    worker.run()
    pass_time(hours=2)
    if woken:
        wake()
    post(three, 1)
    wake()
    assert worker.run() == []
    assert status(three) == "failed"
    assert three.failure_reason == "wait_expired"


def test_a_condition_and_a_signature_are_judged(start, worker, workspace):
    accept = [{"value": "{{body.paid}}", "op": "equals", "to": True}]
    execution = start(step("paid", "webhook", accept=accept), step("ship"))
    worker.run()
    post(execution, 0, b'{"paid": false}', given={"paid": False})
    assert status(execution) == "waiting"
    assert "refused" in StepState.objects.get().error
    post(execution, 0)
    assert worker.run() == ["ship"]


@pytest.mark.parametrize("reached", [True, False])
def test_a_request_too_large_beside_the_other_results_is_refused(start, worker, reached):
    execution = start(
        step("one", "webhook"), step("two", "webhook"), step("ship", request={"body": "{{steps.two.body}}"})
    )
    two_bytes_each = "é".encode()
    post(execution, 0, two_bytes_each * 150 * 1024)
    if reached:
        worker.run()
    post(execution, 1, two_bytes_each * 110 * 1024)
    if reached:
        assert StepState.objects.get(step="two").error == (
            "A request was refused: the execution's results exceed 512 KiB."
        )
    assert worker.run() == []
    assert status(execution) == "waiting"
    post(execution, 1, two_bytes_each * 100 * 1024)
    assert worker.run() == ["ship"]
    assert worker.calls[0].request.body == two_bytes_each * 100 * 1024
    assert StepState.objects.get(step="two").error == ""


def test_extracted_values_count_as_results(start, worker, monkeypatch):
    extract = {"word": {"path": "$.word", "secret": False}}
    execution = start(step("ask", extract=extract), step("paid", "webhook"))
    worker.answers["ask"] = (200, {"word": "w" * 400})
    worker.run()
    monkeypatch.setattr("runs.workflows.resume.MAX_RESULTS_BYTES", 1024)
    post(execution, 1, b"p" * 250)
    assert status(execution) == "waiting"
    post(execution, 1)
    assert status(execution) == "pending"


def test_a_token_of_another_purpose_or_step_does_nothing(three, worker):
    worker.run()
    post(three, 0)
    post(three, 2)
    post(three, 40)
    resume("x" * 56, InboundRequest({}, {}, b"", 0))
    assert status(three) == "waiting"


def approve(execution, choice=YES, *, actor=SYSTEM, named=None):
    return decide(
        workspace=execution.workspace, execution_id=execution.pk, step=named, choice=choice, actor=actor, now=EPOCH
    )


def test_an_approval_lets_it_go_on(start, worker):
    execution = start(
        step("ok", "approval", message="Refund {{input.sum}}?", form=[_field("reason", required=True)]),
        step("refund", request={"body": "{{steps.ok.json.form.reason}}"}),
        given={"sum": 5},
    )
    worker.run()
    assert StepState.objects.get().message == "Refund 5?"
    with pytest.raises(HourhandError, match="reason is required"):
        approve(execution)
    assert status(execution) == "waiting"
    approve(execution, YES._replace(form={"reason": "broken"}))
    with pytest.raises(NotWaitingForApprovalError):
        approve(execution)
    with pytest.raises(AlreadyDecidedError):
        approve(execution, NO, named="ok")
    assert worker.run() == ["refund"]
    assert worker.calls[0].request.body == b"broken"
    assert status(execution) == "succeeded"


def _field(name, **fields):
    return {"name": name, "label": name, "type": "text", "required": False, "options": [], **fields}


def test_a_rejection_ends_it(start, worker):
    execution = start(step("ok", "approval"), step("refund"), finally_steps=[step("tell")])
    worker.run()
    approve(execution, NO)
    assert worker.run() == ["tell"]
    assert status(execution) == "failed"
    assert (execution.failure_reason, execution.error) == ("rejected", "ok: Rejected by Hourhand: too much")


@pytest.mark.parametrize("first", ["approve", "reject", "expire", "cancel"])
def test_of_approval_rejection_expiry_and_cancel_the_first_wins(start, worker, first):
    execution = start(step("ok", "approval", timeout_seconds=60), step("after"))
    worker.run()
    moves = {
        "approve": lambda: approve(execution),
        "reject": lambda: approve(execution, NO),
        "expire": lambda: (pass_time(seconds=61), wake()),
        "cancel": lambda: services.cancel(
            workspace=execution.workspace, execution_id=execution.pk, now=EPOCH, actor=SYSTEM
        ),
    }
    moves.pop(first)()
    called = worker.run()
    for move in moves.values():
        with contextlib.suppress(HourhandError):
            move()
    how, ends = {
        "approve": ("approved", "succeeded"),
        "reject": ("rejected", "failed"),
        "expire": ("expired", "failed"),
        "cancel": ("", "canceled"),
    }[first]
    assert (StepState.objects.get(step="ok").resolved_how, status(execution)) == (how, ends)
    assert called + worker.run() == (["after"] if first == "approve" else [])


def test_who_may_approve_and_how_many_have_to(start, worker, workspace):
    user = get_user_model().objects.create_user("ann")
    Membership.objects.create(workspace=workspace, user=user, role="member")
    boss = get_user_model().objects.create_user("boss")
    Membership.objects.create(workspace=workspace, user=boss, role="owner")
    execution = start(step("ok", "approval", approvers=["role:admin", "user:ann"], required=2), step("after"))
    worker.run()
    with pytest.raises(NotAnApproverError):
        approve(execution)
    approve(execution, actor=Actor.of_user(user))
    with pytest.raises(AlreadyDecidedError):
        approve(execution, actor=Actor.of_user(user))
    assert status(execution) == "waiting"
    approve(execution, actor=Actor.of_user(boss))
    assert worker.run() == ["after"]
    assert [decision["by"] for decision in StepState.objects.get(step="ok").decisions] == ["ann", "boss"]


def test_who_started_it_may_not_approve_where_that_is_forbidden(start, worker, workspace):
    user = get_user_model().objects.create_user("ann")
    Membership.objects.create(workspace=workspace, user=user, role="owner")
    execution = start(step("ok", "approval", self_approval=False), step("after"))
    Execution.objects.update(state={"started_by": str(user.pk)})
    worker.run()
    with pytest.raises(NotAnApproverError):
        approve(execution, actor=Actor.of_user(user))


def cancel(execution):
    return services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=EPOCH, actor=SYSTEM)


def test_a_cancel_ends_the_wait_and_runs_finally(start, worker):
    execution = start(step("one"), step("paid", "webhook"), finally_steps=[step("clean"), step("tidy")])
    worker.run()
    cancel(execution)
    post(execution, 1)
    assert StepState.objects.get(step="paid").status == "canceled"
    assert worker.run() == ["clean", "tidy"]
    assert status(execution) == "canceled"


def test_a_second_cancel_ends_finally(start, worker):
    execution = start(step("one"), step("paid", "webhook"), finally_steps=[step("clean"), step("tidy")])
    worker.run()
    cancel(execution)
    worker.finish(*worker.claim())
    cancel(execution)
    assert worker.run() == []
    assert status(execution) == "canceled"


def test_a_cancel_while_finally_runs_after_a_success_ends_it_at_once(start, worker):
    execution = start(step("one"), finally_steps=[step("clean"), step("tidy")])
    worker.finish(*worker.claim())
    worker.claim()
    cancel(execution)
    assert (status(execution), worker.run()) == ("canceled", [])
    assert list(Run.objects.order_by("id").values_list("step", "status")) == [
        ("one", "succeeded"),
        ("clean", "canceled"),
    ]


def test_a_cancel_in_flight_fences_the_step_and_runs_finally(start, worker):
    execution = start(step("one"), step("two"), finally_steps=[step("clean")])
    (claimed,) = worker.claim()
    cancel(execution)
    assert worker.finish(claimed) == set()
    assert worker.run() == ["clean"]
    assert status(execution) == "canceled"
    assert list(Run.objects.order_by("id").values_list("step", "status")) == [
        ("one", "canceled"),
        ("clean", "succeeded"),
    ]


def test_what_has_not_begun_is_canceled_at_once(start, worker):
    execution = start(step("one"), finally_steps=[step("clean")])
    cancel(execution)
    assert (status(execution), worker.run()) == ("canceled", [])


def test_a_cancel_between_two_attempts_ends_the_step(start, worker):
    execution = start(step("one", retry={"max_attempts": 2, "delay_ms": 60_000}), step("two"))
    worker.answers["one"] = (503, {})
    assert worker.run() == ["one"]
    cancel(execution)
    assert list(StepState.objects.values_list("step", "status", "attempts")) == [("one", "canceled", 1)]


def test_the_time_of_the_whole_ends_a_step_between_two_attempts(start, worker):
    execution = start(step("one", retry={"max_attempts": 2, "delay_ms": 60_000}), timeout_seconds=300)
    worker.answers["one"] = (503, {})
    assert worker.run() == ["one"]
    pass_time(seconds=301)
    assert worker.run() == []
    assert status(execution) == "failed"
    assert list(StepState.objects.values_list("step", "status", "attempts")) == [("one", "canceled", 1)]


@pytest.mark.parametrize("holds", [True, False])
def test_what_came_early_for_a_step_that_is_skipped_has_no_value(start, worker, holds):
    condition = [{"value": "{{input.n}}", "op": "equals", "to": 1 if holds else 2}]
    body = '{{steps.paid.body|default("nothing")}}'
    execution = start(
        step("paid", "webhook", **{"if": condition}),
        step("ship", request={"body": body}),
        step("tell", request={"body": body}),
        given={"n": 1},
    )
    post(execution, 0, b"came early")
    assert worker.run() == ["ship", "tell"]
    assert {call.request.body for call in worker.calls} == {b"came early" if holds else b"nothing"}


def test_a_call_given_back_after_a_wait_does_not_begin_the_workflow_again(start, worker):
    execution = start(step("paid", "webhook"), step("ship"), timeout_seconds=7200, finally_steps=[step("clean")])
    worker.run()
    pass_time(minutes=30)
    post(execution, 0)
    began = (status(execution), execution.started_at)
    assert worker.give_back(*worker.claim())
    assert (status(execution), execution.started_at, execution.step) == (*began, "ship")


def test_a_first_call_given_back_has_not_begun_the_workflow(start, worker):
    execution = start(step("one"), finally_steps=[step("clean")])
    assert worker.give_back(*worker.claim())
    cancel(execution)
    assert (status(execution), execution.started_at, worker.run()) == ("canceled", None, [])


def test_a_call_lost_after_a_wait_began_after_it(start, worker):
    execution = start(step("paid", "webhook"), step("ship"))
    worker.run()
    pass_time(minutes=30)
    post(execution, 0)
    worker.claim()
    Execution.objects.update(lease_expires_at=timezone.now() - datetime.timedelta(minutes=1))
    assert reap_expired(user_agent="test", rng=random.Random(1)) == 1
    assert Run.objects.get().duration_ms < 60_000


@pytest.mark.parametrize(("cleanup", "called"), [([], []), ([step("clean")], ["clean"])])
def test_a_call_that_an_operator_aborts_cancels_the_workflow_and_runs_finally(start, worker, cleanup, called):
    execution = start(step("one"), step("two"), finally_steps=cleanup)
    worker.answers["one"] = ABORTED
    assert worker.run() == ["one", *called]
    assert status(execution) == "canceled"
    assert StepState.objects.get(step="one").status == "canceled"


def test_the_retry_of_a_lost_call_waits_no_longer_than_the_workflow(start, worker):
    patient = {"max_attempts": 3, "backoff": "fixed", "delay_ms": 3_600_000, "jitter": False}
    execution = start(step("one", retry=patient), timeout_seconds=60)
    worker.claim()
    Execution.objects.update(lease_expires_at=timezone.now() - datetime.timedelta(minutes=1))
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    assert status(execution) == "pending"
    assert execution.next_attempt_at <= execution.started_at + datetime.timedelta(seconds=61)
