"""Versions of a job: compared, and restored without firing."""

import pytest
from django.urls import reverse

from accounts.models import Environment, Workspace
from jobs.models import Job, JobEnvironment
from runs.models import Execution
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import JOB, Caller, caller

pytestmark = pytest.mark.django_db
PATH = "/jobs/nightly-report/"


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


@pytest.fixture
def api(workspace: Workspace, staging: Environment) -> Caller:
    """A caller, with a job of two versions."""
    api = caller(workspace)
    places = {"production": {}, "staging": {"overrides": {"concurrency": 1}}}
    api.ask("POST", "/jobs/", {**JOB, "schedule": "0 2 * * *", "environments": places}, expect=201)
    changed = {"schedule": "0 3 * * *", "tags": ["a"], "environments": {"staging": {"overrides": {"concurrency": 2}}}}
    api.ask("PATCH", PATH, changed, expect=200)
    return api


class TestComparing:
    def test_the_difference_names_each_field(self, api: Caller) -> None:
        found = api.ask("GET", f"{PATH}versions/1/diff/2/", expect=200)
        assert found == {
            "from": 1,
            "to": 2,
            "changes": [
                {"field": "tags", "old": [], "new": ["a"]},
                {"field": "schedule", "old": "0 2 * * *", "new": "0 3 * * *"},
                {"field": "environments.staging.overrides.concurrency", "old": 1, "new": 2},
            ],
        }
        assert api.ask("GET", f"{PATH}versions/2/diff/2/", expect=200)["changes"] == []
        api.ask("GET", f"{PATH}versions/1/diff/9/", expect=404)

    def test_a_key_sees_the_overrides_of_its_own_environments(self, api: Caller, workspace: Workspace) -> None:
        production = workspace.environments.get(slug="production")
        bound = caller(workspace, environments=[production])
        fields = [change["field"] for change in bound.ask("GET", f"{PATH}versions/1/diff/2/")["changes"]]
        assert fields == ["tags", "schedule"]
        assert "environments" not in bound.ask("GET", f"{PATH}versions/1/")["definition"]
        shown = api.ask("GET", f"{PATH}versions/1/")["definition"]["environments"]
        assert shown == {"staging": {"overrides": {"concurrency": 1}}}


class TestRestoring:
    def test_restoring_makes_a_new_version_and_reschedules(self, api: Caller) -> None:
        api.ask("PATCH", PATH, {"environments": {"staging": {"enabled": False}}}, expect=200)
        found = api.ask("POST", f"{PATH}versions/1/restore/", {}, expect=200)
        assert (found["version"], found["schedule"], found["tags"]) == (3, "0 2 * * *", [])
        assert found["environments"]["production"]["next_fire_at"][11:16] == "02:00"
        assert found["environments"]["staging"]["enabled"] is False
        assert found["environments"]["staging"]["overrides"] == {"concurrency": 1}
        assert api.ask("GET", f"{PATH}versions/1/diff/3/")["changes"] == []
        assert not Execution.objects.exists()

    def test_restoring_the_current_version_changes_nothing(self, api: Caller) -> None:
        assert api.ask("POST", f"{PATH}versions/2/restore/", {}, expect=200)["version"] == 2

    def test_a_past_one_off_is_restored_without_firing(self, api: Caller) -> None:
        api.ask("PATCH", PATH, {"schedule": "now"}, expect=200)
        api.ask("PATCH", PATH, {"schedule": None}, expect=200)
        found = api.ask("POST", f"{PATH}versions/3/restore/", {}, expect=200)
        assert (found["version"], found["schedule_type"]) == (5, "one_off")
        assert set(JobEnvironment.objects.values_list("next_fire_at", flat=True)) == {None}

    def test_a_missing_dependency_is_a_conflict(self, api: Caller, staging: Environment) -> None:
        api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient", "max_attempts": 8}, expect=201)
        api.ask("PATCH", PATH, {"retry": {"policy": "patient"}}, expect=200)
        api.ask("PATCH", PATH, {"retry": {"policy": None}}, expect=200)
        assert api.ask("POST", f"{PATH}versions/3/restore/", {}, expect=200)["retry"]["policy"] == "patient"
        api.ask("POST", f"{PATH}versions/4/restore/", {}, expect=200)
        api.ask("DELETE", "/retry-policies/patient/", expect=204)
        problem = api.ask("POST", f"{PATH}versions/3/restore/", {}, expect=409)
        assert (problem["code"], "retry policy patient" in problem["detail"]) == ("not_restorable", True)
        staging.delete()
        assert "a deleted environment" in api.ask("POST", f"{PATH}versions/1/restore/", {}, expect=409)["detail"]

    def test_a_version_with_a_forbidden_url_is_refused(self, api: Caller) -> None:
        secret = api.ask("POST", "/secrets/", {"name": "TOKEN", "value": "s3cret-value"}, expect=201)
        named = {"request": {"url": JOB["request"]["url"], "body": "{{secrets.TOKEN}}"}}
        api.ask("PATCH", PATH, named, expect=200)
        api.ask("PATCH", PATH, {"request": {"body": None}}, expect=200)
        api.ask("DELETE", f"/secrets/{secret['id']}/", expect=204)
        problem = api.ask("POST", f"{PATH}versions/3/restore/", {}, expect=409)
        assert problem["errors"][0]["code"] == "unknown_secret"

    def test_a_key_bound_elsewhere_can_not_restore(
        self, api: Caller, workspace: Workspace, staging: Environment
    ) -> None:
        caller(workspace, environments=[staging]).ask("POST", f"{PATH}versions/1/restore/", {}, expect=403)

    def test_the_dashboard_shows_changes_and_restores(self, api: Caller, workspace: Workspace) -> None:
        job = Job.objects.get()
        client = signed_in(person("mara", workspace=workspace, role="owner"))
        page = client.get(reverse("admin:jobs_job_page", args=[job.pk])).text
        assert "<dt>staging: Max concurrent executions</dt>" in page
        client.post(reverse("admin:jobs_job_restore", args=[job.pk, 1]))
        assert api.ask("GET", PATH)["schedule"] == "0 2 * * *"
        viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
        assert viewer.post(reverse("admin:jobs_job_restore", args=[job.pk, 2])).status_code == 403
