"""What a dry run says of each job: fields that differ, firings before and after, and a revision to hold on to."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Environment, Workspace
from jobs.models import Job, JobEnvironment
from runs.clock.fire import fire_due
from tests.support.api_caller import NOW, Caller, caller

pytestmark = pytest.mark.django_db
URL = "http://receiver.test/ok"


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


@pytest.fixture
def api(workspace: Workspace, staging: Environment) -> Caller:
    return caller(workspace)


def job(slug: str = "nightly", **changes: Any) -> dict[str, Any]:
    return {"slug": slug, "name": "Nightly", "schedule": "0 2 * * *", "request": {"url": URL}, **changes}


def imported(api: Caller, *jobs: Any, expect: int = 200, **options: Any) -> Any:
    body = {"format": "json", "content": {"jobs": list(jobs)}, **options}
    return api.ask("POST", "/jobs/import/", body, expect=expect)


def planned(api: Caller, *jobs: Any, **options: Any) -> Any:
    return imported(api, *jobs, dry_run=True, **options)["items"]


def times(*hours: str) -> list[str]:
    return [f"2026-03-{hour}:00:00.000Z" for hour in hours]


class TestChanges:
    def test_each_changed_field_has_its_old_and_new_value(self, api: Caller) -> None:
        imported(api, job(request={"url": URL, "headers": {"X-A": "1"}}))
        changed = job(schedule="0 3 * * *", overlap="skip", request={"url": URL, "headers": {"X-A": "2"}}, tags=["b"])
        [item] = planned(api, changed, managed_by="billing")
        assert item["result"] == "updated"
        assert item["changes"] == [
            {"field": "tags", "old": [], "new": ["b"]},
            {"field": "schedule", "old": "0 2 * * *", "new": "0 3 * * *"},
            {"field": "overlap", "old": "allow", "new": "skip"},
            {"field": "request.headers.X-A", "old": "1", "new": "2"},
            {"field": "managed_by", "old": None, "new": "billing"},
        ]
        assert Job.objects.get().current_version.number == 1

    def test_environments_are_compared_too(self, api: Caller) -> None:
        imported(api, job())
        states = {"staging": {"overrides": {"schedule": "0 4 * * *"}}}
        [item] = planned(api, job(environments=states))
        assert item["changes"] == [
            {"field": "environments.production.enabled", "old": True, "new": False},
            {
                "field": "environments.staging",
                "old": None,
                "new": {"enabled": True, "overrides": {"schedule": "0 4 * * *"}},
            },
        ]

    def test_steps_of_workflows_are_compared_by_their_ids(self, api: Caller) -> None:
        def flow(seconds: int) -> dict[str, Any]:
            steps = [{"id": "cool", "type": "delay", "seconds": seconds}]
            return {"slug": "flow", "name": "Flow", "kind": "workflow", "workflow": {"steps": steps}}

        imported(api, flow(5))
        [item] = planned(api, flow(6))
        assert item["changes"] == [{"field": "workflow.steps.cool.seconds", "old": 5, "new": 6}]

    def test_of_a_policy_only_its_name_is_compared(self, api: Caller) -> None:
        for slug, attempts in (("few", 2), ("many", 9)):
            api.ask("POST", "/retry-policies/", {"slug": slug, "name": slug, "max_attempts": attempts}, expect=201)
        imported(api, job(retry={"policy": "few"}))
        [item] = planned(api, job(retry={"policy": "many"}))
        assert item["changes"] == [{"field": "retry.policy", "old": "few", "new": "many"}]

    def test_long_values_are_cut(self, api: Caller) -> None:
        imported(api, job())
        [item] = planned(api, job(request={"url": URL, "body": "x" * 5000}))
        [change] = item["changes"]
        assert change["new"] == "x" * 1000 + "...[truncated]"

    def test_what_is_saved_unchanged_or_refused_has_none(self, api: Caller) -> None:
        created = imported(api, job())["items"][0]
        assert (created["changes"], created["firings"]) == ([], {})
        unchanged, refused = planned(api, job(), job("other", schedule="whenever"))
        assert (unchanged["result"], unchanged["changes"], unchanged["firings"]) == ("unchanged", [], {})
        assert (refused["result"], refused["changes"], refused["firings"]) == ("failed", [], {})
        assert imported(api, job(overlap="skip"))["items"][0]["changes"] == []


class TestFirings:
    @pytest.fixture(autouse=True)
    def noon(self, api: Caller) -> Iterator[None]:
        """The time of requests; the workspace exists already."""
        with time_machine.travel(NOW, tick=False):
            yield

    def test_the_next_five_before_and_after(self, api: Caller) -> None:
        imported(api, job())
        [item] = planned(api, job(schedule="0 3 * * *"))
        assert item["firings"] == {
            "production": {
                "before": times("02T02", "03T02", "04T02", "05T02", "06T02"),
                "after": times("02T03", "03T03", "04T03", "05T03", "06T03"),
            }
        }

    def test_a_new_job_has_none_before(self, api: Caller) -> None:
        [item] = planned(api, job(environments={"staging": {"enabled": True}}))
        assert item["firings"] == {
            "staging": {"before": [], "after": times("02T02", "03T02", "04T02", "05T02", "06T02")}
        }
        [now] = planned(api, job(schedule="now"))
        assert now["firings"]["production"]["after"] == ["2026-03-01T12:00:00.000Z"]
        [manual] = planned(api, job(schedule=None))
        assert manual["firings"] == {}

    def test_an_interval_keeps_counting_from_the_jobs_creation(self, api: Caller) -> None:
        with time_machine.travel(NOW - datetime.timedelta(seconds=30), tick=False):
            imported(api, job(schedule={"every_seconds": 3600}))
        [item] = planned(api, job(schedule={"every_seconds": 3600}, overlap="skip"))
        firings = item["firings"]["production"]
        assert firings["before"] == firings["after"]
        assert firings["after"][0] == "2026-03-01T12:59:30.000Z"

    def test_each_environment_has_its_own(self, api: Caller) -> None:
        on = {"enabled": True}
        imported(api, job(environments={"production": on, "staging": {**on, "overrides": {"schedule": "0 5 * * *"}}}))
        [item] = planned(api, job(schedule="0 3 * * *", environments={"production": {"enabled": False}, "staging": on}))
        assert {name: (both["before"][0], both["after"][:1]) for name, both in item["firings"].items()} == {
            "production": ("2026-03-02T02:00:00.000Z", []),
            "staging": ("2026-03-02T05:00:00.000Z", times("02T03")),
        }

    def test_a_pause_holds_for_both(self, api: Caller) -> None:
        imported(api, job())
        api.ask("POST", "/jobs/nightly/pause/", {"until": "2026-03-04T00:00:00Z"}, expect=200)
        [item] = planned(api, job(schedule="0 3 * * *"))
        assert item["firings"]["production"]["before"][0] == "2026-03-04T02:00:00.000Z"
        assert item["firings"]["production"]["after"][0] == "2026-03-04T03:00:00.000Z"
        api.ask("POST", "/jobs/nightly/pause/", {}, expect=200)
        assert planned(api, job(schedule="0 3 * * *"))[0]["firings"] == {}

    def test_what_the_plan_says_is_what_happens(self, api: Caller) -> None:
        """Compare with the clock's own next firing, after jobs are completed, disabled and enabled again."""
        with time_machine.travel(NOW - datetime.timedelta(minutes=9), tick=False):
            imported(api, job(schedule="2026-03-01T11:55:00Z"))
        fire_due(NOW)
        assert not JobEnvironment.objects.get().enabled, "completed"
        for changed in (
            job(schedule="0 6 * * *"),
            job(schedule="0 7 * * *", environments={"production": {"enabled": True}}),
            job(schedule={"every_seconds": 5400}, timezone="Europe/Berlin"),
            job(schedule="0 8 * * *", environments={"production": {"enabled": False}}),
        ):
            [item] = planned(api, changed)
            imported(api, changed)
            shown = api.ask("GET", "/jobs/nightly/")["environments"]["production"]["next_fire_at"]
            after = item["firings"].get("production", {"after": []})["after"]
            assert after[:1] == ([] if shown is None else [shown]), changed

    def test_a_plan_of_many_jobs_costs_no_query_per_job(self, api: Caller) -> None:
        def queries(count: int) -> int:
            jobs = [job(f"job-{number}") for number in range(count)]
            imported(api, *jobs)
            with CaptureQueriesContext(
                connection,
            ) as captured:
                planned(api, *(one | {"overlap": "skip"} for one in jobs))
            return len(captured)

        assert queries(2) == queries(20)


