"""Environment overrides: through the API, in schedules, on the wire and in the dashboard."""

import datetime
import json
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Environment, Workspace
from jobs.definition.overrides import effective
from jobs.models import Job, JobEnvironment
from runs.clock.fire import fire_due
from runs.executions.bulk import work_off
from runs.models import Execution
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import JOB, Caller, caller, make_execution
from tests.support.job_forms import form_of

pytestmark = pytest.mark.django_db
STAGING_URL = "http://staging.test/ok"


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


@pytest.fixture
def api(workspace: Workspace, staging: Environment) -> Caller:
    return caller(workspace)


def job(staging: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    places = {"production": {}, "staging": {"overrides": staging or {}}}
    return {**JOB, "schedule": "0 2 * * *", "environments": places, **changes}


def overrides_of(shown: dict[str, Any], slug: str = "staging") -> Any:
    return shown["environments"][slug]["overrides"]


class TestReplays:
    @pytest.fixture
    def old(self, api: Caller) -> Execution:
        """An execution in staging, which overrides URL and concurrency."""
        given = {"request": {"url": STAGING_URL}, "concurrency": None, "overlap": "queue"}
        api.ask("POST", "/jobs/", job(given, concurrency=3), expect=201)
        state = JobEnvironment.objects.get(environment__slug="staging")
        return make_execution(state, trigger="manual", status="failed", failure_reason="timeout")

    def test_an_edited_replay_is_merged_over_the_overrides(self, api: Caller, old: Execution) -> None:
        made = api.ask("POST", f"/executions/{old.pk}/replay/", {"edit": {"method": "PUT"}}, expect=202)
        version = Execution.objects.select_related("job_version").get(pk=made["id"]).job_version
        definition = effective(version.config, str(old.environment_id))
        assert (definition["request"]["method"], definition["request"]["url"]) == ("PUT", STAGING_URL)
        assert (definition["concurrency"], definition["overlap"]) == (None, "queue")
        again = {"edit": {"method": "PATCH"}, "config": "original"}
        made = api.ask("POST", f"/executions/{made['id']}/replay/", again, expect=202)
        version = Execution.objects.select_related("job_version").get(pk=made["id"]).job_version
        assert effective(version.config, str(old.environment_id))["request"]["url"] == STAGING_URL

    def test_an_edit_equal_to_the_overrides_makes_no_version(self, api: Caller, old: Execution) -> None:
        made = api.ask("POST", f"/executions/{old.pk}/replay/", {"edit": {"url": STAGING_URL}}, expect=202)
        assert not Execution.objects.get(pk=made["id"]).job_version.edited

    @pytest.mark.parametrize("config", ["current", "original"])
    def test_a_bulk_replay_keeps_the_limits_of_its_environment(self, api: Caller, old: Execution, config: str) -> None:
        elsewhere = JobEnvironment.objects.get(environment__slug="production")
        make_execution(elsewhere, trigger="manual", status="failed", failure_reason="timeout")
        api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}, "config": config}, expect=202)
        assert work_off(timezone.now())
        made = Execution.objects.filter(trigger="replay")
        found = {one.environment.slug: (one.concurrency, one.overlap) for one in made.select_related("environment")}
        assert found == {"staging": (None, "queue"), "production": (3, "")}


