"""Approvals through the API: who is asked, who decides, and how the workflow goes on."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from accounts.models import Environment, Workspace
from runs.models import Execution, StepState
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import Caller, caller
from tests.support.shown_workflows import shown, statuses
from tests.support.workflows import Worker, pass_time, step, wake

pytestmark = pytest.mark.django_db(transaction=True)
FORM = [{"name": "reason", "label": "Reason", "type": "text", "required": True, "options": []}]


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def member(workspace: Workspace, name: str, role: str) -> Client:
    """A person's session."""
    return signed_in(person(name, workspace=workspace, role=role))


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


def test_other_workers_continue_after_a_decision(api, start, worker):
    execution = start(step("sign_off", "approval"), step("send"))
    worker.run()
    api.ask("POST", f"/executions/{execution.pk}/approve/", {}, expect=200)
    other = Worker("second")
    assert other.run() == ["send"]
    other.close()
