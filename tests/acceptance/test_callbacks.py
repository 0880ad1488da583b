"""Callbacks with real processes: a worker that is killed while it sends one loses none."""

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.storms


@pytest.fixture
def informed() -> Iterator[Receiver]:
    """The receiver of callbacks."""
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_killed_workers_callback_is_sent_by_another_with_the_same_id(
    deployment: Deployment, receiver: Receiver, informed: Receiver
) -> None:
    deployment.make_job("reported", request={"url": receiver.url}, callback_url=informed.url)
    deployment.start("beat-1")
    deployment.start("worker-1")
    informed.delay_seconds = 10
    deployment.call("POST", "/jobs/reported/run/", json={})
    wait_for(lambda: informed.seen, "the callback")
    deployment.kill("worker-1")
    informed.delay_seconds = 0
    # Its lease of half a minute, so that the test need not wait for its end.
    deployment.rows("UPDATE runs_callback SET next_attempt_at = now(), lease_expires_at = now()")
    deployment.start("worker-2")
    wait_for(lambda: deployment.rows("SELECT status FROM runs_callback") == [("delivered",)], "its delivery")
    (callback_id, execution_id, attempts), *others = deployment.rows(
        "SELECT id::text, execution_id::text, attempts FROM runs_callback"
    )
    assert (others, attempts) == ([], 2)
    assert [request["headers"]["webhook-id"] for request in informed.seen] == [callback_id] * 2
    assert len({request["body"] for request in informed.seen}) == 1
    assert set(informed.deliveries()) == {execution_id}
    errors = deployment.rows("SELECT number, error FROM runs_callbackattempt ORDER BY number")
    assert errors == [(1, "The worker was lost; the request may have arrived."), (2, "")]
