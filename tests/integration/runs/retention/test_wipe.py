"""Emptying a workspace: what is removed, what is kept, permissions, and that readers see it at once."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import ApiKey, AuditEntry, Environment, Membership, Scope, Secret, SigningSecret, Workspace
from accounts.secrets import create_secret
from accounts.services import create_workspace
from core.models import KeptAnswer
from jobs.models import Job, JobEnvironment, JobVersion, RetryPolicy, SchedulePeriod
from jobs.services.save import save_job
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.executions import services
from runs.models import BulkOperation, Execution, Run, StepState
from runs.retention.prune import Pace, Turn
from runs.retention.worker import work_off
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import JOB, NOW, Caller, caller, make_execution, make_run
from tests.support.jobs import MakeJob, job_config
from workers.connections import Link
from workers.worker.claim import Claimer

pytestmark = pytest.mark.django_db
CONFIRMED = {"confirm": "acme"}


def owned(workspace: Workspace, role: str = "owner", **options: Any) -> Caller:
    """A caller with a key that a member of this role created in person."""
    member = person(f"{role}-of-{workspace.slug}", workspace=workspace, role=role)
    key = issue_key(workspace=workspace, name="test", scopes=tuple(Scope), actor=SYSTEM, **options).key
    ApiKey.objects.filter(workspace=workspace).update(created_by=member)
    return Caller(key)


def removed() -> None:
    turn = Turn(60, Pace(size=3), sleep=lambda _: None)
    assert not work_off(turn, timezone.now())


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return owned(workspace)


@pytest.fixture
def full(workspace: Workspace, make_job: MakeJob) -> JobEnvironment:
    """A workspace with one of everything."""
    job = make_job(slug="report", schedule={"every_seconds": 60})
    make_job(slug="gone", now=NOW)
    for status in ("succeeded", "failed", "canceled"):
        reason = "timeout" if status == "failed" else ""
        execution = make_execution(job, trigger="manual", status=status, failure_reason=reason)
        make_run(execution)
        StepState.objects.create(
            workspace=workspace, execution=execution, step="ask", type="http", status="failed", finished_at=NOW
        )
    services.run_now(job_environment=job, now=NOW, actor=SYSTEM)
    create_secret(workspace=workspace, environment=None, name="TOKEN", value="a long value", now=NOW, actor=SYSTEM)
    RetryPolicy.objects.create(
        workspace=workspace, slug="patient", name="Patient",
        **{field: value for field, value in job_config()["retry"].items() if field != "policy"},
    )  # fmt: skip
    BulkOperation.objects.create(workspace=workspace, kind="replay", filter={}, execution_ids=[])
    return job


READERS = (
    "/jobs/", "/executions/", "/executions/?status=succeeded", "/executions/?status=failed",
    "/executions/?trigger=manual", "/executions/?environment=production", "/executions/?failure_reason=timeout",
    "/executions/?last_only=true", "/executions/?search=receiver", "/executions/?sort=created_at",
    "/executions/?sort=duration", "/runs/", "/runs/?last_only=true", "/secrets/", "/bulk-operations/",
)  # fmt: skip


class TestWiping:
    def test_nothing_is_readable_right_afterwards(self, api: Caller, full: JobEnvironment) -> None:
        execution, run = Execution.objects.filter(status="succeeded").get(), Run.objects.first()
        assert run is not None
        for path in READERS:
            assert api.ask("GET", path, expect=200)["results"], path
        api.ask("POST", "/wipe/", CONFIRMED, expect=204)
        assert Execution.objects.count() == 4
        for path in READERS:
            assert api.ask("GET", path, expect=200)["results"] == [], path
        assert json.loads(api.get("/api/v1/jobs/export/?format=json").content) == {"jobs": []}
        for path in (
            f"/executions/{execution.pk}/", f"/runs/{run.pk}/", f"/jobs/{full.job_id}/", "/jobs/report/executions/",
            f"/jobs/{full.job_id}/executions/", "/jobs/report/ledger/", f"/jobs/{full.job_id}/ledger/",
        ):  # fmt: skip
            api.ask("GET", path, expect=404)
        for verb in ("replay", "retry", "cancel"):
            api.ask("POST", f"/executions/{execution.pk}/{verb}/", {}, expect=404)
        matched = api.ask("POST", "/executions/replay/", {"filter": {}, "dry_run": True}, expect=200)
        assert matched["matched"] == 0

    def test_no_row_remains_when_the_workers_are_done(self, api: Caller, full: JobEnvironment) -> None:
        api.ask("POST", "/wipe/", CONFIRMED, expect=204)
        removed()
        for model in (
            Job,
            JobVersion,
            JobEnvironment,
            SchedulePeriod,
            Execution,
            Run,
            StepState,
            Secret,
            BulkOperation,
        ):
            assert not model.objects.exists(), model  # type: ignore[attr-defined]

    def test_members_keys_environments_policies_and_the_audit_log_remain(
        self, api: Caller, full: JobEnvironment, workspace: Workspace
    ) -> None:
        kept = (Membership, ApiKey, Environment, RetryPolicy, SigningSecret)
        before = {model: set(model.objects.values_list("pk", flat=True)) for model in kept}
        entries = AuditEntry.objects.count()
        api.ask("POST", "/wipe/", CONFIRMED, expect=204)
        removed()
        assert {model: set(model.objects.values_list("pk", flat=True)) for model in kept} == before
        assert AuditEntry.objects.count() == entries + 1
        told = AuditEntry.objects.get(action="workspace.wiped")
        assert (told.actor_kind, told.changes) == ("key", {"jobs": [2, 0], "secrets": [1, 0]})
        assert [one["slug"] for one in api.ask("GET", "/retry-policies/")["results"]] == ["patient"]

    def test_another_workspace_is_unaffected(self, api: Caller, full: JobEnvironment) -> None:
        other = create_workspace(slug="other", name="Other")
        job = save_job(
            workspace=other,
            job=None,
            slug="report",
            config=job_config(schedule="@daily"),
            environments=None,
            now=NOW,
            actor=SYSTEM,
        )
        run = make_run(make_execution(JobEnvironment.objects.select_related("job").get(job=job)))
        api.ask("POST", "/wipe/", CONFIRMED, expect=204)
        theirs = caller(other)
        assert theirs.ask("GET", "/runs/", expect=200)["results"][0]["id"] == str(run.pk)
        removed()
        assert theirs.ask("GET", "/executions/", expect=200)["results"][0]["id"] == str(run.execution_id)
        assert theirs.ask("GET", "/jobs/report/", expect=200)["environments"]["production"]["next_fire_at"]

    def test_nothing_fires_or_is_claimed_afterwards(self, api: Caller, full: JobEnvironment) -> None:
        api.ask("POST", "/wipe/", CONFIRMED, expect=204)
        assert set(Execution.objects.values_list("status", flat=True)) == {"succeeded", "failed", "canceled"}
        later = timezone.now() + timezone.timedelta(days=1)
        assert not fire_due(later).due
        assert not settle_due(later).due
        link = Link("test")
        claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test")
        assert claimer.claim_any(link, limit=10) == []
        link.close()

    def test_the_workspace_can_be_used_at_once(self, api: Caller, full: JobEnvironment) -> None:
        api.ask("POST", "/wipe/", CONFIRMED, expect=204)
        made = api.ask("POST", "/jobs/", {**JOB, "slug": "report"}, expect=201)
        assert made["version"] == 1
        ran = api.ask("POST", "/jobs/report/run/", {}, expect=202)
        for path in ("/executions/", "/executions/?status=pending", "/executions/?environment=production"):
            assert [one["id"] for one in api.ask("GET", path, expect=200)["results"]] == [ran["id"]]
        removed()
        assert [one["id"] for one in api.ask("GET", "/executions/", expect=200)["results"]] == [ran["id"]]

    def test_a_request_repeated_after_the_wipe_is_executed_again(self, api: Caller) -> None:
        key = {"HTTP_IDEMPOTENCY_KEY": "once"}
        made = api.post("/api/v1/jobs/", {**JOB, "slug": "report"}, **key).json()
        wiped = api.post("/api/v1/wipe/", CONFIRMED, HTTP_IDEMPOTENCY_KEY="wipe")
        assert wiped.status_code == 204
        again = api.post("/api/v1/jobs/", {**JOB, "slug": "report"}, **key)
        assert (again.status_code, again.json()["id"] == made["id"]) == (201, False)
        assert KeptAnswer.objects.count() == 2


class TestPermissions:
    def test_only_owners_and_keys_that_an_owner_made(self, workspace: Workspace, full: JobEnvironment) -> None:
        production = workspace.environments.get()
        for api in (owned(workspace, "admin"), caller(workspace)):
            assert api.ask("POST", "/wipe/", CONFIRMED, expect=403)["code"] == "owner_only"
        bound = owned(workspace, environments=[production])
        assert bound.ask("POST", "/wipe/", CONFIRMED, expect=403)["code"] == "environment_bound"
        assert Job.objects.live().count() == 2

    def test_a_key_may_wipe_only_while_its_creator_is_an_owner(self, workspace: Workspace) -> None:
        api = owned(workspace)
        Membership.objects.update(role="admin")
        assert api.ask("POST", "/wipe/", CONFIRMED, expect=403)["code"] == "owner_only"
        Membership.objects.all().delete()
        assert api.ask("POST", "/wipe/", CONFIRMED, expect=403)["code"] == "owner_only"

    @pytest.mark.parametrize(
        ("body", "code"), [({"confirm": "Acme"}, "unconfirmed"), ({}, "required"), ({"confirm": True}, "invalid")]
    )
    def test_the_workspace_must_be_named(self, api: Caller, full: JobEnvironment, body: Any, code: str) -> None:
        assert api.refused("POST", "/wipe/", body) == {"confirm": code}
        assert Job.objects.live().count() == 2


class TestDashboard:
    def test_an_owner_wipes_by_typing_the_name(self, workspace: Workspace, full: JobEnvironment) -> None:
        client = signed_in(person("olga", workspace=workspace, role="owner"))
        page = reverse("admin:accounts_workspace_change", args=[workspace.pk])
        url = reverse("admin:runs_execution_wipe", args=[workspace.pk])
        assert url in client.get(page).text
        assert "acme" in client.get(url).text
        answer = client.post(url, {"confirm": "something"})
        assert "Should be acme" in answer.text
        assert Job.objects.live().count() == 2
        assert client.post(url, {"confirm": "acme"}).status_code == 302
        assert not Job.objects.live().exists()
        for name in ("jobs_job", "runs_execution", "runs_run"):
            assert "Nightly report" not in client.get(reverse(f"admin:{name}_changelist")).text
        assert "Nightly report" not in client.get(reverse("admin:index")).text
        execution = Execution.objects.first()
        assert execution is not None
        assert client.get(reverse("admin:runs_execution_change", args=[execution.pk])).status_code == 404

    @pytest.mark.parametrize(("role", "status"), [("admin", 403), ("member", 403), (None, 404)])
    def test_nobody_else_does(
        self, workspace: Workspace, full: JobEnvironment, role: str | None, status: int, client: Client
    ) -> None:
        home = workspace if role else create_workspace(slug="other", name="Other")
        client = signed_in(person("pat", workspace=home, role=role or "owner"))
        url = reverse("admin:runs_execution_wipe", args=[workspace.pk])
        assert client.get(url).status_code == status
        assert client.post(url, {"confirm": "acme"}).status_code == status
        assert url not in client.get(reverse("admin:accounts_workspace_change", args=[workspace.pk])).text
        assert Job.objects.live().count() == 2
