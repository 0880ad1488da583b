"""The usage report, the overage policy, and what a stopped workspace may not do."""

import datetime
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AuditEntry, Environment, Scope, Usage, Workspace
from accounts.plans import assign_plan, save_plan
from accounts.quota import month_of
from accounts.services import create_workspace
from jobs.models import Job
from runs.models import BulkOperation, Execution
from tests.support.api_caller import JOB, Caller, caller, make_execution
from tests.support.api_routes import ROUTES
from tests.support.jobs import MakeJob
from tests.support.quotas import give_plan, set_runs_used, stop_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


class TestUsage:
    def test_without_a_plan_is_counted_and_has_no_limits(self, api: Caller, workspace: Workspace) -> None:
        set_runs_used(workspace, 7)
        assert api.ask("GET", "/usage/", expect=200) == {
            "period": f"{timezone.now():%Y-%m}",
            "runs_used": 7,
            "runs_included": None,
            "overage_runs": 0,
            "overage_cents": 0,
            "active_jobs": 0,
            "active_jobs_limit": None,
            "plan": None,
            "overage_policy": "allow",
            "overage_budget_cents": None,
        }

    def test_names_the_plan_and_its_limits(self, api: Caller, workspace: Workspace) -> None:
        limits = {
            "runs_included": 1000, "overage_cents_per_thousand": 50, "stops_at_limit": False,
            "min_interval_seconds": 60, "max_timeout_seconds": 20, "max_active_jobs": 5, "keep_last": None,
            "keep_days": 30,
        }  # fmt: skip
        plan = give_plan(workspace, policy="capped", budget=100, **limits)
        told = api.ask("GET", "/usage/", expect=200)
        assert told["plan"] == {"name": plan.name, **limits}
        assert (told["overage_policy"], told["overage_budget_cents"]) == ("capped", 100)

    def test_shows_overage_and_its_cost(self, api: Caller, workspace: Workspace, make_job: MakeJob) -> None:
        make_job()
        give_plan(workspace, policy="allow", runs_included=1000, overage_cents_per_thousand=50, max_active_jobs=5)
        set_runs_used(workspace, 1021)
        told = api.ask("GET", "/usage/?period=current", expect=200)
        assert (told["runs_used"], told["runs_included"]) == (1021, 1000)
        assert (told["overage_runs"], told["overage_cents"]) == (21, 2)
        assert (told["active_jobs"], told["active_jobs_limit"]) == (1, 5)

    def test_paused_jobs_count_as_active_but_disabled_and_deleted_ones_do_not(
        self, api: Caller, workspace: Workspace
    ) -> None:
        for slug in ("paused", "disabled", "deleted", "in-two"):
            api.ask("PUT", f"/jobs/{slug}/", JOB, expect=201)
        Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        api.ask("POST", "/jobs/paused/pause/", {}, expect=200)
        api.ask("PATCH", "/jobs/disabled/", {"environments": {"production": {"enabled": False}}}, expect=200)
        api.ask("DELETE", "/jobs/deleted/", expect=204)
        api.ask("PATCH", "/jobs/in-two/", {"environments": {"staging": {"enabled": True}}}, expect=200)
        assert api.ask("GET", "/usage/")["active_jobs"] == 2

    def test_a_past_month_keeps_the_terms_of_its_last_run(self, api: Caller, workspace: Workspace) -> None:
        Usage.objects.create(
            workspace=workspace,
            month=datetime.date(2026, 3, 1),
            runs_used=150,
            runs_included=100,
            overage_cents_per_thousand=1000,
        )
        give_plan(workspace, runs_included=1000)
        told = api.ask("GET", "/usage/?period=2026-03", expect=200)
        assert (told["period"], told["runs_included"], told["overage_cents"]) == ("2026-03", 100, 50)
        assert api.ask("GET", "/usage/?period=2026-02", expect=200)["runs_used"] == 0

    @pytest.mark.parametrize("period", ["2026", "2026-13", "march", "", "2026-03-01"])
    def test_another_period_is_refused(self, api: Caller, period: str) -> None:
        assert list(api.refused("GET", f"/usage/?period={period}")) == ["period"]

    def test_needs_the_history_scope_and_an_unbound_key(self, workspace: Workspace) -> None:
        caller(workspace, scopes=[Scope.EXECUTIONS_READ]).ask("GET", "/usage/", expect=200)
        caller(workspace, scopes=[Scope.JOBS_WRITE]).ask("GET", "/usage/", expect=403)
        bound = caller(workspace, environments=list(workspace.environments.all()))
        assert bound.ask("GET", "/usage/", expect=403)["code"] == "environment_bound"

    def test_shows_only_the_callers_workspace(self, workspace: Workspace) -> None:
        set_runs_used(workspace, 7)
        assert caller(create_workspace(slug="other", name="Other")).ask("GET", "/usage/")["runs_used"] == 0


