"""The outcome of an answer, from claim to record: assertions, and the wait of `Retry-After`."""

import datetime
import random

import pytest

from accounts.actors import SYSTEM
from jobs.models import JobVersion
from runs.attempts.contract import Received, Timings
from runs.attempts.recording import record
from runs.executions import services
from runs.models import Execution, Run
from tests.support.jobs import MakeJob
from workers.connections import Link
from workers.delivery.contract import DeliveryResult
from workers.delivery.outcome import by_status
from workers.worker.claim import Claimer
from workers.worker.evaluate import evaluate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def link():
    link = Link("test")
    yield link
    link.close()


def answered(link, job, *, status=200, body=b'{"status": "down"}', **headers) -> tuple[Execution, Run]:
    """Claim one execution of `job`, answer it this way, evaluate and record it."""
    made = services.run_now(job_environment=job, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM)
    claimer = Claimer(owner="first", lease_seconds=60, user_agent="Hourhand/test")
    (claimed,) = claimer.claim(link, [str(made.pk)], limit=1)
    reason, error = by_status(status, claimed.request.success_statuses)
    # Already past on a machine of any speed: the wait counts from the end.
    started = claimed.claimed_monotonic - 0.009
    result = DeliveryResult(
        request=claimed.request,
        failure_reason=reason,
        error=error,
        response=Received(status, headers, body, len(body), False, "1.1"),
        remote_ip="127.0.0.1",
        timings=Timings(None, None, None, 5, 9),
        started_monotonic=started,
        finished_monotonic=started + 0.009,
    )
    with link.transaction() as cursor:
        record(cursor, [evaluate(claimed, result, worker="worker-1@test", rng=random.Random(1))])
    return Execution.objects.get(pk=made.pk), Run.objects.get(execution=made)


UP = {"type": "json_path_equals", "path": "$.status", "value": "up"}


def test_a_success_status_with_a_failed_assertion_has_failed(make_job: MakeJob, link):
    execution, run = answered(link, make_job(success={"assertions": [UP]}))
    sentence = 'the value at $.status is not "up"'
    assert (execution.status, execution.failure_reason, execution.error) == ("failed", "assertion_failed", sentence)
    assert (run.status, run.failure_reason, run.error) == ("failed", "assertion_failed", sentence)
    assert (run.response_status, run.response_body) == (200, '{"status": "down"}')


def test_a_failed_assertion_is_retried_by_policy(make_job: MakeJob, link):
    job = make_job(success={"assertions": [UP]}, retry={"on_assertion": True})
    execution, run = answered(link, job)
    assert (execution.status, run.failure_reason) == ("pending", "assertion_failed")


def test_a_passing_assertion_is_a_success(make_job: MakeJob, link):
    execution, run = answered(link, make_job(success={"assertions": [UP]}), body=b'{"status": "up"}')
    assert (execution.status, run.status, run.error) == ("succeeded", "succeeded", "")


def test_an_unsuccessful_status_is_reported_before_assertions(make_job: MakeJob, link):
    execution, _ = answered(link, make_job(success={"assertions": [UP]}), status=404)
    assert (execution.failure_reason, execution.error) == ("http_client_error", "HTTP 404")


def test_an_unknown_saved_assertion_blocks_only_its_job(make_job, link):
    job, other = make_job(), make_job(slug="other")
    version = JobVersion.objects.get(job=job.job_id)
    unknown = [{"type": "body_matches", "value": "("}, {"type": "of tomorrow"}]
    config = {**version.config, "success": {"statuses": ["2xx"], "assertions": unknown}}
    JobVersion.objects.filter(pk=version.pk).update(config=config)
    now = datetime.datetime.now(datetime.UTC)
    waits, goes_on = (services.run_now(job_environment=row, now=now, actor=SYSTEM) for row in (job, other))
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test")
    (claimed,) = claimer.claim(link, [str(waits.pk), str(goes_on.pk)], limit=2)
    assert claimed.attempt.execution_id == str(goes_on.pk)
    waits.refresh_from_db()
    assert (waits.status, waits.attempts) == ("pending", 0)


def test_a_declared_charset_is_used_for_showing_and_asserting(make_job: MakeJob, link):
    lacks = [{"type": "body_not_contains", "value": "Störung"}]
    body, headers = "Störung".encode("latin-1"), {"content-type": "text/html; charset=iso-8859-1"}
    execution, run = answered(link, make_job(success={"assertions": lacks}), body=body, **headers)
    assert (execution.failure_reason, execution.error) == ("assertion_failed", 'the body contains "Störung"')
    assert (run.response_body, run.response_body_encoding, run.body_note) == ("Störung", "utf-8", None)


def test_an_undecodable_body_is_stored_raw_with_a_note(make_job: MakeJob, link):
    lacks = [{"type": "body_not_contains", "value": "Störung"}]
    body, headers = "Störung".encode("latin-1"), {"content-type": "text/html; charset=utf-8"}
    execution, run = answered(link, make_job(success={"assertions": lacks}), body=body, **headers)
    assert execution.failure_reason == "assertion_failed"
    assert "can't be searched" in execution.error
    assert (run.response_body_encoding, "not valid utf-8" in run.body_note) == ("base64", True)


def test_retry_after_is_honoured_up_to_the_policys_cap(make_job: MakeJob, link):
    job = make_job(retry={"max_delay_ms": 600_000})
    date = {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2026 00:02:00 GMT"}
    for headers, seconds in (({"retry-after": "90"}, 90), (date, 120), ({"retry-after": "99999"}, 600)):
        execution, _ = answered(link, job, status=503, **headers)
        wait = (execution.next_attempt_at - datetime.datetime.now(datetime.UTC)).total_seconds()
        assert seconds - 5 < wait <= seconds


def test_without_assertions_the_body_is_not_parsed(make_job: MakeJob, link, monkeypatch):
    monkeypatch.setattr("workers.worker.evaluate.failed_assertion", None)
    execution, _ = answered(link, make_job())
    assert execution.status == "succeeded"
