"""Permissions through the API: keys, bound keys, people. test_borders.py tries every route."""

import datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from accounts.actors import SYSTEM
from accounts.models import ApiKey, Environment, Membership, Role, Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from jobs.services.save import EnvironmentChange, save_job
from tests.support.api_caller import JOB, NOW, Caller, caller, make_execution, make_run
from tests.support.jobs import MakeJob, job_config

pytestmark = pytest.mark.django_db


@pytest.fixture
def foreign(make_job: MakeJob) -> dict[str, str]:
    """A job, an execution and a run of the first workspace."""
    state = make_job(slug="theirs", schedule="0 2 * * *")
    execution = make_execution(state, status="pending", trigger="manual", finished_at=None, next_attempt_at=NOW)
    return {"job": str(state.job_id), "execution": str(execution.pk), "run": str(make_run(execution).pk)}


def test_lists_show_nothing_of_another_workspace(foreign: dict[str, str]) -> None:
    stranger = caller(create_workspace(slug="other", name="Other"))
    for path in ("/jobs/", "/executions/", "/runs/", f"/executions/?job={foreign['job']}", "/runs/?job=theirs"):
        assert stranger.ask("GET", path, expect=200)["results"] == []
    assert len(stranger.ask("GET", "/environments/", expect=200)["results"]) == 1


def test_a_revoked_key_is_refused_and_a_used_one_has_its_last_use(workspace: Workspace) -> None:
    client = caller(workspace)
    client.ask("GET", "/jobs/", expect=200)
    used_at = ApiKey.objects.get().last_used_at
    assert used_at is not None
    client.ask("GET", "/jobs/", expect=200)
    assert ApiKey.objects.get().last_used_at == used_at, "written at most once a minute"
    ApiKey.objects.update(revoked_at=NOW)
    assert client.ask("GET", "/jobs/", expect=401)["code"] == "key_revoked"


class TestKeysBoundToAnEnvironment:
    @pytest.fixture
    def staging(self, workspace: Workspace) -> Environment:
        return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")

    @pytest.fixture
    def bound(self, workspace: Workspace, staging: Environment) -> Caller:
        return caller(workspace, environments=[staging])

    @pytest.fixture
    def shared(self, workspace: Workspace, staging: Environment) -> Job:
        """A job that is enabled in production and staging."""
        changes = [EnvironmentChange(environment, enabled=True) for environment in workspace.environments.all()]
        return save_job(
            workspace=workspace,
            job=None,
            slug="shared",
            config=job_config(),
            environments=changes,
            now=NOW,
            actor=SYSTEM,
        )

    def test_sees_only_jobs_of_its_environments(self, bound: Caller, make_job: MakeJob, shared: Job) -> None:
        make_job(slug="production-only")
        assert [job["slug"] for job in bound.ask("GET", "/jobs/")["results"]] == ["shared"]
        bound.ask("GET", "/jobs/production-only/", expect=404)
        bound.ask("POST", "/jobs/production-only/run/", expect=404)
        assert list(bound.ask("GET", "/jobs/shared/")["environments"]) == ["staging"]
        assert [found["slug"] for found in bound.ask("GET", "/environments/")["results"]] == ["staging"]

    def test_sees_only_history_of_its_environments(self, bound: Caller, shared: Job) -> None:
        states = JobEnvironment.objects.select_related("job__current_version").filter(job=shared)
        executions = {state.environment.slug: make_execution(state) for state in states}
        runs = {slug: make_run(execution) for slug, execution in executions.items()}
        for path in (
            "/executions/",
            "/jobs/shared/executions/",
            "/runs/",
            "/executions/?environment=production,staging",
        ):
            assert [row["environment"] for row in bound.ask("GET", path, expect=200)["results"]] == ["staging"]
        assert bound.ask("GET", "/executions/?environment=production")["results"] == []
        bound.ask("GET", f"/runs/{runs['production'].pk}/", expect=404)
        for rest in ("", "cancel/", "replay/"):
            bound.ask("POST" if rest else "GET", f"/executions/{executions['production'].pk}/{rest}", expect=404)

    def test_changes_only_its_environments(self, bound: Caller, shared: Job) -> None:
        bound.ask("PATCH", "/jobs/shared/", {"environments": {"staging": {"enabled": False}}}, expect=200)
        bound.ask("PATCH", "/jobs/shared/", {"environments": {"production": {"enabled": False}}}, expect=404)
        bound.ask("POST", "/jobs/shared/pause/", expect=200)
        bound.ask("POST", "/jobs/shared/pause/", {"environment": "production"}, expect=404)
        states = JobEnvironment.objects.order_by("environment__slug").values_list("enabled", "paused_at")
        (production_enabled, production_paused_at), (staging_enabled, staging_paused_at) = states
        assert production_enabled
        assert production_paused_at is None
        assert not staging_enabled
        assert staging_paused_at is not None

    def test_can_not_change_or_delete_shared_jobs(self, bound: Caller, shared: Job) -> None:
        assert bound.ask("PATCH", "/jobs/shared/", {"description": "x"}, expect=403)["code"] == "environment_bound"
        assert bound.ask("PUT", "/jobs/shared/", JOB | {"tags": ["x"]}, expect=403)["code"] == "environment_bound"
        bound.ask("DELETE", "/jobs/shared/", expect=403)
        shared.refresh_from_db()
        assert (shared.deleted_at, shared.current_version.number) == (None, 1)  # type: ignore[union-attr]

    def test_creates_and_runs_jobs_in_its_environment(self, bound: Caller) -> None:
        made = bound.ask("POST", "/jobs/", JOB, expect=201)
        assert list(made["environments"]) == ["staging"]
        assert bound.ask("POST", f"/jobs/{made['id']}/run/", expect=202)["environment"] == "staging"
        bound.ask("DELETE", f"/jobs/{made['id']}/", expect=204)


