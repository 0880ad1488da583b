"""Plans and usage in the dashboard: the operator gives plans, a workspace's own people choose what happens beyond."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Plan, Workspace
from tests.conftest import MakeJob
from tests.integration.admin_rows import execution_of, person, signed_in
from tests.integration.quotas import give_plan, stop, use

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
    def test_are_made_changed_and_given_by_a_superuser(self, root: Client, workspace: Workspace) -> None:
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

    def test_that_a_workspace_has_are_not_deleted(self, root: Client, workspace: Workspace) -> None:
        plan = give_plan(workspace, runs_included=1)
        root.post(reverse("admin:accounts_plan_delete", args=[plan.pk]), {"post": "yes"})
        assert Plan.objects.filter(pk=plan.pk).exists()
        root.post(page_of(workspace), settings(plan=""))
        root.post(reverse("admin:accounts_plan_delete", args=[plan.pk]), {"post": "yes"})
        assert not Plan.objects.exists()

    @pytest.mark.parametrize("values", [{"min_interval_seconds": 0}, {"runs_included": -1}, {"name": ""}])
    def test_that_mean_nothing_are_refused(self, root: Client, values: dict[str, Any]) -> None:
        assert root.post(reverse("admin:accounts_plan_add"), {**PLAN, **values}).status_code == 200
        assert not Plan.objects.exists()

    def test_are_nobody_elses(self, owner: Client, workspace: Workspace) -> None:
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
    def test_an_owner_sets_a_budget_and_takes_it_away(self, owner: Client, workspace: Workspace) -> None:
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
            ({"overage_policy": "capped"}, "Needed for the policy"),
            ({"overage_budget_cents": 5}, "Only for the policy"),
            ({"overage_policy": "never"}, "Select a valid choice"),
        ],
    )
    def test_what_does_not_go_together_is_told_beside_its_field(
        self, owner: Client, workspace: Workspace, wanted: dict[str, Any], told: str
    ) -> None:
        answer = owner.post(page_of(workspace), settings(**wanted))
        assert answer.status_code == 200
        assert told in answer.content.decode()
        workspace.refresh_from_db()
        assert (workspace.overage_policy, workspace.overage_budget_cents) == ("allow", None)


def test_a_workspaces_page_tells_its_usage(owner: Client, workspace: Workspace) -> None:
    use(workspace, 1234)
    assert "1,234" in owner.get(page_of(workspace)).content.decode()
    give_plan(workspace, runs_included=1000, overage_cents_per_thousand=50)
    page = owner.get(page_of(workspace)).content.decode()
    assert "1,234 of 1,000; 234 beyond, for 12 cents. No more can start" in page


def test_buttons_say_that_the_workspace_is_stopped(owner: Client, workspace: Workspace, make_job: MakeJob) -> None:
    row = make_job()
    execution = execution_of(row, status="failed")
    stop(workspace)
    for button in (
        reverse("admin:runs_execution_run_now", args=[row.pk]),
        reverse("admin:runs_execution_replay", args=[execution.pk]),
        reverse("admin:runs_execution_retry", args=[execution.pk]),
    ):
        page = owner.post(button, follow=True).content.decode()
        assert "The 10 runs that the plan includes this month are used up." in page
    form = {"name": "Another", "request.url": "http://receiver.test/ok"}
    assert owner.post(reverse("admin:jobs_job_add"), form).status_code == 200
