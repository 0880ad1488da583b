"""A hard stop with real processes: exactly the included runs reach their endpoint."""

import requests

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

INCLUDED, DUE = 200, 500


def _hard_stop(deployment: Deployment, runs_included: int) -> None:
    """Assign a plan, as the operator does in the dashboard."""
    deployment.rows(
        "INSERT INTO accounts_plan (id, name, runs_included, overage_cents_per_thousand, created_at) "
        "VALUES (gen_random_uuid(), 'Small', %s, 0, now())",
        runs_included,
    )
    deployment.rows("UPDATE accounts_workspace SET plan_id = (SELECT id FROM accounts_plan)")
    deployment.call("PUT", "/settings/", json={"overage_policy": "hard_stop"})


def test_no_call_is_made_once_the_plan_is_used_up(deployment: Deployment, receiver: Receiver) -> None:
    deployment.make_job("report", request={"url": f"{receiver.url}/"}, retry={"max_attempts": 5, "delay_ms": 0})
    deployment.make_job("clockwork", request={"url": f"{receiver.url}/clock"}, schedule="0 0 1 1 *")
    _hard_stop(deployment, INCLUDED)
    deployment.make_pending("report", DUE, enqueued=False)
    for name in ("beat", "worker-1", "worker-2"):
        deployment.start(name)
    wait_for(lambda: deployment.unfinished() == 0, "all to have ended")
    ended = deployment.rows("SELECT status, failure_reason, count(*) FROM runs_execution GROUP BY 1, 2 ORDER BY 1")
    assert ended == [("failed", "quota_exceeded", DUE - INCLUDED), ("succeeded", "", INCLUDED)]
    assert len(receiver.deliveries()) == len(receiver.seen) == INCLUDED
    usage = deployment.call("GET", "/usage/")
    assert (usage["runs_used"], usage["runs_included"], usage["overage_runs"]) == (INCLUDED, INCLUDED, 0)

    refused = requests.post(
        f"{deployment.url}/api/v1/jobs/report/run/",
        json={},
        headers={"Authorization": f"Bearer {deployment.api_key}"},
        timeout=10,
    )
    assert (refused.status_code, refused.json()["code"]) == (402, "quota_exceeded")

    # Beat counts what the stopped workspace would have fired.
    deployment.rows(
        "UPDATE jobs_jobenvironment SET next_fire_at = now() "
        "WHERE job_id = (SELECT id FROM jobs_job WHERE slug = 'clockwork')"
    )
    skipped = "SELECT skip_reason FROM runs_execution WHERE status = 'skipped'"
    assert wait_for(lambda: deployment.rows(skipped), "beat to count it") == [("quota",)]

    deployment.call("PUT", "/settings/", json={"overage_policy": "allow"})
    deployment.call("POST", "/jobs/report/run/", json={})
    wait_for(lambda: len(receiver.seen) == INCLUDED + 1, "the call that is allowed again")
