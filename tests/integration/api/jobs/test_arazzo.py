"""Arazzo documents through the API: what is left out is named, and importing an export changes nothing."""

import json
from typing import Any

import pytest

from accounts.models import Workspace
from jobs.models import Job, JobVersion
from tests.support.api_caller import JOB, Caller, caller
from tests.support.arazzo import OPENAPI, document, refuse_invalid
from tests.support.workflow_jobs import delay_step, every_kind_of_step, http_step, workflow_job

pytestmark = pytest.mark.django_db
CREATE = {"stepId": "create", "operationId": "createOrder", "outputs": {"id": "$response.body#/id"}}


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def sent(api: Caller, arazzo: Any, **more: Any) -> Any:
    content = {"arazzo": arazzo, "sources": {"shop": OPENAPI}} if isinstance(arazzo, dict) else arazzo
    return api.ask("POST", "/jobs/import/", {"format": "arazzo", "content": content, **more}, expect=200)


def exported(api: Caller) -> Any:
    answer = api.get("/api/v1/jobs/export/?format=arazzo")
    assert answer.status_code == 200, answer.content
    return answer.json()


class TestImport:
    def test_a_workflow_is_created_and_then_unchanged(self, api: Caller) -> None:
        arazzo = document({**CREATE, "successCriteria": [{"condition": "$statusCode == 201"}]}, summary="Order it")
        dry = sent(api, arazzo, dry_run=True)
        assert (dry["created"], Job.objects.count()) == (1, 0)
        assert sent(api, arazzo) == dry
        job = api.ask("GET", "/jobs/order/")
        assert (job["kind"], job["name"], job["environments"]["production"]["enabled"]) == (
            "workflow",
            "Order it",
            True,
        )
        (step,) = job["workflow"]["steps"]
        assert (step["success"]["statuses"], step["extract"]) == (["201"], {"id": "$.id"})
        again = sent(api, arazzo)
        assert (again["unchanged"], JobVersion.objects.count()) == (1, 1)

    def test_what_changes_the_course_is_named_and_the_new_job_disabled(self, api: Caller) -> None:
        skips = {**CREATE, "onSuccess": [{"name": "skip", "type": "goto", "stepId": "last"}]}
        middle, last = {**CREATE, "stepId": "middle"}, {**CREATE, "stepId": "last"}
        (item,) = sent(api, document(skips, middle, last))["items"]
        assert item["result"] == "created"
        assert "Left out: Step create: the success action skip (goto to last)." in item["notes"]
        assert not api.ask("GET", "/jobs/order/")["environments"]["production"]["enabled"]

    def test_each_workflow_has_a_result_of_its_own(self, api: Caller) -> None:
        arazzo = document(CREATE)
        arazzo["workflows"].append({"workflowId": "x", "steps": [{"stepId": "a", "operationId": "nope"}]})
        arazzo["workflows"].append({"workflowId": "y", "steps": [{**CREATE, "outputs": {"status": "$steps"}}]})
        answer = sent(api, arazzo)
        assert [item["result"] for item in answer["items"]] == ["created", "failed", "created"]
        (error,) = answer["items"][1]["errors"]
        assert error["detail"].startswith("Workflow x: Step a: the operation nope is in none of the sources (shop)")

    def test_relative_servers_need_a_base(self, api: Caller) -> None:
        content = {"arazzo": document(CREATE), "sources": {"shop": {**OPENAPI, "servers": [{"url": "/v1"}]}}}
        body = {"format": "arazzo", "content": content, "base_url": "https://a.test"}
        assert api.ask("POST", "/jobs/import/", body, expect=200)["created"] == 1
        assert api.ask("GET", "/jobs/order/")["workflow"]["steps"][0]["request"]["url"] == "https://a.test/v1/orders"

    @pytest.mark.parametrize(
        "content", ["arazzo: 1.1.0", "a: &x 1", "[", [], {"jobs": []}, 3, {"arazzo": {"arazzo": []}}]
    )
    def test_other_files_are_refused(self, api: Caller, content: Any) -> None:
        body = {"format": "arazzo", "content": content}
        assert api.refused("POST", "/jobs/import/", body) == {"content": "unreadable"}


class TestExport:
    @pytest.fixture
    def many(self, api: Caller) -> Caller:
        api.ask("POST", "/secrets/", {"name": "KEY", "value": "never exported"}, expect=201)
        api.ask("POST", "/retry-policies/", {"name": "Gentle", "max_attempts": 7}, expect=201)
        secret = http_step(
            "a", request={"headers": {"Authorization": "Bearer {{secrets.KEY}}"}}, retry={"policy": "gentle"}
        )
        overrides = {"workflow": {"steps": {"a": {"request": {"method": "PUT"}}}}}
        environments = {"production": {"enabled": False, "overrides": overrides}}
        for job in (
            {**every_kind_of_step(), "slug": "every", "schedule": "@daily", "tags": ["x"]},
            {**workflow_job(secret), "slug": "secret", "environments": environments, "overlap": "skip"},
            {**workflow_job(delay_step()), "slug": "waits"},
            {**JOB, "slug": "plain"},
        ):
            api.ask("POST", "/jobs/", job, expect=201)
        return api

    def test_is_valid_and_changes_nothing_when_imported_again(self, many: Caller) -> None:
        arazzo = exported(many)
        refuse_invalid(arazzo)
        assert [workflow["workflowId"] for workflow in arazzo["workflows"]] == ["every", "secret"]
        assert "never exported" not in json.dumps(arazzo)
        for content in (arazzo, json.dumps(arazzo)):
            body = {"format": "arazzo", "content": content}
            answer = many.ask("POST", "/jobs/import/", body, expect=200)
            assert (answer["unchanged"], answer["failed"]) == (3, 0), answer

    def test_brings_deleted_jobs_back_as_they_were(self, many: Caller) -> None:
        arazzo = exported(many)
        for slug in ("every", "secret", "waits"):
            many.ask("DELETE", f"/jobs/{slug}/", expect=204)
        answer = many.ask("POST", "/jobs/import/", {"format": "arazzo", "content": arazzo}, expect=200)
        assert answer["created"] == 3, answer
        assert exported(many) == arazzo

    def test_without_a_call_is_a_conflict(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", JOB, expect=201)
        answer = api.get("/api/v1/jobs/export/?format=arazzo")
        assert (answer.status_code, answer.json()["code"]) == (409, "no_call")
