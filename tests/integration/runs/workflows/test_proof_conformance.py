"""Transitions of workflows' rows, logged by a trigger, against the model: the product makes each, and no other."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import SYSTEM
from proof import transition_log
from proof.conformance import move, single_steps, violations
from runs.executions import services
from runs.inbound import InboundRequest
from runs.workflows.resume import resume
from runs.workflows.resume_urls import resume_url
from tests.support.workflows import pass_time, step, wake

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def logged() -> Iterator[None]:
    with connection.cursor() as cursor:
        transition_log.install(cursor)
    yield
    with connection.cursor() as cursor:
        transition_log.remove(cursor)


def post(execution, position: int) -> None:
    token = resume_url(execution.pk, position).rpartition("/")[2]
    resume(token, InboundRequest({}, {}, b"x", 1, {"text": "x"}))


def cancel(execution) -> None:
    services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=timezone.now(), actor=SYSTEM)


def live_every_life(start, worker) -> None:
    """Everything that the product does to the row of a workflow that has come to a step, at least once."""
    whole = start(step("one"), step("paid", "webhook"), step("two"))
    worker.run()
    post(whole, 1)
    worker.run()
    start(step("one"), output={"said": "{{steps.one.status}}"})
    worker.run()
    start(step("paid", "webhook", timeout_seconds=60))
    worker.run()
    pass_time(seconds=61)
    wake()
    worker.run()
    waiting = start(step("paid", "webhook"))
    worker.run()
    cancel(waiting)
    resumed = start(step("paid", "webhook"), step("two"))
    worker.run()
    post(resumed, 0)
    cancel(resumed)
    worker.answers["bad"] = (503, {})
    retried = start(step("bad", retry={"max_attempts": 2, "delay_ms": 60_000}))
    worker.run()
    cancel(retried)
    twice = start(step("one"), finally_steps=[step("clean")])
    for _ in range(2):
        worker.claim()
        cancel(twice)
    first = start(step("one"))
    worker.give_back(*worker.claim())
    cancel(first)
    crowded = start(step("paid", "webhook"), step("two"))
    worker.run()
    post(crowded, 0)
    worker.give_back(*worker.claim())


def test_the_product_makes_exactly_the_models_transitions_of_workflows(start, worker, logged):
    live_every_life(start, worker)
    with connection.cursor() as cursor:
        log = transition_log.read(cursor)
    assert violations(log) == []
    made = {move(one.before, one.after) for one in log if one.before is not None}
    assert {one for one in made if any(one.begun)} == {one for one in single_steps() if any(one.begun)}
