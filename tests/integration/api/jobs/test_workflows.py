"""Workflows through the API: saved with their defaults, run as a whole, and as the document's examples show them."""

from typing import Any

import pytest

from accounts.models import Workspace
from api.jobs import examples
from jobs.definition.reading import workflow_definition_of
from jobs.models import JobVersion
from tests.support.api_caller import JOB, Caller, caller
from tests.support.workflow_jobs import (
    URL,
    approval_step,
    delay_step,
    every_kind_of_step,
    http_step,
    webhook_step,
    workflow_job,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def test_saving_fills_in_every_default(api: Caller) -> None:
    saved = api.ask(
        "POST", "/jobs/", workflow_job(http_step(), delay_step(), webhook_step(), approval_step()), expect=201
    )
    workflow = saved["workflow"]
    assert (saved["request"], saved["success"], saved["retry"]) == (None, None, None)
    assert list(workflow) == ["timeout_seconds", "steps", "finally", "output"]
    assert (workflow["timeout_seconds"], workflow["finally"], workflow["output"]) == (2_592_000, [], None)
    call, cool, paid, ok = workflow["steps"]
    http = api.ask("POST", "/jobs/", JOB, expect=201)
    for section in ("request", "success", "retry"):
        assert call[section] == http[section]
        assert list(call[section]) == list(http[section])
    assert list(call) == ["id", "type", "if", "request", "success", "retry", "extract", "poll", "on_failure"]
    assert (call["if"], call["extract"], call["poll"], call["on_failure"]) == ([], {}, None, "fail")
    assert cool == {"id": "cool", "type": "delay", "if": [], "seconds": 600, "until": None, "on_failure": "fail"}
    assert paid == {
        "id": "paid", "type": "webhook", "if": [], "timeout_seconds": 604_800, "on_timeout": "fail",
        "verify": {"preset": "none", "secret": None, "header": None}, "accept": [], "on_failure": "fail",
    }  # fmt: skip
    assert ok == {
        "id": "ok", "type": "approval", "if": [], "message": None, "approvers": [], "required": 1,
        "self_approval": True, "form": [], "timeout_seconds": 86_400, "on_timeout": "reject", "on_failure": "fail",
    }  # fmt: skip
    assert api.ask("GET", "/jobs/order/") == saved


def test_everything_that_a_workflow_holds_is_kept_and_read_by_workers(api: Caller) -> None:
    sent = every_kind_of_step()
    saved = api.ask("POST", "/jobs/", sent, expect=201)["workflow"]
    create, _, later, _, ok, _ = saved["steps"]
    assert create["extract"] == {
        "order": "$.id",
        "token": {"path": "$.token", "secret": True},
        "n": {"path": "$.n", "default": 0, "secret": False},
    }
    assert create["poll"] == {**sent["workflow"]["steps"][0]["poll"], "timeout_seconds": 3600}
    assert create["request"]["headers"] == {"Content-Type": "application/json"}
    assert later["until"] == "{{steps.create.json.at}}"
    assert ok["form"][0] == {
        "name": "reason", "label": "reason", "type": "text", "required": True, "options": [],
    }  # fmt: skip
    assert saved["output"] == sent["workflow"]["output"]
    definition = workflow_definition_of(JobVersion.objects.get().config)
    assert [step.id for step in definition.all_steps] == ["create", "cool", "later", "paid", "ok", "send", "clean"]


def test_a_workflow_s_address_is_that_of_its_first_call(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(delay_step(), http_step(request={"url": f"{URL}/first"})), expect=201)
    api.ask("POST", "/jobs/", {**workflow_job(delay_step()), "name": "Pause"}, expect=201)
    api.ask("POST", "/jobs/", JOB, expect=201)
    found = [[job["slug"] for job in api.ask("GET", f"/jobs/?{query}")["results"]]
             for query in ("search=ok/first", "kind=workflow", "kind=http")]  # fmt: skip
    assert found == [["order"], ["pause", "order"], ["nightly-report"]]


def test_the_same_put_again_makes_no_version(api: Caller) -> None:
    for status in (201, 200, 200):
        saved = api.ask("PUT", "/jobs/order/", every_kind_of_step(), expect=status)
    assert saved["version"] == 1
    assert (
        api.ask("PUT", "/jobs/order/", {"name": "Order", **{f: saved[f] for f in ("kind", "workflow")}})["version"] == 1
    )


def test_a_patch_replaces_the_fields_of_the_workflow_that_it_names(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step("a"), http_step("b"), output={"a": 1}), expect=201)
    changed = api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": [http_step("c")]}}, expect=200)["workflow"]
    assert ([step["id"] for step in changed["steps"]], changed["output"]) == (["c"], {"a": 1})
    assert api.ask("PATCH", "/jobs/order/", {"description": "x"}, expect=200)["workflow"] == changed


def test_the_kind_can_change_both_ways(api: Caller) -> None:
    api.ask("POST", "/jobs/", {**JOB, "slug": "order"}, expect=201)
    steps = {"steps": [http_step()]}
    assert api.refused("PATCH", "/jobs/order/", {"kind": "workflow"}) == {"workflow": "required"}
    both = {"kind": "workflow", "workflow": steps, "request": {"url": URL}}
    assert api.refused("PATCH", "/jobs/order/", both) == {"request": "conflicting"}
    changed = api.ask("PATCH", "/jobs/order/", {"kind": "workflow", "workflow": steps, "request": None}, expect=200)
    assert (changed["kind"], changed["request"], changed["retry"]) == ("workflow", None, None)
    back = {"kind": "http", "request": {"url": URL}, "workflow": None}
    changed = api.ask("PATCH", "/jobs/order/", back, expect=200)
    assert (changed["workflow"], changed["retry"]["max_attempts"], changed["version"]) == (None, 3, 3)
    assert api.ask("POST", "/jobs/order/versions/2/restore/", {}, expect=200)["workflow"]["steps"][0]["id"] == "call"


def test_a_test_call_and_an_edited_replay_are_of_one_call_only(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(), expect=201)
    assert api.ask("POST", "/jobs/order/test/", {}, expect=409)["code"] == "not_for_workflows"
    execution = api.ask("POST", "/jobs/order/run/", {}, expect=202)
    assert execution["max_attempts"] is None
    edit = {"edit": {"body": "x"}}
    assert api.ask("POST", f"/executions/{execution['id']}/replay/", edit, expect=409)["code"] == "not_for_workflows"
    replayed = api.ask("POST", f"/executions/{execution['id']}/replay/", {}, expect=202)
    assert replayed["replay_of"] == execution["id"]


@pytest.mark.parametrize(
    "example", [each.value for each in examples.JOB if each.request_only], ids=lambda body: body["name"]
)
def test_the_examples_of_the_document_are_valid(api: Caller, example: dict[str, Any]) -> None:
    api.ask("POST", "/secrets/", {"name": "BILLING_TOKEN", "value": "some text"}, expect=201)
    api.ask("POST", "/jobs/", example, expect=201)
