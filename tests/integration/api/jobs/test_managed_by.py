"""Who applies a job from a file: kept beside its versions, filtered by, exported, and asked for by deletions."""

from typing import Any

import pytest

from accounts.models import AuditEntry, Environment, Workspace
from jobs.models import Job
from tests.support.api_caller import JOB, Caller, caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def made(api: Caller, slug: str, **fields: Any) -> Any:
    return api.ask("PUT", f"/jobs/{slug}/", {**JOB, **fields}, expect=201)


def test_it_is_set_kept_and_cleared_without_a_version(api: Caller) -> None:
    assert made(api, "by-hand")["managed_by"] is None
    assert made(api, "applied", managed_by="billing")["managed_by"] == "billing"
    assert api.ask("POST", "/jobs/", {**JOB, "managed_by": "ops"}, expect=201)["managed_by"] == "ops"
    # A PUT and a PATCH that don't mention it leave it alone.
    assert api.ask("PUT", "/jobs/applied/", {**JOB, "description": "x"}, expect=200)["managed_by"] == "billing"
    assert api.ask("PATCH", "/jobs/applied/", {"description": "y"}, expect=200)["managed_by"] == "billing"
    taken = api.ask("PATCH", "/jobs/applied/", {"managed_by": "ops"}, expect=200)
    assert (taken["managed_by"], taken["version"]) == ("ops", 3)
    assert api.ask("PATCH", "/jobs/applied/", {"managed_by": None}, expect=200)["managed_by"] is None


def test_a_restored_version_does_not_change_it(api: Caller) -> None:
    made(api, "applied")
    api.ask("PATCH", "/jobs/applied/", {"description": "x", "managed_by": "billing"}, expect=200)
    restored = api.ask("POST", "/jobs/applied/versions/1/restore/", {}, expect=200)
    assert (restored["description"], restored["managed_by"]) == ("", "billing")


def test_a_change_is_in_the_audit_log(api: Caller) -> None:
    made(api, "applied", managed_by="billing")
    api.ask("PATCH", "/jobs/applied/", {"managed_by": "ops"}, expect=200)
    created, updated = AuditEntry.objects.filter(action__in=["job.created", "job.updated"]).order_by("id")
    assert created.changes["managed_by"] == [None, "billing"]
    assert updated.changes == {"managed_by": ["billing", "ops"]}


@pytest.mark.parametrize("value", ["", "x" * 101, 7])
def test_it_is_a_name(api: Caller, value: Any) -> None:
    assert "managed_by" in api.refused("PUT", "/jobs/applied/", {**JOB, "managed_by": value})


def test_jobs_are_filtered_by_it(api: Caller) -> None:
    for slug, owner in (("a", "billing"), ("b", None), ("c", "ops")):
        made(api, slug, managed_by=owner)
    assert [job["slug"] for job in api.ask("GET", "/jobs/?managed_by=billing")["results"]] == ["a"]
    assert api.ask("GET", "/jobs/?managed_by=Billing")["results"] == []


def test_a_bound_key_can_not_take_over_a_shared_job(api: Caller, workspace: Workspace) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    made(api, "shared", environments={"production": {"enabled": True}, "staging": {"enabled": True}})
    bound = caller(workspace, environments=[staging])
    answer = bound.ask("PATCH", "/jobs/shared/", {"managed_by": "mine"}, expect=403)
    assert answer["code"] == "environment_bound"


def test_a_deletion_for_somebody_else_is_refused(api: Caller) -> None:
    made(api, "applied", managed_by="billing")
    assert api.ask("DELETE", "/jobs/applied/?managed_by=ops", expect=409)["code"] == "not_managed_by"
    assert Job.objects.live().exists()
    api.ask("DELETE", "/jobs/applied/?managed_by=billing", expect=204)
    made(api, "by-hand")
    assert api.ask("DELETE", "/jobs/by-hand/?managed_by=billing", expect=409)["code"] == "not_managed_by"


def test_an_export_carries_it_and_imports_unchanged(api: Caller, workspace: Workspace) -> None:
    made(api, "applied", managed_by="billing")
    made(api, "by-hand")
    exported = api.ask("GET", "/jobs/export/?format=json")
    assert [job.get("managed_by") for job in exported["jobs"]] == ["billing", None]
    answer = api.ask("POST", "/jobs/import/", {"format": "json", "content": exported}, expect=200)
    assert answer["unchanged"] == 2
    api.ask("DELETE", "/jobs/applied/", expect=204)
    api.ask("POST", "/jobs/import/", {"format": "json", "content": exported}, expect=200)
    assert api.ask("GET", "/jobs/applied/")["managed_by"] == "billing"
