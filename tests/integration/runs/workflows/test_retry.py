"""A failed workflow is retried from the step that failed: the results before it are carried over."""

import pytest

from accounts.actors import SYSTEM
from runs.executions import services
from runs.models import StepState
from runs.workflows.carrying import CannotRetryFromError
from tests.support.jobs import EPOCH
from tests.support.workflows import step

pytestmark = pytest.mark.django_db(transaction=True)


def retry(execution, from_step=None):
    execution.refresh_from_db()
    return services.retry(execution=execution, now=EPOCH, from_step=from_step, actor=SYSTEM)


@pytest.fixture
def failed(start, worker):
    execution = start(
        step("one", extract={"n": "$.n", "key": {"path": "$.key", "secret": True}}),
        step("two", request={"body": "{{steps.one.n}} {{steps.one.key}}"}),
        step("three"),
    )
    worker.answers |= {"one": (200, {"n": 7, "key": "k-12345678"}), "two": (503, {})}
    worker.run()
    worker.answers["two"] = (200, {})
    worker.calls.clear()
    return execution


@pytest.mark.parametrize(
    ("from_step", "called"),
    [
        (None, ["two", "three"]),
        ("failed", ["two", "three"]),
        ("start", ["one", "two", "three"]),
        ("one", ["one", "two", "three"]),
    ],
)
def test_it_goes_on_where_it_is_told(failed, worker, from_step, called):
    again = retry(failed, from_step)
    assert worker.run() == called
    again.refresh_from_db()
    assert again.status == "succeeded"
    assert worker.calls[-2].request.body == b"7 k-12345678"
    carried = dict(StepState.objects.filter(execution=again).values_list("step", "carried_from"))
    assert carried["one"] == (failed.pk if called[0] == "two" else None)


def test_a_step_that_was_not_reached_or_does_not_exist_is_refused(failed):
    for name in ("three", "four"):
        with pytest.raises(CannotRetryFromError):
            retry(failed, name)


def test_a_retry_of_a_retry_names_where_a_step_ran(failed, worker):
    worker.answers["three"] = (500, {})
    again = retry(failed)
    worker.run()
    third = retry(again)
    origins = dict(StepState.objects.filter(execution=third).values_list("step", "carried_from"))
    assert origins == {"one": failed.pk, "two": again.pk}
