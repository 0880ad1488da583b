"""Plans and usage in the dashboard: superusers assign plans, owners and admins choose the overage policy."""

import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AuditEntry, Plan, Workspace
from accounts.quota import month_before, month_of
from accounts.services import create_workspace
from jobs.services.save import EnvironmentChange, save_job
from tests.support.admin_rows import execution_of, person, signed_in
from tests.support.jobs import MakeJob, job_config
from tests.support.quotas import give_plan, set_runs_used, stop_workspace

pytestmark = pytest.mark.django_db
PLAN = {"name": "Small", "runs_included": 1000, "overage_cents_per_thousand": 50, "min_interval_seconds": 60}


@pytest.fixture
def root(workspace: Workspace) -> Client:
    return signed_in(person("root", superuser=True))


@pytest.fixture
def owner(workspace: Workspace) -> Client:
    return signed_in(person("olga", workspace=workspace, role="owner"))


def page_of(workspace: Workspace) -> str:
    return reverse("admin:accounts_workspace_change", args=[workspace.pk])


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Acme",
        "redact_allow_headers": "",
        "overage_policy": "allow",
        "overage_budget_cents": "",
        **changes,
    }


class TestPlans:
    def test_are_created_changed_and_assigned_by_a_superuser(self, root: Client, workspace: Workspace) -> None:
        assert root.post(reverse("admin:accounts_plan_add"), PLAN).status_code == 302
        plan = Plan.objects.get()
        assert (plan.name, plan.runs_included, plan.max_active_jobs) == ("Small", 1000, None)
        assert root.post(page_of(workspace), settings(plan=plan.pk)).status_code == 302
        workspace.refresh_from_db()
        assert workspace.plan == plan
        change = reverse("admin:accounts_plan_change", args=[plan.pk])
        assert root.post(change, {**PLAN, "runs_included": 2000}).status_code == 302
        told = {entry.action: (entry.actor_label, entry.changes) for entry in AuditEntry.objects.all()}
        assert told["workspace.plan_assigned"] == ("root", {"plan": [None, "Small"]})
        assert told["plan.updated"] == ("root", {"runs_included": [1000, 2000]})
        assert "Small" in root.get(reverse("admin:accounts_plan_changelist")).content.decode()

    def test_in_use_can_not_be_deleted(self, root: Client, workspace: Workspace) -> None:
        plan = give_plan(workspace, runs_included=1)
        root.post(reverse("admin:accounts_plan_delete", args=[plan.pk]), {"post": "yes"})
        assert Plan.objects.filter(pk=plan.pk).exists()
        root.post(page_of(workspace), settings(plan=""))
        root.post(reverse("admin:accounts_plan_delete", args=[plan.pk]), {"post": "yes"})
        assert not Plan.objects.exists()

    @pytest.mark.parametrize("values", [{"min_interval_seconds": 0}, {"runs_included": -1}, {"name": ""}])
    def test_that_are_invalid_are_refused(self, root: Client, values: dict[str, Any]) -> None:
        assert root.post(reverse("admin:accounts_plan_add"), {**PLAN, **values}).status_code == 200
        assert not Plan.objects.exists()

    def test_are_for_superusers_only(self, owner: Client, workspace: Workspace) -> None:
        plan = give_plan(workspace, runs_included=1)
        for url in (
            reverse("admin:accounts_plan_changelist"),
            reverse("admin:accounts_plan_add"),
            reverse("admin:accounts_plan_change", args=[plan.pk]),
            reverse("admin:accounts_plan_delete", args=[plan.pk]),
        ):
            assert owner.get(url).status_code == 403
            assert owner.post(url, {**PLAN, "post": "yes"}).status_code == 403
        assert owner.post(page_of(workspace), settings(plan="")).status_code == 302
        workspace.refresh_from_db()
        assert workspace.plan == plan
        assert "accounts/plan/" not in owner.get(reverse("admin:index")).content.decode()


class TestSettings:
    def test_an_owner_sets_and_removes_a_budget(self, owner: Client, workspace: Workspace) -> None:
        give_plan(workspace, policy="allow", runs_included=10)
        capped = settings(overage_policy="capped", overage_budget_cents=500)
        assert owner.post(page_of(workspace), capped).status_code == 302
        workspace.refresh_from_db()
        assert (workspace.overage_policy, workspace.overage_budget_cents) == ("capped", 500)
        kept = settings(overage_policy="hard_stop", overage_budget_cents=500)
        assert owner.post(page_of(workspace), kept).status_code == 302, "what stands in the field is no new budget"
        workspace.refresh_from_db()
        assert (workspace.overage_policy, workspace.overage_budget_cents) == ("hard_stop", None)

    @pytest.mark.parametrize(
        ("wanted", "told"),
        [
            ({"overage_policy": "capped"}, "Required for the policy"),
            ({"overage_budget_cents": 5}, "Only allowed for the policy"),
            ({"overage_policy": "never"}, "Select a valid choice"),
        ],
    )
    def test_contradictory_settings_are_reported_beside_their_field(
        self, owner: Client, workspace: Workspace, wanted: dict[str, Any], told: str
    ) -> None:
        answer = owner.post(page_of(workspace), settings(**wanted))
        assert answer.status_code == 200
        assert told in answer.content.decode()
        workspace.refresh_from_db()
        assert (workspace.overage_policy, workspace.overage_budget_cents) == ("allow", None)