class TestHardStopPlan:
    @pytest.fixture(autouse=True)
    def stopping(self, workspace: Workspace) -> None:
        plan = give_plan(workspace, policy="capped", budget=100, runs_included=5)
        save_plan(plan=plan, values={"stops_at_limit": True}, actor=SYSTEM, now=timezone.now())

    @pytest.mark.parametrize(
        ("wanted", "field"),
        [
            ({"overage_policy": "allow"}, "overage_policy"),
            ({"overage_policy": "capped", "overage_budget_cents": 5}, "overage_policy"),
            ({"overage_policy": "capped"}, "overage_policy"),
            ({"overage_budget_cents": 5000}, "overage_budget_cents"),
            ({"overage_policy": "hard_stop", "overage_budget_cents": 5}, "overage_budget_cents"),
        ],
    )
    def test_is_not_loosened(self, api: Caller, wanted: dict[str, Any], field: str) -> None:
        assert api.refused("PUT", "/settings/", wanted) == {field: "invalid"}

    def test_is_told(self, api: Caller) -> None:
        told = api.ask("GET", "/usage/", expect=200)
        assert (told["plan"]["stops_at_limit"], told["overage_policy"]) == (True, "hard_stop")
        told = api.ask("GET", "/settings/", expect=200)
        assert (told["overage_policy"], told["overage_budget_cents"]) == ("hard_stop", None)

    def test_leaves_the_other_settings_to_the_workspace(self, api: Caller) -> None:
        shown = api.ask("GET", "/settings/", expect=200)
        shown.pop("workspace")
        assert api.ask("PUT", "/settings/", {**shown, "name": "Other"}, expect=200)["name"] == "Other"

    def test_refuses_calls_beyond_its_runs(self, api: Caller, workspace: Workspace, make_job: MakeJob) -> None:
        make_job(slug="report")
        set_runs_used(workspace, 5)
        api.ask("POST", "/jobs/report/run/", {}, expect=402)


class TestOveragePolicy:
    def put(self, api: Caller, **wanted: Any) -> tuple[str, int | None]:
        told = api.ask("PUT", "/settings/", wanted, expect=200)
        assert api.ask("GET", "/settings/") == told
        return told["overage_policy"], told["overage_budget_cents"]

    def test_begins_with_allow(self, api: Caller) -> None:
        assert self.put(api) == ("allow", None)

    def test_a_budget_comes_with_capped_and_goes_with_it(self, api: Caller) -> None:
        assert self.put(api, overage_policy="capped", overage_budget_cents=500) == ("capped", 500)
        assert self.put(api, overage_budget_cents=700) == ("capped", 700)
        assert self.put(api, name="Acme Ltd") == ("capped", 700)
        assert self.put(api, overage_policy="hard_stop") == ("hard_stop", None)
        assert self.put(api, overage_policy="hard_stop", overage_budget_cents=None) == ("hard_stop", None)
        entry = AuditEntry.objects.filter(action="settings.updated").latest("id")
        assert entry.changes == {"overage_policy": ["capped", "hard_stop"], "overage_budget_cents": [700, None]}

    @pytest.mark.parametrize(
        ("wanted", "field"),
        [
            ({"overage_policy": "capped"}, "overage_budget_cents"),
            ({"overage_policy": "capped", "overage_budget_cents": None}, "overage_budget_cents"),
            ({"overage_policy": "hard_stop", "overage_budget_cents": 500}, "overage_budget_cents"),
            ({"overage_budget_cents": 500}, "overage_budget_cents"),
            ({"overage_policy": "capped", "overage_budget_cents": -1}, "overage_budget_cents"),
            ({"overage_policy": "capped", "overage_budget_cents": 2**31}, "overage_budget_cents"),
            ({"overage_policy": "capped", "overage_budget_cents": "5"}, "overage_budget_cents"),
            ({"overage_policy": "never"}, "overage_policy"),
            ({"plan": None}, "plan"),
        ],
    )
    def test_a_wrong_one_is_refused_and_named(self, api: Caller, wanted: dict[str, Any], field: str) -> None:
        assert list(api.refused("PUT", "/settings/", wanted)) == [field]

    def test_taking_a_budget_away_from_capped_is_refused(self, api: Caller) -> None:
        self.put(api, overage_policy="capped", overage_budget_cents=500)
        assert list(api.refused("PUT", "/settings/", {"overage_budget_cents": None})) == ["overage_budget_cents"]