class TestApi:
    def test_overrides_are_shown_sparse(self, api: Caller) -> None:
        given = {"schedule": "0 6 * * *", "request": {"url": STAGING_URL}, "retry": {"max_attempts": 1}}
        made = api.ask("POST", "/jobs/", job(given), expect=201)
        assert overrides_of(made) == given
        assert overrides_of(made, "production") == {}
        assert made["request"]["url"] == JOB["request"]["url"]

    def test_the_same_body_twice_makes_no_version(self, api: Caller) -> None:
        body = job({"request": {"body": {"a": 1}}, "starts_at": "2026-05-01T00:00:00+02:00"})
        first = api.ask("PUT", "/jobs/nightly/", body, expect=201)
        assert overrides_of(first)["starts_at"] == "2026-04-30T22:00:00.000Z"
        assert overrides_of(first)["request"] == {"headers": {"Content-Type": "application/json"}, "body": '{"a":1}'}
        assert api.ask("PUT", "/jobs/nightly/", body, expect=200)["version"] == 1
        shown = {field: first[field] for field in ("name", "schedule", "request", "environments")}
        assert api.ask("PUT", "/jobs/nightly/", shown, expect=200)["version"] == 1

    def test_a_patch_of_other_fields_keeps_overrides(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", job({"concurrency": 2}), expect=201)
        assert overrides_of(api.ask("PATCH", "/jobs/nightly-report/", {"description": "x"}))["concurrency"] == 2
        place = {"environments": {"staging": {"enabled": False}}}
        assert overrides_of(api.ask("PATCH", "/jobs/nightly-report/", place)) == {"concurrency": 2}
        emptied = {"environments": {"staging": {"overrides": {}}}}
        found = api.ask("PATCH", "/jobs/nightly-report/", emptied)
        assert (overrides_of(found), found["version"]) == ({}, 3)

    def test_renaming_the_environment_keeps_overrides(self, api: Caller, staging: Environment) -> None:
        api.ask("POST", "/jobs/", job({"concurrency": 2}), expect=201)
        Environment.objects.filter(pk=staging.pk).update(slug="acceptance")
        assert overrides_of(api.ask("GET", "/jobs/nightly-report/"), "acceptance") == {"concurrency": 2}

    @pytest.mark.parametrize(
        ("given", "field", "code"),
        [
            ({"naem": "x"}, "naem", "unknown_field"),
            ({"name": "x"}, "name", "unknown_field"),
            ([], "", "invalid"),
            ({"request": "x"}, "request", "invalid"),
            ({"request": {"urll": "x"}}, "request.urll", "unknown_field"),
            ({"request": {"url": "ftp://x.test/"}}, "request.url", "invalid_url"),
            ({"request": {"url": "http://127.0.0.1/"}}, "request.url", "ssrf_blocked"),
            ({"request": {"body": "{{secrets.NONE}}"}}, "request.body", "unknown_secret"),
            ({"request": {"method": "HEAD", "body": "x"}}, "request.body", "conflicting"),
            ({"schedule": "61 * * * *"}, "schedule", "invalid"),
            ({"timezone": "Mars/Base"}, "timezone", "invalid"),
            ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at", "invalid"),
            ({"overlap": "sometimes"}, "overlap", "invalid_choice"),
            ({"retry": {"backoff": "list"}}, "retry.delays_ms", "required"),
            ({"retry": {"policy": "patient"}}, "retry.policy", "unsupported"),
        ],
    )
    def test_a_wrong_override_is_named_by_its_path(self, api: Caller, given: Any, field: str, code: str) -> None:
        path = f"environments.staging.overrides.{field}".rstrip(".")
        places = {"production": {}, "staging": {"overrides": given}}
        assert api.refused("POST", "/jobs/", {**job(), "environments": places}) == {path: code}

    def test_a_change_of_the_job_that_breaks_an_environment_is_refused(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", job({"starts_at": "2027-01-01T00:00:00Z"}), expect=201)
        refused = api.refused("PATCH", "/jobs/nightly-report/", {"ends_at": "2026-12-31T00:00:00Z"})
        assert refused == {"environments.staging.overrides.ends_at": "invalid"}


class TestBoundKey:
    def test_a_bound_key_changes_its_own_overrides_and_sees_no_others(
        self, api: Caller, workspace: Workspace, staging: Environment
    ) -> None:
        bound = caller(workspace, environments=[staging])
        both = {"production": {"overrides": {"concurrency": 9}}, "staging": {}}
        api.ask("POST", "/jobs/", job(environments=both), expect=201)
        changed = {"environments": {"staging": {"enabled": False, "overrides": {"concurrency": 2}}}}
        found = bound.ask("PATCH", "/jobs/nightly-report/", changed, expect=200)
        assert list(found["environments"]) == ["staging"]
        assert overrides_of(found) == {"concurrency": 2}
        whole = api.ask("GET", "/jobs/nightly-report/")
        assert overrides_of(whole, "production") == {"concurrency": 9}
        assert whole["environments"]["staging"]["enabled"] is False

    def test_a_bound_key_changes_nothing_shared(self, api: Caller, workspace: Workspace, staging: Any) -> None:
        bound = caller(workspace, environments=[staging])
        api.ask("POST", "/jobs/", job(), expect=201)
        bound.ask("PATCH", "/jobs/nightly-report/", {"concurrency": 2}, expect=403)
        elsewhere = {"environments": {"production": {"overrides": {"concurrency": 2}}}}
        bound.ask("PATCH", "/jobs/nightly-report/", elsewhere, expect=404)


class TestEffectiveOverrides:
    def test_each_environment_follows_its_own_schedule(self, api: Caller) -> None:
        made = api.ask("POST", "/jobs/", job({"schedule": "30 6 * * *"}), expect=201)
        at = {slug: state["next_fire_at"][11:16] for slug, state in made["environments"].items()}
        assert at == {"production": "02:00", "staging": "06:30"}
        manual = {"environments": {"staging": {"overrides": {"schedule": None}}}}
        found = api.ask("PATCH", "/jobs/nightly-report/", manual)
        assert found["environments"]["staging"]["next_fire_at"] is None
        assert found["environments"]["production"]["next_fire_at"] == made["environments"]["production"]["next_fire_at"]

    def test_a_change_of_another_environment_keeps_the_schedule(self, api: Caller) -> None:
        made = api.ask("POST", "/jobs/", job({"schedule": "30 6 * * *"}), expect=201)
        planned = JobEnvironment.objects.get(environment__slug="staging").periods.get()
        found = api.ask("PATCH", "/jobs/nightly-report/", {"schedule": "0 3 * * *"})
        assert found["environments"]["staging"]["next_fire_at"] == made["environments"]["staging"]["next_fire_at"]
        assert JobEnvironment.objects.get(environment__slug="staging").periods.get() == planned

    def test_the_clock_follows_each_environments_own_rules(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", job({"overlap": "skip", "concurrency": 1, "schedule": "0 2 * * *"}), expect=201)
        soon = max(row.next_fire_at for row in JobEnvironment.objects.all() if row.next_fire_at)
        assert fire_due(soon + datetime.timedelta(seconds=1)).due == 2
        made = {row.environment.slug: row for row in Execution.objects.select_related("environment")}
        assert (made["production"].overlap, made["production"].concurrency) == ("", None)
        assert (made["staging"].overlap, made["staging"].concurrency) == ("skip", 1)

    def test_run_now_and_replay_use_overrides(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", job({"concurrency": 1, "retry": {"max_attempts": 7}}), expect=201)
        ran = api.ask("POST", "/jobs/nightly-report/run/", {"environment": "staging"}, expect=202)
        again = api.ask("POST", f"/executions/{ran['id']}/replay/", {}, expect=202)
        elsewhere = api.ask("POST", "/jobs/nightly-report/run/", {"environment": "production"}, expect=202)
        assert (ran["max_attempts"], again["max_attempts"], elsewhere["max_attempts"]) == (7, 7, 3)
        listed = {row["id"]: row["max_attempts"] for row in api.ask("GET", "/executions/")["results"]}
        assert listed == {ran["id"]: 7, again["id"]: 7, elsewhere["id"]: 3}
        limits = dict(Execution.objects.values_list("pk", "concurrency"))
        assert sorted(limits.values(), key=str) == [1, 1, None]

    def test_a_secret_used_by_an_override_can_not_be_deleted(self, api: Caller) -> None:
        secret = api.ask("POST", "/secrets/", {"name": "TOKEN", "value": "s3cret-value"}, expect=201)
        body = job({"request": {"headers": {"Authorization": "Bearer {{secrets.TOKEN}}"}}})
        api.ask("POST", "/jobs/", body, expect=201)
        assert api.ask("DELETE", f"/secrets/{secret['id']}/", expect=409)["code"] == "secret_in_use"


class TestDashboard:
    def test_overrides_are_edited_and_validated_in_the_form(self, api: Caller, workspace: Workspace) -> None:
        api.ask("POST", "/jobs/", job({"concurrency": 2}), expect=201)
        found = Job.objects.get()
        client = signed_in(person("mara", workspace=workspace, role="owner"))
        assert "1 override" in client.get(reverse("admin:jobs_job_page", args=[found.pk])).text
        values = form_of(client, found)
        assert json.loads(values["overrides-staging-more"]) == {"concurrency": 2}
        change_url = reverse("admin:jobs_job_change", args=[found.pk])

        wrong = client.post(change_url, {**values, "overrides-staging-url": "ftp://x.test/"})
        assert list(wrong.context["form"].overrides["staging"].errors) == ["url"]

        client.post(change_url, {**values, "overrides-staging-url": STAGING_URL, "overrides-staging-more": ""})
        assert overrides_of(api.ask("GET", "/jobs/nightly-report/")) == {"request": {"url": STAGING_URL}}