class TestWorkspacePage:
    def test_shows_usage_without_a_plan(self, owner: Client, workspace: Workspace) -> None:
        set_runs_used(workspace, 1234)
        page = shown(owner, workspace)
        assert "No plan, so no limits." in page
        assert "<strong>1,234</strong>, unlimited" in page
        assert "<progress" not in page

    def test_shows_the_plans_limits_and_their_usage(
        self, owner: Client, workspace: Workspace, make_job: MakeJob
    ) -> None:
        make_job()
        set_runs_used(workspace, 1234)
        give_plan(
            workspace, policy="allow", runs_included=1000, overage_cents_per_thousand=50, min_interval_seconds=90,
            max_timeout_seconds=60, max_active_jobs=1, keep_last=500, keep_days=30,
        )  # fmt: skip
        page = shown(owner, workspace)
        for told in (
            "1,234, 234 beyond the included ones for 12 cents</strong> of 1,000 included", "<strong>1</strong> of 1",
            "at least 1 min 30 s", "at most 1 min", "at most 500 executions and 30 days",
            "Runs beyond the 1,000 included ones start too, and cost 50 cents per thousand.",
        ):  # fmt: skip
            assert told in page
        assert "Stopped." not in page

    def test_shows_that_it_is_stopped_and_why(self, owner: Client, workspace: Workspace) -> None:
        give_plan(workspace, policy="capped", budget=3, runs_included=1000, overage_cents_per_thousand=50)
        set_runs_used(workspace, 1060)
        page = shown(owner, workspace)
        assert "Stopped.</strong> The 1,000 runs that the plan includes this month, and the budget of 3 cents" in page
        assert "pays for 60 runs beyond the 1,000 included ones, at 50 cents per thousand." in page

    def test_draws_the_months_and_the_days(self, owner: Client, workspace: Workspace, make_job: MakeJob) -> None:
        give_plan(workspace, runs_included=1000)
        now = timezone.now()
        Workspace.objects.filter(pk=workspace.pk).update(created_at=now - datetime.timedelta(days=800))
        before = month_before(month_of(now))
        set_runs_used(workspace, 700, month=before)
        set_runs_used(workspace, 1500, month=month_before(before))
        execution_of(make_job(), status="failed")
        page = shown(owner, workspace)
        assert page.count(", included 1,000</title>") == 10, "a year, but for the two months that had other terms"
        assert f"{before:%B %Y}: 700</title>" in page
        assert "Executions by day" in page
        day = f"{now:%Y-%m-%d}T00:00Z"
        assert f'href="/admin/runs/execution/?status=failed&amp;from={day}&amp;to=' in page

    def test_names_the_workspace_if_there_are_several(self, root: Client, workspace: Workspace) -> None:
        other = create_workspace(slug="other", name="Other")
        changes = [EnvironmentChange(other.environments.get(), enabled=True)]
        job = save_job(
            workspace=other, job=None, slug="job", config=job_config(), environments=changes, actor=SYSTEM,
            now=timezone.now(),
        )  # fmt: skip
        execution_of(job.job_environments.get())
        assert "status=succeeded&amp;workspace=other&amp;from=" in shown(root, other)


def shown(client: Client, workspace: Workspace) -> str:
    return " ".join(client.get(page_of(workspace)).content.decode().split())


def test_buttons_report_a_stopped_workspace(owner: Client, workspace: Workspace, make_job: MakeJob) -> None:
    row = make_job()
    execution = execution_of(row, status="failed")
    stop_workspace(workspace)
    for button in (
        reverse("admin:runs_execution_run_now", args=[row.pk]),
        reverse("admin:runs_execution_replay", args=[execution.pk]),
        reverse("admin:runs_execution_retry", args=[execution.pk]),
    ):
        page = owner.post(button, follow=True).content.decode()
        assert "The 10 runs that the plan includes this month are used up." in page
    form = {"name": "Another", "request.url": "http://receiver.test/ok"}
    assert owner.post(reverse("admin:jobs_job_add"), form).status_code == 200
