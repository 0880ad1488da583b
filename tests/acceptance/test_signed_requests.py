"""Signatures with real processes, verified like a receiver does."""

import math

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for
from workers.worker.keyring import TTL_SECONDS


def test_a_receiver_verifies_requests_during_a_rotation(deployment: Deployment, receiver: Receiver) -> None:
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job(
        "signed", request={"url": f"{receiver.url}/", "method": "POST", "body": {"n": 1}}, retry={"max_attempts": 1}
    )
    first = deployment.call("POST", "/signing-secrets/rotate/", json={"overlap_seconds": 0})["secret"]
    deployment.call("POST", "/jobs/signed/run/", json={})
    (seen,) = wait_for(lambda: receiver.seen, "the first request")
    assert Webhook(first).verify(seen["body"], seen["headers"]) == {"n": 1}

    second = deployment.call("POST", "/signing-secrets/rotate/", json={"overlap_seconds": 3600})["secret"]
    third = deployment.call("POST", "/signing-secrets/rotate/", json={"overlap_seconds": 3600})["secret"]
    # Workers reload the secrets after a few seconds.
    deployment.call("POST", "/jobs/signed/run/", json={"delay_seconds": math.ceil(TTL_SECONDS) + 1})
    wait_for(lambda: len(receiver.seen) == 2, "the second request")
    later = receiver.seen[1]
    assert [Webhook(secret).verify(later["body"], later["headers"]) for secret in (second, third)] == [{"n": 1}] * 2
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(later["body"], later["headers"])

    wait_for(lambda: deployment.unfinished() == 0, "everything to be recorded")
    run = deployment.call("GET", f"/runs/?execution={later['headers']['x-hourhand-execution-id']}")["results"][0]
    kept = run["request"]["headers"]
    assert kept["webhook-id"] == later["headers"]["webhook-id"]
    assert kept["webhook-timestamp"] == later["headers"]["webhook-timestamp"]
    assert kept["webhook-signature"] == "[redacted]"
    for secret in (first, second, third):
        assert secret not in deployment.log("worker") + deployment.log("web")
