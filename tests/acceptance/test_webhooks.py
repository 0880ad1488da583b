"""Webhooks with real processes: what was confirmed runs once, whatever dies or is away meanwhile."""

import pytest
import requests

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges


def test_confirmed_requests_run_once_though_redis_and_the_worker_are_gone_meanwhile(
    deployment: Deployment, receiver: Receiver
) -> None:
    request = {"url": f"{receiver.url}/{{{{input.n}}}}/{{{{trigger.query.from}}}}"}
    job = deployment.make_job("hooked", request=request, webhook={"enabled": True})
    url = job["webhook"]["url"]
    deployment.start("beat-1")
    deployment.start("worker-1")

    def send(number: int) -> None:
        answer = requests.post(
            f"{url}?from=test", json={"n": number}, headers={"webhook-id": f"msg_{number}"}, timeout=10
        )
        assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})

    send(0)
    wait_for(lambda: deployment.rows("SELECT status FROM runs_execution") == [("succeeded",)], "the first call")
    deployment.kill("worker-1")
    deployment.redis().flushall()
    for number in (1, 2, 3, 2, 1):
        send(number)
    deployment.start("worker-2")
    wait_for(lambda: deployment.unfinished() == 0 and len(receiver.seen) >= 4, "all calls")
    assert sorted(one["path"] for one in receiver.seen) == [f"/{number}/test" for number in range(4)]
    assert deployment.rows("SELECT status, count(*) FROM runs_webhookdelivery GROUP BY 1 ORDER BY 1") == [
        ("accepted", 4),
        ("duplicate", 2),
    ]
    assert deployment.rows("SELECT DISTINCT trigger, status FROM runs_execution") == [("webhook", "succeeded")]
    token = url.rpartition("/")[2]
    assert not [name for name in ("web", "beat-1", "worker-1", "worker-2") if token in deployment.log(name)]