class TestDashboardSessions:
    def login(self, workspace: Workspace | None, role: str = Role.MEMBER, **user: Any) -> Caller:
        person = get_user_model().objects.create_user("person", password="a long password", **user)
        if workspace is not None:
            Membership.objects.create(workspace=workspace, user=person, role=role)
        client = Caller(enforce_csrf_checks=True)
        client.force_login(person)
        return client

    def with_csrf(self, client: Caller) -> Caller:
        client.get("/admin/")
        client.cookies["hourhand_csrf"] = token = "a" * 32
        client.credentials(HTTP_X_CSRFTOKEN=token)
        return client

    def test_a_member_reads_and_writes(self, workspace: Workspace) -> None:
        client = self.login(workspace)
        assert client.ask("GET", "/jobs/", expect=200)["results"] == []
        self.with_csrf(client).ask("POST", "/jobs/", JOB, expect=201)
        version = Job.objects.get().current_version
        assert version is not None
        assert version.created_by is not None
        assert version.created_by.get_username() == "person"

    def test_writing_needs_the_csrf_token(self, workspace: Workspace) -> None:
        self.login(workspace).ask("POST", "/jobs/", JOB, expect=403)
        assert not Job.objects.exists()

    def test_a_viewer_can_only_read(self, workspace: Workspace) -> None:
        client = self.with_csrf(self.login(workspace, Role.VIEWER))
        client.ask("GET", "/executions/", expect=200)
        assert client.ask("POST", "/jobs/", JOB, expect=403)["code"] == "scope_missing"

    def test_a_superuser_without_membership_uses_the_first_workspace(self, workspace: Workspace) -> None:
        client = self.with_csrf(self.login(None, is_superuser=True))
        client.ask("POST", "/jobs/", JOB, expect=201)
        assert Job.objects.get().workspace == workspace

    def test_somebody_without_a_workspace_sees_nothing(self, workspace: Workspace) -> None:
        assert self.login(None).ask("GET", "/jobs/", expect=403)["code"] == "no_workspace"


def test_a_key_works_until_its_expiry(workspace: Workspace) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    caller(workspace, expires_at=later).ask("GET", "/jobs/", expect=200)
