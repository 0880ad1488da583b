"""Retry policies that steps of workflows name, through the API: changed, restored, deleted, imported."""

import pytest

from accounts.models import Workspace
from jobs.models import Job, RetryPolicy
from tests.support.api_caller import Caller, caller
from tests.support.workflow_jobs import http_step, workflow_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture(autouse=True)
def _policies(api: Caller) -> None:
    for slug in ("patient", "hasty"):
        api.ask("POST", "/retry-policies/", {"slug": slug, "name": slug, "max_attempts": 8}, expect=201)


def _attempts(api: Caller) -> list[int]:
    workflow = api.ask("GET", "/jobs/order/")["workflow"]
    return [step["retry"]["max_attempts"] for step in (*workflow["steps"], *workflow["finally"])]


def test_a_change_of_a_policy_reaches_the_steps_that_name_it(api: Caller) -> None:
    steps = [http_step("a", retry={"policy": "patient"}), http_step("b"), http_step("c", retry={"policy": "hasty"})]
    last = [http_step("d", retry={"policy": "patient"})]
    api.ask("POST", "/jobs/", workflow_job(*steps, **{"finally": last}), expect=201)
    assert _attempts(api) == [8, 3, 8, 8]
    api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 5}, expect=200)
    assert _attempts(api) == [5, 3, 8, 5]
    saved = api.ask("GET", "/jobs/order/")
    assert saved["version"] == 2
    renamed = api.ask("PATCH", "/jobs/order/", {"name": "Orders"}, expect=200)
    assert renamed["workflow"] == saved["workflow"]


def test_an_older_version_is_restored_with_the_rules_of_today(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step(retry={"policy": "patient"})), expect=201)
    api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": [http_step()]}}, expect=200)
    api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 5}, expect=200)
    assert _attempts(api) == [3]
    api.ask("POST", "/jobs/order/versions/1/restore/", {}, expect=200)
    assert _attempts(api) == [5]


def test_one_in_use_is_not_deleted(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step(retry={"policy": "patient"})), expect=201)
    assert api.ask("DELETE", "/retry-policies/patient/", expect=409)["jobs"] == ["order"]
    api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": [http_step()]}}, expect=200)
    api.ask("DELETE", "/retry-policies/patient/", expect=204)
    assert api.ask("POST", "/jobs/order/versions/1/restore/", {}, expect=409)["code"] == "not_restorable"


def test_deleting_the_job_frees_it(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step(retry={"policy": "patient"})), expect=201)
    api.ask("DELETE", "/jobs/order/", expect=204)
    api.ask("DELETE", "/retry-policies/patient/", expect=204)


def test_imported_jobs_use_it_too(api: Caller) -> None:
    jobs = {"jobs": [workflow_job(http_step(retry={"policy": "patient"}))]}
    assert api.ask("POST", "/jobs/import/", {"format": "json", "content": jobs}, expect=200)["created"] == 1
    policy = RetryPolicy.objects.get(slug="patient")
    assert Job.objects.get().step_policies == [policy.pk]
