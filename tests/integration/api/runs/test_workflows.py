"""Workflows through the API: what an execution shows of its steps, decisions of people, and retries."""

import datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Environment, Membership, Scope, Workspace
from jobs.models import JobVersion
from runs.executions.bulk import work_off
from runs.models import Execution, StepState
from runs.workflows.resume_urls import resume_url
from tests.support.api_caller import Caller, caller
from tests.support.workflows import Worker, pass_time, step, wake

pytestmark = pytest.mark.django_db(transaction=True)
FORM = [{"name": "reason", "label": "Reason", "type": "text", "required": True, "options": []}]


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def shown(api: Caller, execution: Execution) -> dict[str, Any]:
    answer: dict[str, Any] = api.ask("GET", f"/executions/{execution.pk}/", expect=200)
    return answer


def steps(api: Caller, execution: Execution) -> list[dict[str, Any]]:
    """The steps of an execution, which its own page and their list show alike."""
    listed: list[dict[str, Any]] = api.ask("GET", f"/executions/{execution.pk}/steps/", expect=200)["results"]
    assert listed == shown(api, execution)["steps"]
    return listed


def statuses(api: Caller, execution: Execution) -> dict[str, str]:
    return {item["id"]: item["status"] for item in steps(api, execution)}


def member(workspace: Workspace, name: str, role: str) -> Client:
    """A person's session."""
    user = get_user_model().objects.create_user(name, password="a long password")
    Membership.objects.create(workspace=workspace, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


# -- what an execution shows -------------------------------------------------------------------------------------------


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
    with CaptureQueriesContext(
        connection,
    ) as without:
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


# -- decisions ---------------------------------------------------------------------------------------------------------


def test_an_approval_with_a_form_lets_the_workflow_go_on(api, start, worker):
    execution = start(step("sign_off", "approval", message="Send 3 mails?", form=FORM), step("send"))
    worker.run()
    (waiting,) = api.ask("GET", "/approvals/", expect=200)["results"]
    assert waiting["execution"] == str(execution.pk)
    assert (waiting["step"], waiting["message"], waiting["form"]) == ("sign_off", "Send 3 mails?", FORM)
    assert (waiting["required"], waiting["approvals"], waiting["environment"]) == (1, 0, "production")
    path = f"/executions/{execution.pk}/approve/"
    assert api.refused("POST", path, {"form": {}}) == {"form.reason": "invalid"}
    answer = api.ask("POST", path, {"step": "sign_off", "note": "go", "form": {"reason": "launch"}}, expect=200)
    approval = answer["steps"][0]
    assert (approval["status"], approval["resolved_how"]) == ("succeeded", "approved")
    (decision,) = approval["approval"]["decisions"]
    assert (decision["how"], decision["note"], decision["form"]) == ("approved", "go", {"reason": "launch"})
    assert set(decision) == {"by", "how", "note", "form", "at"}
    assert api.ask("GET", "/approvals/")["results"] == []
    assert worker.run() == ["send"]
    assert api.ask("POST", path, {"form": {"reason": "again"}}, expect=409)["code"] == "not_waiting_for_approval"
    body = {"step": "sign_off", "form": {"reason": "again"}}
    assert api.ask("POST", path, body, expect=409)["code"] == "already_decided"


def test_a_rejection_fails_the_execution(api, start, worker):
    execution = start(step("sign_off", "approval"), step("send"))
    worker.run()
    api.ask("POST", f"/executions/{execution.pk}/reject/", {"note": "too early"}, expect=200)
    assert worker.run() == []
    whole = shown(api, execution)
    assert (whole["status"], whole["failure_reason"]) == ("failed", "rejected")
    assert "too early" in whole["error"]


@pytest.mark.parametrize("woken", [False, True])
def test_a_decision_after_the_expiry_is_refused(api, start, worker, woken):
    execution = start(step("sign_off", "approval"))
    worker.run()
    pass_time(hours=2)
    if woken:
        wake()
    assert api.ask("GET", "/approvals/")["results"] == []
    for verb in ("approve", "reject"):
        problem = api.ask("POST", f"/executions/{execution.pk}/{verb}/", {}, expect=409)
        assert problem["code"] == "not_waiting_for_approval"
    wake()
    worker.run()
    assert shown(api, execution)["failure_reason"] == "wait_expired"


def test_only_approvers_decide_and_only_they_are_asked(workspace, api, start, worker):
    execution = start(step("sign_off", "approval", approvers=["role:admin"], required=2))
    worker.run()
    path = f"/api/v1/executions/{execution.pk}/approve/"
    assert api.ask("POST", f"/executions/{execution.pk}/approve/", {}, expect=403)["code"] == "not_an_approver"
    people = {
        name: member(workspace, name, role)
        for name, role in [("vera", "viewer"), ("mara", "member"), ("ada", "admin"), ("olga", "owner")]
    }

    def asked(name: str) -> int:
        return len(people[name].get("/api/v1/approvals/").json()["results"])

    assert {name: asked(name) for name in people} == {"vera": 0, "mara": 0, "ada": 1, "olga": 1}
    assert api.ask("GET", "/approvals/")["results"] == []
    codes = {
        name: client.post(path, {}, content_type="application/json").status_code for name, client in people.items()
    }
    assert codes == {"vera": 403, "mara": 403, "ada": 200, "olga": 200}
    assert shown(api, execution)["steps"][0]["status"] == "succeeded"


def test_who_approved_is_not_asked_again(workspace, start, worker):
    execution = start(step("sign_off", "approval", required=2))
    worker.run()
    ada = member(workspace, "ada", "admin")
    path = f"/api/v1/executions/{execution.pk}/approve/"
    assert ada.post(path, {}, content_type="application/json").status_code == 200
    assert ada.get("/api/v1/approvals/").json()["results"] == []
    answer = ada.post(path, {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_decided")
    (waiting,) = member(workspace, "olga", "owner").get("/api/v1/approvals/").json()["results"]
    assert waiting["approvals"] == 1


@pytest.mark.parametrize("self_approval", [False, True])
def test_who_started_it_is_asked_only_if_the_step_allows_it(workspace, start, worker, self_approval):
    execution = start(step("sign_off", "approval", self_approval=self_approval))
    ada = member(workspace, "ada", "admin")
    started_by = str(get_user_model().objects.get(username="ada").pk)
    Execution.objects.filter(pk=execution.pk).update(state={"started_by": started_by})
    worker.run()
    assert len(ada.get("/api/v1/approvals/").json()["results"]) == int(self_approval)
    answer = ada.post(f"/api/v1/executions/{execution.pk}/approve/", {}, content_type="application/json")
    waiting = member(workspace, "olga", "owner").get("/api/v1/approvals/").json()["results"]
    assert (answer.status_code, len(waiting)) == ((200, 0) if self_approval else (403, 1))


def test_an_environment_s_own_approval_is_asked_for(workspace, start, worker):
    production = Environment.objects.get(workspace=workspace, slug="production")
    own = {"sign_off": {"form": FORM, "required": 2, "self_approval": False}}
    overrides = {str(production.pk): {"workflow": {"steps": own}}}
    execution = start(step("sign_off", "approval"), overrides=overrides)
    ada = member(workspace, "ada", "admin")
    started_by = str(get_user_model().objects.get(username="ada").pk)
    Execution.objects.filter(pk=execution.pk).update(state={"started_by": started_by})
    worker.run()
    assert ada.get("/api/v1/approvals/").json()["results"] == []
    (waiting,) = member(workspace, "olga", "owner").get("/api/v1/approvals/").json()["results"]
    assert (waiting["form"], waiting["required"]) == (FORM, 2)


def test_a_decision_on_another_step_than_was_seen_is_refused(api, start, worker):
    execution = start(step("first", "approval"), step("second", "approval"))
    worker.run()
    path = f"/executions/{execution.pk}/approve/"
    assert api.ask("POST", path, {"step": "second"}, expect=409)["code"] == "not_waiting_for_approval"
    assert statuses(api, execution) == {"first": "waiting", "second": "pending"}


def test_nothing_is_decided_about_what_waits_for_something_else(api, start, worker):
    execution = start(step("paid", "webhook"))
    for _ in range(2):
        assert (
            api.ask("POST", f"/executions/{execution.pk}/reject/", {}, expect=409)["code"] == "not_waiting_for_approval"
        )
        worker.run()
    assert statuses(api, execution) == {"paid": "waiting"}


def test_keys_bound_to_another_environment_see_and_decide_nothing(workspace, start, worker):
    execution = start(step("sign_off", "approval"))
    worker.run()
    elsewhere = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    bound = caller(workspace, environments=[elsewhere])
    assert bound.ask("GET", "/approvals/", expect=200)["results"] == []
    bound.ask("GET", f"/executions/{execution.pk}/steps/", expect=404)
    for verb in ("approve", "reject", "retry"):
        bound.ask("POST", f"/executions/{execution.pk}/{verb}/", {}, expect=404)
    here = caller(workspace, environments=[Environment.objects.get(workspace=workspace, slug="production")])
    assert len(here.ask("GET", "/approvals/")["results"]) == 1
    here.ask("POST", f"/executions/{execution.pk}/approve/", {}, expect=200)


def test_pages_of_approvals(api, start, worker):
    for _ in range(3):
        start(step("sign_off", "approval"))
    worker.run()
    first = api.ask("GET", "/approvals/?limit=2", expect=200)
    second = api.get(first["next"]).json()
    waiting = [item["execution"] for item in (*first["results"], *second["results"])]
    assert waiting == [str(key) for key in StepState.objects.order_by("id").values_list("execution_id", flat=True)]


def test_a_canceled_wait_is_over_and_finally_runs(api, start, worker):
    execution = start(step("sign_off", "approval"), finally_steps=[step("tidy")])
    worker.run()
    api.ask("POST", f"/executions/{execution.pk}/cancel/", expect=200)
    assert api.ask("GET", "/approvals/")["results"] == []
    api.ask("POST", f"/executions/{execution.pk}/approve/", {}, expect=409)
    assert worker.run() == ["tidy"]
    assert shown(api, execution)["status"] == "canceled"
    assert statuses(api, execution) == {"sign_off": "canceled", "tidy": "succeeded"}


# -- retries -----------------------------------------------------------------------------------------------------------


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
    ada = member(workspace, "ada", "admin")
    answer = ada.post("/api/v1/executions/retry/", {"filter": {}}, content_type="application/json")
    assert answer.status_code == 202, answer.content
    work_off(datetime.datetime.now(datetime.UTC))
    person = str(get_user_model().objects.get(username="ada").pk)
    assert Execution.objects.get(trigger="retry").state == {
        "trigger": {"headers": {"x-a": "b"}, "query": {}},
        "started_by": person,
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


def test_other_workers_continue_after_a_decision(api, start, worker):
    execution = start(step("sign_off", "approval"), step("send"))
    worker.run()
    api.ask("POST", f"/executions/{execution.pk}/approve/", {}, expect=200)
    other = Worker("second")
    assert other.run() == ["send"]
    other.close()
