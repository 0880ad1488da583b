"""Retries of workflows through the API, one and many: from the step that failed, or from the start."""

import datetime

import pytest

from accounts.models import Workspace
from jobs.models import JobVersion
from runs.executions.bulk import work_off
from runs.models import Execution
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import Caller, caller
from tests.support.shown_workflows import shown
from tests.support.workflows import step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def test_a_retry_goes_on_at_the_step_that_failed(api, start, worker):
    execution = start(step("first"), step("second"))
    worker.answers["second"] = (500, {})
    worker.run()
    worker.answers.clear()
    retried = api.ask("POST", f"/executions/{execution.pk}/retry/", expect=202)
    first, second = retried["steps"]
    assert (first["status"], first["carried_from"], first["attempts"]) == ("succeeded", str(execution.pk), 0)
    assert second["status"] == "pending"
    assert worker.run() == ["second"]
    whole = api.ask("POST", f"/executions/{execution.pk}/retry/", {"from": "start"}, expect=202)
    assert [item["status"] for item in whole["steps"]] == ["pending", "pending"]
    assert worker.run() == ["first", "second"]
    assert api.refused("POST", f"/executions/{execution.pk}/retry/", {"from": "third"}, expect=409) == {
        "from": "cannot_retry_from"
    }


@pytest.mark.parametrize(
    ("where", "called"), [(None, ["second"]), ("failed", ["second"]), ("start", ["first", "second"])]
)
def test_many_are_retried_with_their_results(api, start, worker, where, called):
    secret = {"token": {"path": "$.token", "secret": True}}
    worker.answers |= {"first": (200, {"token": "very-secret-value"}), "second": (500, {})}
    failed = [
        start(step("first", extract=secret), step("second", request={"body": "{{steps.first.token}}"}))
        for _ in range(2)
    ]
    done = start(step("only"))
    worker.run()
    worker.answers["second"] = (200, {})
    body = {"filter": {}, **({"from": where} if where else {})}
    tried = api.ask("POST", "/executions/retry/", {**body, "dry_run": True}, expect=200)
    assert set(tried["ids"]) == {str(execution.pk) for execution in failed}
    operation = api.ask("POST", "/executions/retry/", body, expect=202)
    assert (operation["kind"], operation["from"], operation["config"]) == ("retry", where or "failed", None)
    assert work_off(datetime.datetime.now(datetime.UTC))
    assert api.ask("GET", f"/bulk-operations/{operation['id']}/")["done"] == 2
    assert sorted(worker.run()) == sorted(2 * called)
    assert {call.request.body for call in worker.calls[-len(called) :] if call.attempt.step == "second"} == {
        b"very-secret-value"
    }
    retried = api.ask("GET", "/executions/?trigger=retry")["results"]
    assert {item["retry_of"] for item in retried} == {str(execution.pk) for execution in failed}
    assert {item["status"] for item in retried} == {"succeeded"}
    assert shown(api, done)["status"] == "succeeded"


def test_many_retries_by_a_person_keep_who_started_them(workspace, start, worker):
    worker.answers["ask"] = (500, {})
    execution = start(step("ask"))
    Execution.objects.filter(pk=execution.pk).update(
        state={"trigger": {"headers": {"x-a": "b"}, "query": {}}, "started_by": "17"}
    )
    worker.run()
    ada = person("ada", workspace=workspace, role="admin")
    answer = signed_in(ada).post("/api/v1/executions/retry/", {"filter": {}}, content_type="application/json")
    assert answer.status_code == 202, answer.content
    work_off(datetime.datetime.now(datetime.UTC))
    assert Execution.objects.get(trigger="retry").state == {
        "trigger": {"headers": {"x-a": "b"}, "query": {}},
        "started_by": str(ada.pk),
    }


def test_executions_that_did_not_fail_are_not_retried_in_bulk(api, start, worker):
    start(step("ask"))
    worker.run()
    assert api.ask("POST", "/executions/retry/", {"filter": {"status": "succeeded"}}, expect=202)["matched"] == 0


def test_bulk_retries_of_an_unreadable_workflow_are_left_out(api, start, worker):
    worker.answers["ask"] = (500, {})
    execution = start(step("ask"))
    worker.run()
    JobVersion.objects.filter(pk=execution.job_version_id).update(
        config={**execution.job_version.config, "workflow": 1}
    )
    operation = api.ask("POST", "/executions/retry/", {"filter": {}}, expect=202)
    work_off(datetime.datetime.now(datetime.UTC))
    answer = api.ask("GET", f"/bulk-operations/{operation['id']}/")
    assert (answer["done"], answer["skipped"]) == (0, 1)
