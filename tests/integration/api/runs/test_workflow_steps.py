"""Workflows through the API: what an execution shows of its steps and waits, and to whom."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Scope, Workspace
from jobs.models import JobVersion
from runs.workflows.resume_urls import resume_url
from tests.support.api_caller import Caller, caller
from tests.support.shown_workflows import shown, statuses, steps
from tests.support.workflows import step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def test_steps_are_shown_in_the_order_of_the_workflow(api, start, worker):
    execution = start(
        step("ask", extract={"id": "$.id"}),
        step("paid", "webhook"),
        step("ship"),
        finally_steps=[step("tidy")],
        output={"id": "{{steps.ask.id}}"},
    )
    assert statuses(api, execution) == dict.fromkeys(("ask", "paid", "ship", "tidy"), "pending")
    worker.answers["ask"] = (200, {"id": 7})
    worker.run()
    whole = shown(api, execution)
    assert (whole["status"], whole["max_attempts"], whole["output"]) == ("waiting", None, None)
    ask, paid, ship, tidy = whole["steps"]
    assert (ask["status"], ask["type"], ask["attempts"], ask["extracted"]) == ("succeeded", "http", 1, {"id": 7})
    assert ask["output"] == {"status": 200, "headers": {}, "body": '{"id": 7}'}
    assert (paid["status"], paid["waiting"]) == ("waiting", whole["waiting"])
    assert (ship["status"], ship["number"], ship["section"]) == ("pending", 1, "steps")
    assert (tidy["status"], tidy["section"]) == ("pending", "finally")
    assert whole["waiting"] == {
        "kind": "webhook",
        "step": "paid",
        "since": paid["started_at"],
        "expires_at": whole["waiting"]["expires_at"],
        "resume_url": resume_url(execution.pk, 1),
        "url_set": True,
    }
    (listed,) = api.ask("GET", "/executions/?status=waiting", expect=200)["results"]
    assert listed["waiting"] == whole["waiting"]
    (run,) = whole["runs"]
    assert (run["step"], run["attempt"]) == ("ask", 1)


def test_the_end_of_a_workflow_is_shown(api, start, worker):
    execution = start(step("ask"), output={"code": "{{steps.ask.status}}"})
    worker.run()
    whole = shown(api, execution)
    assert (whole["status"], whole["output"], whole["waiting"]) == ("succeeded", {"code": 200}, None)
    assert api.ask("GET", "/stats/")["counts"]["succeeded"] == 1


def test_a_step_under_way_is_running_and_one_before_its_retry_pending(api, start, worker):
    execution = start(step("ask", retry={"max_attempts": 3, "delay_ms": 60_000}))
    (claimed,) = worker.claim()
    (ask,) = steps(api, execution)
    assert (ask["status"], ask["attempts"]) == ("running", 1)
    worker.answers["ask"] = (503, {})
    worker.finish(claimed)
    (ask,) = steps(api, execution)
    assert (ask["status"], ask["attempts"]) == ("pending", 1)
    assert ask["started_at"] == shown(api, execution)["runs"][0]["started_at"]


def test_secret_values_are_redacted_wherever_they_came_from(api, start, worker):
    secret = {"token": {"path": "$.token", "secret": True}}
    execution = start(step("login", extract=secret), step("paid", "webhook"), step("sign_off", "approval"))
    worker.answers["login"] = (200, {"token": "very-secret-value"})
    worker.run()
    Client().post(f"/hooks/resume/{resume_url(execution.pk, 1).rpartition('/')[2]}", b"very-secret-value", "text/plain")
    worker.run()
    answer = api.get(f"/api/v1/executions/{execution.pk}/")
    assert b"very-secret-value" not in answer.content
    login, paid, _ = answer.json()["steps"]
    assert login["extracted"] == {"token": "[redacted]"}
    assert paid["output"]["body"] == "[redacted]"


def test_the_message_of_an_approval_hides_secret_values(api, start, worker):
    secret = {"token": {"path": "$.token", "secret": True}}
    start(step("login", extract=secret), step("sign_off", "approval", message="Use {{steps.login.token}}?"))
    worker.answers["login"] = (200, {"token": "very-secret-value"})
    worker.run()
    (waiting,) = api.ask("GET", "/approvals/", expect=200)["results"]
    assert waiting["message"] == "Use [redacted]?"


def test_readers_see_no_resume_url(workspace, api, start, worker):
    reader = caller(workspace, scopes=[Scope.EXECUTIONS_READ])
    execution = start(step("paid", "webhook"))
    worker.run()
    whole = shown(reader, execution)
    (listed,) = reader.ask("GET", "/executions/")["results"]
    for waiting in (
        whole["waiting"],
        listed["waiting"],
        whole["steps"][0]["waiting"],
        steps(reader, execution)[0]["waiting"],
    ):
        assert (waiting["resume_url"], waiting["url_set"]) == (None, True)
    assert shown(api, execution)["waiting"]["resume_url"]


@pytest.mark.parametrize(("fields", "kind"), [({"kind": "delay", "seconds": 60}, "delay"), ({"poll": "later"}, "poll")])
def test_delays_and_polls_have_no_url(api, start, worker, fields, kind):
    until = [{"type": "json_path_equals", "path": "$.state", "value": "done"}]
    poll = {"until": until, "every_seconds": 5, "timeout_seconds": 600}
    execution = start(step("wait", "delay", seconds=60) if kind == "delay" else step("wait", poll=poll))
    worker.run()
    waiting = shown(api, execution)["waiting"]
    assert (waiting["kind"], waiting["resume_url"], waiting["url_set"]) == (kind, None, False)
    assert shown(api, execution)["next_attempt_at"] is None


def test_a_page_reads_all_waits_with_one_query_and_none_without_any(api, start, worker):
    start(step("ask"))
    worker.run()
    with CaptureQueriesContext(connection) as without:
        api.ask("GET", "/executions/")
    for _ in range(3):
        start(step("paid", "webhook"))
    worker.run()
    with CaptureQueriesContext(connection) as with_waits:
        assert len(api.ask("GET", "/executions/?status=waiting")["results"]) == 3
    asked = [query["sql"] for query in with_waits if "runs_stepstate" in query["sql"]]
    assert len(asked) == 1
    assert not [query for query in without if "runs_stepstate" in query["sql"]]


def test_a_workflow_that_this_release_cannot_read_shows_its_rows(api, start, worker):
    execution = start(step("ask"), step("paid", "webhook"))
    worker.run()
    version = JobVersion.objects.get(pk=execution.job_version_id)
    version.config["workflow"]["steps"][0]["type"] = "telepathy"
    version.save(update_fields=["config"])
    assert statuses(api, execution) == {"ask": "succeeded", "paid": "waiting"}


def test_pages_of_steps(api, start):
    execution = start(*(step(name) for name in "abc"))
    first = api.ask("GET", f"/executions/{execution.pk}/steps/?limit=2", expect=200)
    second = api.get(first["next"]).json()
    assert [item["id"] for item in (*first["results"], *second["results"])] == ["a", "b", "c"]
    assert second["next"] is None
    assert [item["id"] for item in api.get(second["previous"]).json()["results"]] == ["a", "b"]
