"""Objects named like another's id: the path of one never leads to the other."""

import pytest

from accounts.models import Environment, Workspace
from jobs.models import Job, RetryPolicy
from tests.support.api_caller import JOB, Caller, caller
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def spelled(key: object) -> list[str]:
    text = str(key)
    return [text, text.upper(), text.replace("-", ""), f"{{{text}}}", text.replace("-", "")[:31]]


def test_a_job_named_like_another_jobs_id_is_distinct(api: Caller, make_job: MakeJob) -> None:
    victim = make_job(slug="victim").job
    for name in spelled(victim.pk):
        made = api.ask("POST", "/jobs/", {**JOB, "name": name}, expect=201)
        imported = {"format": "json", "content": {"jobs": [{**JOB, "name": name}]}}
        assert api.ask("POST", "/jobs/import/", imported, expect=200)["failed"] == 0
        api.ask("DELETE", f"/jobs/{made['slug']}/", expect=204)
    api.ask("GET", f"/jobs/{victim.pk}/", expect=200)
    assert api.ask("GET", "/jobs/victim/", expect=200)["id"] == str(victim.pk)
    assert not Job.objects.filter(slug=str(victim.pk)).exists()


def test_a_policy_named_like_another_policys_id_is_distinct(api: Caller) -> None:
    victim = api.ask("POST", "/retry-policies/", {"name": "Victim"}, expect=201)
    for name in spelled(victim["id"]):
        made = api.ask("POST", "/retry-policies/", {"name": name}, expect=201)
        api.ask("DELETE", f"/retry-policies/{made['slug']}/", expect=204)
        assert api.refused("POST", "/retry-policies/", {"name": "x", "slug": victim["id"]}) == {"slug": "invalid"}
    assert RetryPolicy.objects.get().slug == "victim"


def test_two_policies_of_one_name_are_numbered(api: Caller) -> None:
    slugs = [api.ask("POST", "/retry-policies/", {"name": "Größe"}, expect=201)["slug"] for _ in range(3)]
    assert slugs == ["grosse", "grosse-2", "grosse-3"]


def test_an_environment_named_like_another_ones_id_is_distinct(api: Caller, workspace: Workspace) -> None:
    victim = workspace.environments.get()
    for name in spelled(victim.pk):
        made = api.ask("POST", "/environments/", {"name": name}, expect=201)
        api.ask("DELETE", f"/environments/{made['slug']}/", expect=204)
        assert api.refused("POST", "/environments/", {"name": "x", "slug": str(victim.pk)}) == {"slug": "invalid"}
    assert Environment.objects.get() == victim


def test_an_environment_needs_a_name_or_a_slug(api: Caller) -> None:
    assert api.refused("POST", "/environments/", {}) == {"slug": "required"}
    made = api.ask("POST", "/environments/", {"name": "Prüfung"}, expect=201)
    assert (made["slug"], made["name"]) == ("prufung", "Prüfung")
    assert api.ask("POST", "/environments/", {"slug": "qa"}, expect=201)["name"] == "qa"