IMPORT = {"format": "json", "content": {"jobs": [{**JOB, "slug": "imported"}]}}
BULK = {"filter": {"status": "failed"}}
#: Requests that make calls, or create jobs that do.
REFUSED: list[tuple[str, str, Any]] = [
    ("POST", "/jobs/", JOB),
    ("PUT", "/jobs/another/", JOB),
    ("PUT", "/jobs/report/", {**JOB, "name": "Another name"}),
    ("PATCH", "/jobs/report/", {"description": "Another"}),
    ("PATCH", "/jobs/idle/", {"environments": {"production": {"enabled": True}}}),
    ("POST", "/jobs/import/", IMPORT),
    ("POST", "/jobs/report/versions/1/restore/", {}),
    ("POST", "/jobs/report/run/", {}),
    ("POST", "/jobs/report/run/", {"delay_seconds": 60}),
    ("POST", "/jobs/report/test/", {}),
    ("POST", "/executions/{failed}/replay/", {}),
    ("POST", "/executions/{failed}/replay/", {"config": "original"}),
    ("POST", "/executions/{failed}/retry/", {}),
    ("POST", "/executions/replay/", BULK),
    ("POST", "/executions/retry/", BULK),
]
#: Requests that stay allowed: they read, reduce, or make no calls.
ANSWERED: list[tuple[str, str, Any, int]] = [
    ("GET", "/jobs/report/", None, 200),
    ("PUT", "/jobs/report/", {**JOB, "slug": "report", "description": "Second"}, 200),
    ("PATCH", "/jobs/report/", {"environments": {"production": {"enabled": False}}}, 200),
    ("POST", "/jobs/import/", {**IMPORT, "dry_run": True}, 200),
    ("POST", "/jobs/report/pause/", {}, 200),
    ("POST", "/jobs/report/resume/", {}, 200),
    ("DELETE", "/jobs/report/", None, 204),
    ("POST", "/executions/{pending}/cancel/", {}, 200),
    ("POST", "/executions/cancel/", {"filter": {}}, 202),
    ("POST", "/executions/replay/", {**BULK, "dry_run": True}, 200),
    ("POST", "/schedules/preview/", {"schedule": "@daily", "timezone": "UTC"}, 200),
    ("PUT", "/settings/", {"overage_policy": "allow"}, 200),
    ("POST", "/keys/", {"name": "x", "scopes": ["jobs:read"]}, 201),
    ("POST", "/members/", {"username": "nina"}, 201),
    ("POST", "/environments/", {"slug": "staging"}, 201),
    ("GET", "/usage/", None, 200),
]


