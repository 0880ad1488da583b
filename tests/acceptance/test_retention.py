"""Retention by real workers: one is killed in the middle, and the next finishes the round."""

import signal

import pytest

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.storms
COUNT, KEPT = 20_000, 1000


def _left(deployment: Deployment) -> int:
    return int(deployment.rows("SELECT count(*) FROM runs_execution")[0][0])


def test_killing_the_worker_during_retention_leaves_no_orphans_and_the_next_one_finishes(
    deployment: Deployment, receiver: Receiver
):
    deployment.make_job("report", request={"url": f"{receiver.url}/"}, retention={"keep_last": KEPT})
    deployment.make_pending("report", COUNT, enqueued=True)
    deployment.rows("UPDATE runs_execution SET status = 'succeeded', finished_at = now(), next_attempt_at = NULL")
    deployment.rows(
        "INSERT INTO runs_run (id, workspace_id, job_id, environment_id, job_version_id, execution_id, step, number,"
        " trigger, status, failure_reason, error, started_at, finished_at, request_method, request_url,"
        " request_headers, request_body_encoding, response_body_encoding, body_truncated, http_version, worker)"
        " SELECT gen_random_uuid(), workspace_id, job_id, environment_id, job_version_id, id, '', 1, trigger,"
        " 'succeeded', '', '', now(), now(), 'GET', '', '{}', 'utf-8', 'utf-8', FALSE, '', '' FROM runs_execution"
    )
    deployment.rows("INSERT INTO runs_pruninground (started_at, executions, runs) VALUES (now(), 0, 0)")
    deployment.start("beat")
    deployment.start("worker-1")
    wait_for(lambda: _left(deployment) < COUNT, "the first batch")
    deployment.processes["worker-1"].send_signal(signal.SIGKILL)
    deployment.processes["worker-1"].wait(10)
    assert KEPT < _left(deployment) < COUNT
    orphans = "SELECT count(*) FROM runs_run WHERE execution_id NOT IN (SELECT id FROM runs_execution)"
    assert deployment.rows(orphans) == [(0,)]
    assert deployment.rows("SELECT finished_at FROM runs_pruninground") == [(None,)]

    deployment.start("worker-2")
    wait_for(lambda: deployment.rows("SELECT finished_at FROM runs_pruninground")[0][0], "the round to end")
    assert _left(deployment) == KEPT
    # Each batch was counted once.
    assert deployment.rows("SELECT executions, runs FROM runs_pruninground") == [(COUNT - KEPT, COUNT - KEPT)]
    assert deployment.rows("SELECT count(*) FROM runs_run") == [(KEPT,)]