class TestOwner:
    def test_the_requests_word_counts_more_than_the_files(self, api: Caller) -> None:
        imported(api, job(managed_by="file"), managed_by="billing")
        assert api.ask("GET", "/jobs/nightly/")["managed_by"] == "billing"

    def test_null_leaves_jobs_as_they_are(self, api: Caller) -> None:
        imported(api, job(managed_by="file"), managed_by=None)
        assert api.ask("GET", "/jobs/nightly/")["managed_by"] is None
        imported(api, job(), managed_by="billing")
        [item] = planned(api, job(managed_by="file"), managed_by=None)
        assert item["result"] == "unchanged"

    def test_without_it_the_files_word_counts(self, api: Caller) -> None:
        imported(api, job(managed_by="file"))
        assert api.ask("GET", "/jobs/nightly/")["managed_by"] == "file"

    def test_lines_of_a_crontab_have_an_owner_too(self, api: Caller) -> None:
        body = {"format": "crontab", "content": f"0 2 * * * curl {URL}\n", "managed_by": "billing"}
        [item] = api.ask("POST", "/jobs/import/", body, expect=200)["items"]
        assert api.ask("GET", f"/jobs/{item['slug']}/")["managed_by"] == "billing"


class TestRevisions:
    def revision(self, api: Caller) -> Any:
        return planned(api, job())[0]["revision"]

    def test_an_unchanged_job_keeps_its_revision(self, api: Caller) -> None:
        assert self.revision(api) is None
        imported(api, job())
        first = self.revision(api)
        api.ask("POST", "/jobs/nightly/pause/", {}, expect=200)
        assert self.revision(api) == first
        imported(api, job(overlap="skip"), revisions={"nightly": first})
        assert api.ask("GET", "/jobs/nightly/")["overlap"] == "skip"

    @pytest.mark.parametrize(
        "change", [{"description": "x"}, {"managed_by": "ops"}, {"environments": {"production": {"enabled": False}}}]
    )
    def test_what_others_changed_is_not_overwritten(self, api: Caller, change: dict[str, Any]) -> None:
        imported(api, job())
        known = self.revision(api)
        api.ask("PATCH", "/jobs/nightly/", change, expect=200)
        refused = imported(api, job(overlap="skip"), job("new"), revisions={"nightly": known, "new": None}, expect=409)
        assert (refused["code"], refused["jobs"]) == ("revision_changed", ["nightly"])
        assert api.ask("GET", "/jobs/nightly/")["overlap"] == "allow"
        assert not Job.objects.filter(slug="new").exists()

    def test_a_job_that_appeared_or_went_is_a_change(self, api: Caller) -> None:
        imported(api, job())
        assert imported(api, job(), revisions={"nightly": None}, expect=409)["jobs"] == ["nightly"]
        known = self.revision(api)
        api.ask("DELETE", "/jobs/nightly/", expect=204)
        assert imported(api, job(), revisions={"nightly": known}, expect=409)["jobs"] == ["nightly"]

    def test_a_job_out_of_reach_is_no_new_one(self, api: Caller, workspace: Workspace, staging: Environment) -> None:
        imported(api, job())
        bound = caller(workspace, environments=[staging])
        assert imported(bound, job(), revisions={"nightly": None}, expect=409)["jobs"] == ["nightly"]