class TestStoppedWorkspace:
    @pytest.fixture
    def named(self, api: Caller, workspace: Workspace) -> dict[str, str]:
        """A workspace with jobs and executions, stopped afterwards."""
        api.ask("PUT", "/jobs/report/", {**JOB, "description": "First"}, expect=201)
        api.ask("PUT", "/jobs/report/", {**JOB, "description": "Second"}, expect=200)
        api.ask("PUT", "/jobs/idle/", {**JOB, "environments": {"production": {"enabled": False}}}, expect=201)
        state = Job.objects.get(slug="report").job_environments.select_related("job__current_version").get()
        failed = make_execution(state, status="failed", failure_reason="timeout")
        waiting = api.ask("POST", "/jobs/report/run/", {"delay_seconds": 600}, expect=202)
        stop_workspace(workspace)
        return {"failed": str(failed.pk), "pending": waiting["id"]}

    @pytest.mark.parametrize("asked", REFUSED, ids=lambda asked: f"{asked[0]} {asked[1]}")
    def test_is_refused_what_makes_calls(self, api: Caller, named: dict[str, str], asked: tuple[str, str, Any]) -> None:
        method, path, body = asked
        before = self.rows()
        refusal = api.ask(method, path.format(**named), body, expect=402)
        assert refusal["code"] == "quota_exceeded"
        assert refusal["detail"].startswith("The 10 runs that the plan includes this month are used up. The next month")
        assert self.rows() == before

    def rows(self) -> list[Any]:
        return [
            list(Job.objects.order_by("pk").values()),
            Execution.objects.count(),
            BulkOperation.objects.count(),
            AuditEntry.objects.count(),
        ]

    @pytest.mark.parametrize("asked", ANSWERED, ids=lambda asked: f"{asked[0]} {asked[1]}")
    def test_may_do_everything_else(self, api: Caller, named: dict[str, str], asked: tuple[str, str, Any, int]) -> None:
        method, path, body, code = asked
        api.ask(method, path.format(**named), body, expect=code)

    def test_goes_on_at_once_when_it_allows_more(self, api: Caller, named: dict[str, str]) -> None:
        api.ask("PUT", "/settings/", {"overage_policy": "allow"}, expect=200)
        api.ask("POST", "/jobs/report/run/", {}, expect=202)

    def test_a_capped_one_is_stopped_when_its_budget_is_used_up(self, api: Caller, workspace: Workspace) -> None:
        give_plan(workspace, policy="capped", budget=2, runs_included=10, overage_cents_per_thousand=1000)
        set_runs_used(workspace, 11)
        api.ask("POST", "/jobs/", JOB, expect=201)
        set_runs_used(workspace, 12)
        assert "the budget of 2 cents" in api.ask("POST", "/jobs/", JOB, expect=402)["detail"]

    def test_is_not_told_the_same_for_a_day(self, api: Caller, workspace: Workspace) -> None:
        stop_workspace(workspace)
        asked = {"content_type": "application/json", "HTTP_IDEMPOTENCY_KEY": "a"}
        assert api.generic("POST", "/api/v1/jobs/", _json(JOB), **asked).status_code == 402
        set_runs_used(workspace, 0)
        assert api.generic("POST", "/api/v1/jobs/", _json(JOB), **asked).status_code == 201

    def test_the_document_names_the_routes_that_answer_402(self) -> None:
        document = Client().get("/api/schema/?format=json").json()
        told = {
            (method.upper(), path)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if "402" in operation["responses"]
        }
        assert len(told) == sum(route.handler in route.view.needs_quota for route in ROUTES)
        tried = {(method, _template(path)) for method, path, _ in REFUSED}
        assert told == {(method, f"/api/v1{path}") for method, path in tried}


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _template(path: str) -> str:
    for name in ("report", "another", "idle"):
        path = path.replace(f"/jobs/{name}/", "/jobs/{job}/")
    return path.replace("{failed}", "{execution}").replace("/versions/1/", "/versions/{number}/")


class TestPlans:
    def test_a_change_is_told_in_the_log_of_each_workspace_that_has_it(self, workspace: Workspace) -> None:
        plan = give_plan(workspace, runs_included=10)
        elsewhere = create_workspace(slug="elsewhere", name="Elsewhere")
        save_plan(plan=plan, values={"runs_included": 20}, actor=SYSTEM, now=timezone.now())
        assert workspace.plan is not None
        entry = AuditEntry.objects.get(action="plan.updated")
        assert (entry.workspace_id, entry.changes) == (workspace.pk, {"runs_included": [10, 20]})
        assert not AuditEntry.objects.filter(workspace=elsewhere).exists()

    def test_giving_one_and_taking_it_away_are_in_the_log(self, workspace: Workspace) -> None:
        plan = give_plan(workspace, runs_included=10)
        for _ in range(2):
            assign_plan(workspace=workspace, plan=None, actor=SYSTEM, now=timezone.now())
        entries = AuditEntry.objects.filter(action="workspace.plan_assigned").order_by("id")
        assert [entry.changes["plan"] for entry in entries] == [[None, plan.name], [plan.name, None]]

    def test_no_key_reaches_them(self, api: Caller, workspace: Workspace) -> None:
        stop_workspace(workspace)
        api.ask("PUT", "/settings/", {"plan": None}, expect=400)
        for path in ("/plans/", "/plan/"):
            api.ask("GET", path, expect=404)
        assert Usage.objects.get(month=month_of(timezone.now())).runs_used == 10
