"""Test calls: requested over the API, made by a worker's engine, answered with a run that is not in the history."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from drf_spectacular.renderers import OpenApiJsonRenderer

import workers.worker.testcalls
from accounts.actors import SYSTEM
from accounts.models import AuditEntry, Environment, Workspace
from accounts.secrets import create_secret
from accounts.signing import rotate_signing_secret
from api.base.document import rendered_document
from core.redis import Breaker
from jobs.models import JobEnvironment, JobVersion
from runs import queue
from runs.models import Execution, Run
from runs.testcalls import calls as testcalls
from runs.testcalls.transport import Mailbox, mailbox
from tests.support.api_caller import NOW, Caller, caller
from tests.support.engine import LOOPBACK_ALLOWED, eventually
from tests.support.jobs import MakeJob
from tests.support.receiver import Exchange, Receiver, receiving
from tests.support.testcall_workers import RemoteControl, announce_in_process, service
from tests.support.threads import start_in_thread
from workers.worker.service import DeliveryService

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "correct horse battery"


@pytest.fixture(autouse=True)
def _loopback_allowed(settings: Any) -> None:
    settings.OUTBOUND_POLICY = LOOPBACK_ALLOWED


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> RemoteControl:
    return announce_in_process(monkeypatch)


@pytest.fixture
def worker(told: RemoteControl) -> Iterator[DeliveryService]:
    made = service()
    made.start()
    told.workers.append(made)
    yield made
    made.stop(grace_seconds=0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def job(make_job: MakeJob, receiver: Receiver, **changes: Any) -> JobEnvironment:
    return make_job(slug="report", **{"request": {"url": receiver.url("/saved")}, **changes})


def test_one_call_is_made_and_returned_as_a_run(
    make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver, request={"url": receiver.url("/saved?{{input.day}}"), "headers": {"Authorization": "abc"}})
    run = api.ask("POST", "/jobs/report/test/", {"input": {"day": 7}}, expect=200)
    (seen,) = receiver.exchanges
    assert seen.path == "/saved?7"
    assert dict(seen.headers)["authorization"] == "abc"
    assert (run["status"], run["failure_reason"], run["attempt"], run["retry"]) == ("succeeded", None, 1, None)
    assert (run["execution"], run["job"], run["job_version"], run["environment"]) == (None, "report", 1, "production")
    assert (run["trigger"], run["worker"]) == ("manual", "worker-1@test")
    assert run["request"]["url"].endswith("/saved?7")
    assert run["request"]["headers"]["authorization"] == "[redacted]"
    assert (run["response"]["status_code"], run["response"]["body"]) == (200, "ok")
    assert run["duration_ms"] == run["timings"]["total_ms"] or run["timings"]["total_ms"] is not None


def test_the_answer_matches_the_document(
    make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver)
    documented = json.loads(rendered_document(OpenApiJsonRenderer))["components"]["schemas"]["TriedRun"]
    for body in ({}, {"name": "Unsaved"}, {"request": {"url": "http://127.0.0.1:1/"}}):
        run = api.ask("POST", "/jobs/report/test/", body, expect=200)
        assert run.keys() == documented["properties"].keys()
        nulls = {field for field, value in run.items() if value is None}
        assert nulls <= {field for field, schema in documented["properties"].items() if schema.get("nullable")}


def test_only_an_audit_entry_is_stored(
    make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver
) -> None:
    state = job(make_job, receiver)
    api.ask("POST", "/jobs/report/test/", {"request": {"url": receiver.url("/unsaved")}, "name": "Other"}, expect=200)
    assert not Execution.objects.exists()
    assert not Run.objects.exists()
    assert JobVersion.objects.count() == 1
    before = (state.last_status, state.consecutive_failures, state.next_fire_at)
    state.refresh_from_db()
    assert (state.last_status, state.consecutive_failures, state.next_fire_at) == before
    entry = AuditEntry.objects.get(action="job.tested")
    assert entry.changes == {"environment": [None, "production"], "unsaved": [None, ["name", "request"]]}
    assert entry.actor_kind == "key"


def test_unsaved_changes_are_sent(make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver) -> None:
    job(make_job, receiver, request={"url": receiver.url("/saved"), "method": "POST"})
    changes = {"request": {"url": receiver.url("/unsaved"), "body": {"n": 1}}, "success": {"statuses": ["404"]}}
    run = api.ask("POST", "/jobs/report/test/", changes, expect=200)
    (seen,) = receiver.exchanges
    assert (seen.request_line, seen.body) == ("POST /unsaved HTTP/1.1", b'{"n":1}')
    assert (run["status"], run["failure_reason"], run["job_version"]) == ("failed", "unexpected_status", None)
    assert api.ask("GET", "/jobs/report/", expect=200)["request"]["url"].endswith("/saved")


def test_what_was_not_changed_is_no_change(
    make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver)
    shown = api.ask("GET", "/jobs/report/", expect=200)
    assert api.ask("POST", "/jobs/report/test/", shown, expect=200)["job_version"] == 1


def test_overrides_of_the_environment_apply(
    make_job: MakeJob, api: Caller, workspace: Workspace, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver)
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    overrides = {"request": {"url": receiver.url("/staging")}}
    api.ask("PATCH", "/jobs/report/", {"environments": {"staging": {"enabled": True, "overrides": overrides}}})
    assert api.refused("POST", "/jobs/report/test/", {}, expect=409) == {"environment": "environment_ambiguous"}
    api.ask("POST", "/jobs/report/test/", {"environment": "staging"}, expect=200)
    other = {"environments": {"staging": {"overrides": {"request": {"url": receiver.url("/other")}}}}}
    api.ask("POST", "/jobs/report/test/", {"environment": "staging", **other}, expect=200)
    assert [one.path for one in receiver.exchanges] == ["/staging", "/other"]
    api.ask("PATCH", "/jobs/report/", {"environments": {"staging": {"enabled": False}}})
    refused = api.refused("POST", "/jobs/report/test/", {"environment": "staging"}, expect=409)
    assert refused == {"environment": "job_not_enabled"}


def test_secrets_are_sent_but_never_shown_or_put_on_redis(
    make_job: MakeJob, api: Caller, workspace: Workspace, worker: DeliveryService, told: RemoteControl
) -> None:
    held: list[bytes] = []

    def repeat(exchange: Exchange) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL)
        held.extend(bytes(client.dump(key)) for key in client.keys("hourhand:test-call:*"))
        exchange.answer(body=exchange.body + b" " + exchange.path.encode())

    create_secret(workspace=workspace, environment=None, name="TOKEN", value=SECRET, now=NOW, actor=SYSTEM)
    with receiving(repeat) as receiver:
        job(make_job, receiver)
        changes = {
            "request": {
                "url": receiver.url("/{{secrets.TOKEN}}"),
                "body": "{{secrets.TOKEN}}",
                "headers": {"X-A": "pass"},
            }
        }
        run = api.ask("POST", "/jobs/report/test/", changes, expect=200)
        assert receiver.exchanges[0].body.decode() == SECRET
    text = json.dumps(run)
    assert "correct" not in text
    assert text.count("[redacted]") >= 4
    assert held
    assert not [one for one in held if b"correct" in one or b"X-A" in one or b"pass" in one]


def test_it_is_signed_as_a_run_is(
    make_job: MakeJob, api: Caller, workspace: Workspace, worker: DeliveryService, receiver: Receiver
) -> None:
    rotate_signing_secret(workspace=workspace, now=NOW, actor=SYSTEM)
    job(make_job, receiver)
    run = api.ask("POST", "/jobs/report/test/", {}, expect=200)
    headers = dict(receiver.exchanges[0].headers)
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["webhook-id"] == f"msg_{headers['x-hourhand-execution-id']}"
    assert run["request"]["headers"]["webhook-signature"] == "[redacted]"


def test_a_failure_is_an_answer_and_is_not_repeated(make_job: MakeJob, api: Caller, worker: DeliveryService) -> None:
    with receiving(lambda exchange: exchange.answer("503 Service Unavailable")) as receiver:
        job(make_job, receiver, retry={"max_attempts": 5, "delay_ms": 1})
        run = api.ask("POST", "/jobs/report/test/", {}, expect=200)
        assert (run["status"], run["failure_reason"], run["error"]) == ("failed", "http_server_error", "HTTP 503")
        asserting = {"success": {"statuses": ["503"], "assertions": [{"type": "body_contains", "value": "fine"}]}}
        run = api.ask("POST", "/jobs/report/test/", asserting, expect=200)
        assert run["failure_reason"] == "assertion_failed"
        assert len(receiver.exchanges) == 2


def test_a_failed_rendering_or_connection_is_returned_as_a_run(
    make_job: MakeJob, api: Caller, told: RemoteControl, workspace: Workspace, receiver: Receiver
) -> None:
    guarded = service(policy=settings.OUTBOUND_POLICY.parse("", "*"))
    guarded.start()
    told.workers.append(guarded)
    job(make_job, receiver)
    assert api.ask("POST", "/jobs/report/test/", {}, expect=200)["failure_reason"] == "ssrf_blocked"
    create_secret(workspace=workspace, environment=None, name="TOKEN", value="two\nlines", now=NOW, actor=SYSTEM)
    changes = {"request": {"headers": {"X-A": "{{secrets.TOKEN}}"}}}
    run = api.ask("POST", "/jobs/report/test/", changes, expect=200)
    assert run["failure_reason"] == "template_error"
    assert "header X-A" in run["error"]
    assert receiver.exchanges == []
    guarded.stop(grace_seconds=0)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"request": {"url": "ftp://example.com"}}, {"request.url": "invalid_url"}),
        ({"request": {"body": "{{nothing}}"}}, {"request.body": "unknown_variable"}),
        ({"nmae": "x"}, {"nmae": "unknown_field"}),
        ({"environment": 1, "name": ""}, {"environment": "invalid", "name": "blank"}),
        ({"schedule": "never"}, {"schedule": "invalid"}),
        ({"environment": 1}, {"environment": "invalid"}),
        ([], {None: "invalid"}),
    ],
)
def test_errors_are_named_and_nothing_is_sent(
    make_job: MakeJob, api: Caller, told: RemoteControl, body: Any, wrong: Any
) -> None:
    make_job(slug="report")
    assert api.refused("POST", "/jobs/report/test/", body) == wrong
    assert told.calls == []


def test_without_a_worker_it_fails_and_a_late_worker_sends_nothing(
    make_job: MakeJob, api: Caller, told: RemoteControl, receiver: Receiver
) -> None:
    job(make_job, receiver)
    refusal = api.ask("POST", "/jobs/report/test/", {}, expect=503)
    assert refusal["code"] == "no_worker"
    assert "bin/up" in refusal["detail"]
    late = service()
    late.start()
    assert late.make_call(told.calls[0])
    late.stop(grace_seconds=0)
    assert receiver.exchanges == []
    assert not AuditEntry.objects.filter(action="job.tested").exists()


def test_of_two_workers_one_makes_the_call(
    make_job: MakeJob, api: Caller, told: RemoteControl, worker: DeliveryService, receiver: Receiver
) -> None:
    other = service(name="worker-2@test")
    other.start()
    told.workers.append(other)
    job(make_job, receiver)
    for _ in range(5):
        api.ask("POST", "/jobs/report/test/", {}, expect=200)
    other.stop(grace_seconds=0)
    assert len(receiver.exchanges) == 5


def test_a_draining_worker_takes_none(
    make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver)
    worker.drain()
    assert api.ask("POST", "/jobs/report/test/", {}, expect=503)["code"] == "no_worker"


def test_a_worker_that_stops_meanwhile_reports_the_result(
    make_job: MakeJob, api: Caller, worker: DeliveryService
) -> None:
    over = threading.Event()
    with receiving(lambda _: over.wait(10)) as receiver:  # type: ignore[arg-type,return-value]
        job(make_job, receiver)
        answer = start_in_thread(lambda: api.ask("POST", "/jobs/report/test/", {}, expect=200))
        eventually(lambda: len(receiver.exchanges) == 1)
        worker.stop(grace_seconds=0)
        assert answer()["failure_reason"] == "worker_lost"
        over.set()


def test_a_worker_that_dies_meanwhile_is_noticed_before_the_timeout(
    make_job: MakeJob, api: Caller, told: RemoteControl, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.testcalls.transport.HELD_SECONDS", 1)
    monkeypatch.setattr(testcalls, "announce_call", lambda call_id: mailbox().take(call_id) is not None)
    job(make_job, receiver, request={"url": receiver.url(), "timeout_seconds": 300})
    started = time.monotonic()
    refusal = api.ask("POST", "/jobs/report/test/", {}, expect=503)
    assert refusal["code"] == "call_lost"
    assert "may have arrived" in refusal["detail"]
    assert time.monotonic() - started < 30
    assert AuditEntry.objects.filter(action="job.tested").exists()


def test_without_redis_it_fails_with_a_reason(
    make_job: MakeJob, api: Caller, receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(make_job, receiver)
    monkeypatch.setattr(testcalls, "mailbox", lambda: Mailbox("unix:///nowhere/redis.sock", settings.ENCRYPTION_KEYS))
    assert api.ask("POST", "/jobs/report/test/", {}, expect=503)["code"] == "broker_away"
    monkeypatch.undo()
    breaker = Breaker(60)
    breaker.failed()
    monkeypatch.setattr(queue, "_breaker", breaker)
    assert api.ask("POST", "/jobs/report/test/", {}, expect=503)["code"] == "broker_away"


def test_without_an_encryption_key_nothing_is_put_on_redis(
    make_job: MakeJob, api: Caller, told: RemoteControl, receiver: Receiver, settings: Any
) -> None:
    job(make_job, receiver)
    settings.ENCRYPTION_KEYS = []
    assert api.ask("POST", "/jobs/report/test/", {}, expect=409)["code"] == "no_encryption_key"
    assert told.calls == []


def test_a_workspace_has_a_few_slots_and_each_is_released(
    make_job: MakeJob, api: Caller, worker: DeliveryService
) -> None:
    over = threading.Event()

    def slow(exchange: Exchange) -> None:
        over.wait(10)
        exchange.answer()

    with receiving(slow) as receiver:
        job(make_job, receiver)
        ask = lambda: api.ask("POST", "/jobs/report/test/", {}, expect=200)  # noqa: E731
        answers = [start_in_thread(ask) for _ in range(testcalls.PER_WORKSPACE)]
        eventually(lambda: len(receiver.exchanges) == testcalls.PER_WORKSPACE)
        refused = api.post("/api/v1/jobs/report/test/", {}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_test_calls")
        assert refused["Retry-After"] == "1"
        over.set()
        assert {answer()["status"] for answer in answers} == {"succeeded"}
        assert ask()["status"] == "succeeded"


def test_a_host_without_a_free_slot_is_reported_at_once(
    make_job: MakeJob, api: Caller, told: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.worker.testcalls, "HOLD_SECONDS", 0.05)
    monkeypatch.setattr(workers.worker.testcalls, "PATIENCE_SECONDS", 0.1)
    over = threading.Event()
    narrow = service(max_per_host=1)
    narrow.start()
    told.workers.append(narrow)

    def slow(exchange: Exchange) -> None:
        over.wait(10)
        exchange.answer()

    with receiving(slow) as receiver:
        job(make_job, receiver)
        first = start_in_thread(lambda: api.ask("POST", "/jobs/report/test/", {}, expect=200))
        eventually(lambda: len(receiver.exchanges) == 1)
        refusal = api.ask("POST", "/jobs/report/test/", {}, expect=429)
        assert refusal["code"] == "host_busy"
        over.set()
        assert first()["status"] == "succeeded"
        assert len(receiver.exchanges) == 1
    narrow.stop(grace_seconds=0)


def test_a_repeated_idempotency_key_makes_one_call(
    make_job: MakeJob, api: Caller, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver)
    answers = [
        api.post("/api/v1/jobs/report/test/", {}, format="json", headers={"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert len(receiver.exchanges) == 1


def test_a_bound_key_calls_in_its_own_environment_only(
    make_job: MakeJob, workspace: Workspace, worker: DeliveryService, receiver: Receiver
) -> None:
    job(make_job, receiver)
    elsewhere = Environment.objects.create(workspace=workspace, slug="elsewhere", name="Elsewhere")
    production = workspace.environments.get(slug="production")
    body = {"environment": "production"}
    caller(workspace, environments=[elsewhere]).ask("POST", "/jobs/report/test/", body, expect=404)
    caller(workspace, environments=[production]).ask("POST", "/jobs/report/test/", body, expect=200)
    assert len(receiver.exchanges) == 1
