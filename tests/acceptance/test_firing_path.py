"""From beat to history with real processes, also when they die."""

import datetime
import itertools
import json
import signal
import time

import pytest
import requests

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.storms
UTC = datetime.UTC


def every_second(deployment: Deployment, receiver: Receiver, slug: str = "tick") -> None:
    deployment.make_job(
        slug,
        schedule={"every_seconds": 1},
        request={"url": f"{receiver.url}/hook?a=1", "method": "POST", "headers": {"X-Shade": "blue"}, "body": {"n": 1}},
    )


def test_every_call_of_a_job_is_recorded_in_full(deployment: Deployment, receiver: Receiver, full: bool):
    count = 30 if full else 8
    deployment.start("beat")
    deployment.start("worker")
    every_second(deployment, receiver)
    wait_for(lambda: len(receiver.seen) >= count, f"{count} requests", seconds=count + 20)
    deployment.call("POST", "/jobs/tick/pause/", json={"note": "enough"})
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")

    executions = deployment.call("GET", f"/jobs/tick/executions/?status=succeeded&limit={count}")["results"]
    assert len(executions) == count
    instants = sorted(datetime.datetime.fromisoformat(item["scheduled_for"]) for item in executions)
    assert all(b - a == datetime.timedelta(seconds=1) for a, b in itertools.pairwise(instants))
    one = deployment.call("GET", f"/executions/{executions[0]['id']}/")
    (run,) = one["runs"]
    (seen,) = [item for item in receiver.seen if item["headers"]["x-hourhand-execution-id"] == one["id"]]
    assert run["request"]["method"] == "POST"
    assert json.loads(run["request"]["body"]) == json.loads(seen["body"]) == {"n": 1}
    assert run["request"]["headers"]["x-shade"] == "[redacted]"
    assert seen["headers"]["x-shade"] == "blue"
    assert seen["headers"]["x-hourhand-scheduled-for"] == one["scheduled_for"]
    assert (run["response"]["status_code"], run["response"]["body"]) == (200, "ok")
    assert run["response"]["headers"]["content-length"] == "2"


def test_a_failing_endpoint_is_called_three_times_with_growing_delays(deployment: Deployment, receiver: Receiver):
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job("broken", request={"url": f"{receiver.url}/status/503"})
    execution = deployment.call("POST", "/jobs/broken/run/", json={})
    wait_for(lambda: deployment.unfinished() == 0, "the execution to end")
    ended = deployment.call("GET", f"/executions/{execution['id']}/")
    assert (ended["status"], ended["failure_reason"], ended["attempts"]) == ("failed", "http_server_error", 3)
    assert [run["error"] for run in ended["runs"]] == ["HTTP 503"] * 3
    first, second, third = (item["at"] for item in receiver.seen)
    assert second - first >= 0.125
    assert third - second >= 0.25


def test_killing_one_of_two_beats_loses_and_duplicates_nothing(deployment: Deployment, receiver: Receiver):
    for name in ("beat-1", "beat-2", "worker"):
        deployment.start(name)
    for number in range(10):
        every_second(deployment, receiver, f"tick-{number}")
    wait_for(lambda: len(receiver.seen) >= 30, "the first firings")
    deployment.kill("beat-1")
    wait_for(lambda: len(receiver.seen) >= 80, "firings of the other beat")
    for number in range(10):
        deployment.call("POST", f"/jobs/tick-{number}/pause/", json={})
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")

    planned: dict[str, list[datetime.datetime]] = {}
    for slug, status, first, occurrences in deployment.rows(
        "SELECT job.slug, status, scheduled_for, occurrences FROM runs_execution"
        " JOIN jobs_job AS job ON job.id = job_id"
        " ORDER BY scheduled_for"
    ):
        # One skipped row counts what was due before the first beat ran.
        assert status == "succeeded" or (status == "skipped" and slug not in planned)
        planned.setdefault(slug, []).extend(first + datetime.timedelta(seconds=index) for index in range(occurrences))
    assert len(planned) == 10
    for slug, instants in planned.items():
        expected = [min(instants) + datetime.timedelta(seconds=index) for index in range(len(instants))]
        assert sorted(instants) == expected, f"{slug} lost or doubled an occurrence"
    assert set(receiver.deliveries().values()) == {1}


