"""A bulk replay whose worker is killed in the middle."""

import signal
import time

import pytest

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.storms
COUNT = 4000


def _fail(deployment: Deployment, slug: str, count: int) -> None:
    """Create `count` failed executions of a job."""
    deployment.make_pending(slug, count, enqueued=True)
    deployment.rows(
        "UPDATE runs_execution SET status = 'failed', failure_reason = 'timeout', error = 'timed out', "
        "finished_at = now(), next_attempt_at = NULL"
    )


def _replays(deployment: Deployment) -> int:
    return int(deployment.rows("SELECT count(*) FROM runs_execution WHERE trigger = 'replay'")[0][0])


def test_killing_the_worker_neither_repeats_nor_omits_executions(deployment: Deployment, receiver: Receiver):
    deployment.make_job("report", request={"url": f"{receiver.url}/"})
    _fail(deployment, "report", COUNT)
    deployment.start("beat")
    deployment.start("worker-1")
    operation = deployment.call("POST", "/executions/replay/", json={"filter": {"status": "failed"}})
    assert operation["matched"] == COUNT
    path = f"/bulk-operations/{operation['id']}/"

    wait_for(lambda: _replays(deployment), "the first batch")
    deployment.processes["worker-1"].send_signal(signal.SIGKILL)
    deployment.processes["worker-1"].wait(10)
    assert 0 < _replays(deployment) < COUNT
    assert deployment.call("GET", path)["state"] == "running"
    time.sleep(1)
    deployment.start("worker-2")
    deployment.start("worker-3")

    wait_for(lambda: deployment.call("GET", path)["state"] == "completed", "all to be replayed")
    wait_for(lambda: deployment.unfinished() == 0, "all to have ended")
    told = deployment.call("GET", path)
    assert (told["done"], told["skipped"], told["remaining"]) == (COUNT, 0, 0)
    [(made, sources)] = deployment.rows(
        "SELECT count(*), count(DISTINCT replay_of_id) FROM runs_execution WHERE trigger = 'replay'"
    )
    assert (made, sources) == (COUNT, COUNT)
    delivered = receiver.deliveries()
    assert len(delivered) == COUNT
