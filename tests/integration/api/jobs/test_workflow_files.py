"""Versions, logs, exports and secrets of workflows, through the API."""

import json
from typing import Any

import pytest

from accounts.models import AuditEntry, Environment, Workspace
from tests.support.api_caller import Caller, caller
from tests.support.workflow_jobs import delay_step, every_kind_of_step, http_step, webhook_step, workflow_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


def test_versions_are_compared_step_by_step(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step("a"), http_step("b")), expect=201)
    steps = [http_step("b"), http_step("a", request={"timeout_seconds": 5}), delay_step("c", seconds=1)]
    api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": steps}}, expect=200)
    changes = {change["field"]: change for change in api.ask("GET", "/jobs/order/versions/1/diff/2/")["changes"]}
    assert sorted(changes) == ["workflow.order", "workflow.steps.a.request.timeout_seconds", "workflow.steps.c"]
    assert changes["workflow.order"]["new"] == ["b", "a", "c"]
    assert changes["workflow.steps.a.request.timeout_seconds"]["old"] == 30


def test_the_log_has_no_value_of_a_header(api: Caller) -> None:
    def sent(token: str, *more: dict[str, Any]) -> dict[str, Any]:
        return workflow_job(http_step("a", request={"headers": {"Authorization": token}, "body": "b" * 2000}), *more)

    api.ask("PUT", "/jobs/order/", sent("canary-1"), expect=201)
    another = http_step("b", request={"headers": {"Authorization": "canary-2"}, "body": "b" * 2000})
    api.ask("PUT", "/jobs/order/", sent("canary-3", another), expect=200)
    created, updated = AuditEntry.objects.filter(target_kind="job").order_by("id")
    assert created.changes["steps"] == [None, ["a (http)"]]
    assert updated.changes["workflow.steps.a.request.headers.Authorization"] == ["[redacted]", "[redacted]"]
    assert "canary" not in json.dumps([created.changes, updated.changes])


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_an_export_is_imported_without_a_change(api: Caller, staging: Environment, kind: str) -> None:
    api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient", "max_attempts": 8}, expect=201)
    sent = every_kind_of_step()
    sent["workflow"]["steps"][5]["retry"] = {"policy": "patient"}
    sent["environments"] = {"staging": {"overrides": {"workflow": {"steps": {"cool": {"seconds": 5}}}}}}
    saved = api.ask("POST", "/jobs/", sent, expect=201)
    text = api.get(f"/api/v1/jobs/export/?format={kind}").content.decode()
    assert "self_approval" in text
    assert "every_seconds: 10" not in text
    done = api.ask("POST", "/jobs/import/", {"format": kind, "content": text}, expect=200)
    assert (done["unchanged"], done["items"][0]["errors"]) == (1, [])
    api.ask("DELETE", "/jobs/order/?purge=true", expect=204)
    assert api.ask("POST", "/jobs/import/", {"format": kind, "content": text}, expect=200)["created"] == 1
    again = api.ask("GET", "/jobs/order/")
    assert again["workflow"] == saved["workflow"]
    assert again["environments"]["staging"]["overrides"] == saved["environments"]["staging"]["overrides"]


def test_a_secret_that_a_step_uses_is_not_deleted(api: Caller) -> None:
    for name in ("SENT", "SENDER", "FREE"):
        api.ask("POST", "/secrets/", {"name": name, "value": "some text"}, expect=201)
    verify = {"preset": "github", "secret": "{{secrets.SENDER}}"}
    step = http_step(request={"headers": {"A": "{{secrets.SENT}}"}})
    api.ask("POST", "/jobs/", workflow_job(step, webhook_step(verify=verify)), expect=201)
    statuses = {
        secret["name"]: api.delete(f"/api/v1/secrets/{secret['id']}/").status_code
        for secret in api.ask("GET", "/secrets/")["results"]
    }
    assert statuses == {"SENT": 409, "SENDER": 409, "FREE": 204}