def test_a_killed_worker_loses_nothing_and_repeats_only_its_calls_in_flight(
    deployment: Deployment, receiver: Receiver, full: bool
):
    count = 20_000 if full else 2_000
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job("many", request={"url": f"{receiver.url}/", "method": "GET"})
    deployment.make_pending("many", count, enqueued=False)
    wait_for(lambda: len(receiver.seen) > count // 4, "a quarter of the requests")
    deployment.kill("worker")
    held = {row[0] for row in deployment.rows("SELECT id::text FROM runs_execution WHERE status = 'running'")}
    deployment.start("worker")
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")

    deliveries = receiver.deliveries()
    assert len(deliveries) == count
    doubled = {execution for execution, times in deliveries.items() if times > 1}
    assert doubled <= held
    assert deployment.rows("SELECT status, count(*) FROM runs_execution GROUP BY status") == [("succeeded", count)]
    lost = deployment.rows("SELECT execution_id::text FROM runs_run WHERE failure_reason = 'worker_lost'")
    assert {row[0] for row in lost} == held
    assert deployment.rows("SELECT count(*) FROM runs_run WHERE status = 'succeeded'") == [(count,)]


def test_flushing_redis_under_load_loses_nothing(deployment: Deployment, receiver: Receiver):
    count = 3_000
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job("many", request={"url": f"{receiver.url}/", "method": "GET"})
    every_second(deployment, receiver)
    deployment.make_pending("many", count, enqueued=True)  # as if their messages were already lost
    for _ in range(5):
        deployment.redis().flushall()
        time.sleep(0.2)
    wait_for(lambda: len(receiver.deliveries()) >= count + 3, "every request")
    deployment.call("POST", "/jobs/tick/pause/", json={})
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")
    assert set(receiver.deliveries().values()) == {1}


def test_a_stopping_worker_finishes_its_transfers_and_releases_the_rest(deployment: Deployment, receiver: Receiver):
    receiver.delay_seconds = 1.0
    deployment.environment["HOURHAND_MAX_IN_FLIGHT"] = "20"
    deployment.start("beat")
    deployment.start("worker")
    deployment.make_job("slow", request={"url": f"{receiver.url}/", "method": "GET"})
    deployment.make_pending("slow", 60, enqueued=False)
    wait_for(lambda: len(receiver.seen) >= 20, "the first requests")
    deployment.kill("worker", signal.SIGTERM)
    assert deployment.rows("SELECT count(*) FROM runs_execution WHERE status = 'running'") == [(0,)]
    receiver.delay_seconds = 0.0
    deployment.start("worker")
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")
    assert set(receiver.deliveries().values()) == {1}
    assert deployment.rows("SELECT count(*) FROM runs_run WHERE failure_reason <> ''") == [(0,)]


def test_a_worker_suspended_past_its_lease_changes_nothing_afterwards(deployment: Deployment, receiver: Receiver):
    receiver.delay_seconds = 2.0
    deployment.start("beat")
    deployment.start("worker-1")
    deployment.make_job("slow", request={"url": f"{receiver.url}/", "method": "GET"})
    deployment.call("POST", "/jobs/slow/run/", json={})
    wait_for(lambda: receiver.seen, "the request")
    deployment.signal("worker-1", signal.SIGSTOP)
    receiver.delay_seconds = 0.0
    deployment.start("worker-2")
    wait_for(lambda: deployment.unfinished() == 0, "another worker to end it")
    deployment.signal("worker-1", signal.SIGCONT)
    wait_for(lambda: "delivery_fenced" in deployment.log("worker-1"), "the zombie to be fenced")
    assert deployment.rows("SELECT number, failure_reason FROM runs_run ORDER BY number") == [
        (1, "worker_lost"),
        (2, ""),
    ]


def test_beat_and_worker_survive_an_unreachable_redis(deployment: Deployment, receiver: Receiver):
    """Without a broker, rows alone must carry the executions."""
    deployment.environment["REDIS_URL"] = f"unix://{deployment.directory}/nobody.sock?db=0"
    deployment.start("beat")
    every_second(deployment, receiver)
    wait_for(lambda: deployment.unfinished() >= 3, "firings without a broker")
    deployment.environment["REDIS_URL"] = deployment.redis_url
    deployment.start("worker")
    wait_for(lambda: len(receiver.seen) >= 3, "an idle worker to find them")
    assert set(receiver.deliveries().values()) == {1}


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
def test_health_checks_are_public_and_reveal_no_secrets(deployment: Deployment, path: str):
    answer = requests.get(f"{deployment.url}{path}", timeout=5)
    assert answer.status_code == 200
    assert set(answer.json()) <= {"status", "database", "migrations", "broker"}
