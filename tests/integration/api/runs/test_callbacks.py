"""Callbacks in the API: in a job's definition, of an execution, in lists, and sent again."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, Environment, Scope, Workspace
from jobs.models import Job
from runs.executions.cancel import cancel_live
from runs.models import Callback, CallbackAttempt, Execution
from runs.states import CallbackStatus
from tests.support.api_caller import Caller, caller

pytestmark = pytest.mark.django_db
URL = "https://example.com/finished"
OTHER = "https://example.com/other"
JOB = {"name": "Report", "request": {"url": "http://receiver.test/report"}}
DEFAULT = {"url": URL, "on": ["succeeded", "failed", "canceled"], "include_body": False}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def owner(workspace: Workspace) -> Caller:
    return caller(workspace)


def put(owner: Caller, **fields: Any) -> dict[str, Any]:
    job: dict[str, Any] = owner.ask("PUT", "/jobs/report/", {**JOB, **fields})
    return job


def config(owner: Caller) -> dict[str, Any]:
    stored: dict[str, Any] = Job.objects.get(slug="report").current_version.config
    return stored


def canceled(owner: Caller, **body: Any) -> dict[str, Any]:
    """An execution that was canceled, and so has a callback."""
    execution = owner.ask("POST", "/jobs/report/run/", body, expect=202)
    cancel_live(Execution.objects.all(), now=now())
    shown: dict[str, Any] = owner.ask("GET", f"/executions/{execution['id']}/", expect=200)
    return shown


def end(status: CallbackStatus, **columns: Any) -> None:
    values = {"status": status, "next_attempt_at": None, "finished_at": now(), "attempts": 5, **columns}
    Callback.objects.update(**values)


def test_the_url_alone_stands_for_the_usual_callback(owner: Caller) -> None:
    job = put(owner, callback_url=URL)
    assert (job["callback_url"], job["callback"]) == (URL, DEFAULT)
    stored = config(owner)
    assert (stored["callback_url"], stored["callback"]) == (None, DEFAULT)
    assert owner.ask("PUT", "/jobs/report/", {**JOB, "callback": {"url": URL}})["version"] == job["version"]


def test_a_version_without_a_callback_has_no_such_field_for_older_releases(owner: Caller) -> None:
    put(owner, callback=None)
    assert "callback" not in config(owner)
    assert config(owner)["callback_url"] is None


def test_both_forms_must_agree(owner: Caller) -> None:
    assert put(owner, callback_url=URL, callback={"url": URL, "on": ["failed"]})["callback"]["on"] == ["failed"]
    for short, callback in ((OTHER, {"url": URL}), (None, {"url": URL}), (URL, None)):
        body = {**JOB, "callback_url": short, "callback": callback}
        problem = owner.ask("PUT", "/jobs/report/", body, expect=400)
        assert [(error["field"], error["code"]) for error in problem["errors"]] == [("callback_url", "conflicting")]


def test_a_patch_by_the_url_alone_keeps_the_rest_and_null_removes_it(owner: Caller) -> None:
    put(owner, callback={"url": URL, "on": ["failed"], "include_body": True})
    changed = owner.ask("PATCH", "/jobs/report/", {"callback_url": OTHER})
    assert changed["callback"] == {"url": OTHER, "on": ["failed"], "include_body": True}
    assert owner.ask("PATCH", "/jobs/report/", {"callback": {"on": ["skipped", "failed"]}})["callback"] == {
        "url": OTHER,
        "on": ["failed", "skipped"],
        "include_body": True,
    }
    assert owner.ask("PATCH", "/jobs/report/", {"description": "x"})["callback_url"] == OTHER
    removed = owner.ask("PATCH", "/jobs/report/", {"callback_url": None})
    assert (removed["callback_url"], removed["callback"]) == (None, None)
    assert owner.ask("PATCH", "/jobs/report/", {"callback_url": URL})["callback"] == DEFAULT
    assert owner.ask("PATCH", "/jobs/report/", {"callback": None})["callback_url"] is None


@pytest.mark.parametrize(
    ("callback", "field", "code"),
    [
        ({"url": "ftp://example.com/"}, "callback.url", "invalid_url"),
        ({"url": "http://127.0.0.1:22/"}, "callback.url", "ssrf_blocked"),
        ({"url": "https://example.com/{{execution.id}}"}, "callback.url", "template_not_allowed"),
        ({"url": URL, "on": []}, "callback.on", "min_length"),
        ({"url": URL, "on": ["ended"]}, "callback.on.0", "invalid_choice"),
        ({"url": URL, "body": True}, "callback.body", "unknown_field"),
        ({"on": ["failed"]}, "callback.url", "required"),
    ],
)
def test_a_callback_is_checked(owner: Caller, callback: dict[str, Any], field: str, code: str) -> None:
    problem = owner.ask("PUT", "/jobs/report/", {**JOB, "callback": callback}, expect=400)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]


def test_an_environment_has_another_or_none(owner: Caller, workspace: Workspace) -> None:
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    Environment.objects.create(workspace=workspace, slug="test", name="Test")
    overrides = {"staging": {"overrides": {"callback": {"url": OTHER}}}, "test": {"overrides": {"callback": None}}}
    job = put(owner, callback_url=URL, environments={"production": {}, **overrides})
    assert job["environments"]["staging"]["overrides"] == {"callback": {**DEFAULT, "url": OTHER}}
    assert job["environments"]["test"]["overrides"] == {"callback": None}
    ends = {}
    for environment in ("production", "staging", "test"):
        run = owner.ask("POST", "/jobs/report/run/", {"environment": environment}, expect=202)
        ends[environment] = Execution.objects.get(pk=run["id"]).callback_on
    assert ends == {"production": 7, "staging": 7, "test": 0}
    again = owner.ask(
        "PUT",
        "/jobs/report/",
        {key: job[key] for key in ("name", "request", "callback", "callback_url", "environments")},
    )
    assert again["version"] == job["version"]
    problem = owner.ask(
        "PATCH", "/jobs/report/", {"environments": {"staging": {"overrides": {"callback": {"url": "x"}}}}}, expect=400
    )
    assert problem["errors"][0]["field"] == "environments.staging.overrides.callback.url"


def test_it_is_exported_and_imported_unchanged(owner: Caller) -> None:
    job = put(owner, callback={"url": URL, "on": ["failed"]})
    exported = owner.ask("GET", "/jobs/export/?format=json", expect=200)
    assert exported["jobs"][0]["callback"] == job["callback"]
    assert "callback_url" not in exported["jobs"][0]
    result = owner.ask("POST", "/jobs/import/", {"format": "json", "content": exported}, expect=200)
    assert (result["unchanged"], result["failed"]) == (1, 0)


def test_versions_tell_the_difference_and_restore_it(owner: Caller) -> None:
    put(owner)
    put(owner, callback_url=URL)
    changes = owner.ask("GET", "/jobs/report/versions/1/diff/2/", expect=200)["changes"]
    assert {change["field"].partition(".")[0] for change in changes} == {"callback", "callback_url"}
    owner.ask("POST", "/jobs/report/versions/1/restore/", expect=200)
    assert owner.ask("GET", "/jobs/report/", expect=200)["callback"] is None
    owner.ask("POST", "/jobs/report/versions/2/restore/", expect=200)
    assert owner.ask("GET", "/jobs/report/", expect=200)["callback"] == DEFAULT


def test_an_execution_tells_of_its_callback(owner: Caller) -> None:
    put(owner, callback_url=URL)
    execution = canceled(owner)
    assert execution["callback"] == {"status": "pending", "attempts": 0}
    end(CallbackStatus.DELIVERED, attempts=2)
    (listed,) = owner.ask("GET", "/executions/", expect=200)["results"]
    assert listed["callback"] == {"status": "delivered", "attempts": 2}
    put(owner)
    assert canceled(owner)["callback"] is None


def test_a_list_reads_callbacks_in_no_further_query(owner: Caller, django_assert_max_num_queries: Any) -> None:
    put(owner)
    for _ in range(2):
        canceled(owner)
    with CaptureQueriesContext(connection) as without:
        owner.ask("GET", "/executions/", expect=200)
    count = len(without)
    put(owner, callback_url=URL)
    for _ in range(5):
        canceled(owner)
    with django_assert_max_num_queries(count):
        assert len(owner.ask("GET", "/executions/", expect=200)["results"]) == 7


def test_one_run_may_have_a_callback_of_its_own(owner: Caller) -> None:
    put(owner)
    execution = canceled(owner, callback_url=OTHER)
    assert execution["callback"] == {"status": "pending", "attempts": 0}
    assert Execution.objects.get().callback_url == OTHER
    assert AuditEntry.objects.get(action="job.run").changes["callback_url"] == [None, OTHER]
    problem = owner.ask("POST", "/jobs/report/run/", {"callback_url": "http://127.0.0.1:22/"}, expect=400)
    assert problem["errors"][0]["code"] == "ssrf_blocked"


def test_the_depth_of_a_callback_is_passed_on(owner: Caller) -> None:
    put(owner)

    def run(depth: str) -> Any:
        return owner.post("/api/v1/jobs/report/run/", {}, headers={"X-Hourhand-Depth": depth})

    assert run("3").status_code == 202
    assert Execution.objects.get().depth == 3
    for wrong in ("-1", "x", "99999"):
        assert run(wrong).status_code == 400
        assert run(wrong).json()["errors"][0]["field"] == "X-Hourhand-Depth"


def test_the_callbacks_of_an_execution_have_their_attempts(owner: Caller) -> None:
    put(owner, callback_url=URL)
    execution = canceled(owner)
    callback = Callback.objects.get()
    CallbackAttempt.objects.create(
        callback=callback, number=1, started_at=now(), duration_ms=5, status_code=503, error="HTTP 503", worker="w"
    )
    (shown,) = owner.ask("GET", f"/executions/{execution['id']}/callbacks/", expect=200)["results"]
    assert (shown["id"], shown["execution"]) == (str(callback.pk), execution["id"])
    assert (shown["event"], shown["status"], shown["job"]) == ("execution.finished", "pending", "report")
    assert [(call["number"], call["status_code"], call["error"]) for call in shown["calls"]] == [(1, 503, "HTTP 503")]


def test_one_that_has_ended_is_sent_again(owner: Caller) -> None:
    put(owner, callback_url=URL)
    path = f"/executions/{canceled(owner)['id']}/callbacks/{Callback.objects.get().pk}/redeliver/"
    assert owner.ask("POST", path, expect=409)["code"] == "callback_pending"
    end(CallbackStatus.FAILED)
    answer = owner.ask("POST", path, expect=202)
    assert (answer["status"], answer["attempts"], answer["finished_at"]) == ("pending", 5, None)
    callback = Callback.objects.get()
    assert (callback.attempt_limit, str(callback.pk)) == (10, answer["id"])
    assert AuditEntry.objects.get(action="callback.redelivered").target_label == "report"


def test_callbacks_are_listed_by_what_is_asked_for(owner: Caller) -> None:
    put(owner, callback_url=URL)
    for _ in range(3):
        canceled(owner)
    newest = Callback.objects.order_by("-pk").first()
    assert newest is not None
    Callback.objects.exclude(pk=newest.pk).update(status=CallbackStatus.FAILED, next_attempt_at=None, finished_at=now())

    def count(query: str) -> int:
        return len(owner.ask("GET", f"/callbacks/?{query}", expect=200)["results"])

    assert [count(f"status={status}") for status in ("pending", "failed", "delivered", "failed,pending")] == [
        1,
        2,
        0,
        3,
    ]
    assert (count("job=report"), count("job=other"), count("environment=production")) == (3, 0, 3)
    since = (now() - datetime.timedelta(minutes=5)).isoformat().replace("+00:00", "Z")
    assert (count(f"from={since}"), count(f"to={since}")) == (3, 0)
    first = owner.ask("GET", "/callbacks/?limit=2", expect=200)
    assert first["results"][0]["id"] == str(newest.pk)
    assert len(first["results"]) == 2
    assert first["next"]


def test_many_are_sent_again_by_a_filter(owner: Caller) -> None:
    put(owner, callback_url=URL)
    for _ in range(3):
        canceled(owner)
    end(CallbackStatus.FAILED)
    body = {"filter": {"job": "report"}, "limit": 2}
    dry = owner.ask("POST", "/callbacks/redeliver/", {**body, "dry_run": True}, expect=202)
    assert dry == {"dry_run": True, "matched": 2, "redelivered": 0, "more": True}
    assert owner.ask("POST", "/callbacks/redeliver/", body, expect=202)["redelivered"] == 2
    assert owner.ask("POST", "/callbacks/redeliver/", {"filter": {}}, expect=202)["redelivered"] == 1
    assert owner.ask("POST", "/callbacks/redeliver/", {"filter": {}}, expect=202)["matched"] == 0
    assert AuditEntry.objects.filter(action="callbacks.redelivered").count() == 2
    end(CallbackStatus.DELIVERED)
    assert owner.ask("POST", "/callbacks/redeliver/", {"filter": {}}, expect=202)["matched"] == 0
    delivered = {"filter": {"status": ["delivered"]}}
    assert owner.ask("POST", "/callbacks/redeliver/", delivered, expect=202)["redelivered"] == 3


def test_a_key_sees_and_sends_only_those_of_its_environments(owner: Caller, workspace: Workspace) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    put(owner, callback_url=URL)
    execution = canceled(owner)
    end(CallbackStatus.FAILED)
    bound = caller(workspace, [Scope.EXECUTIONS_READ, Scope.EXECUTIONS_WRITE], [staging])
    assert bound.ask("GET", "/callbacks/", expect=200)["results"] == []
    bound.ask("GET", f"/executions/{execution['id']}/callbacks/", expect=404)
    path = f"/executions/{execution['id']}/callbacks/{Callback.objects.get().pk}/redeliver/"
    bound.ask("POST", path, expect=404)
    assert bound.ask("POST", "/callbacks/redeliver/", {"filter": {}}, expect=202)["matched"] == 0
    reader = caller(workspace, [Scope.EXECUTIONS_READ])
    reader.ask("POST", "/callbacks/redeliver/", {"filter": {}}, expect=403)
