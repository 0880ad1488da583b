"""Plan limits of jobs: interval, timeout, count and retention. Existing jobs beyond the plan keep firing."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from accounts.plans import RetentionCaps, retention_caps
from jobs.errors import SlugTakenError
from jobs.models import Job, JobEnvironment
from jobs.services.limits import TooManyActiveJobsError, active_jobs
from jobs.services.save import EnvironmentChange, save_job
from runs.clock.fire import fire_due
from tests.support.api_caller import JOB, Caller, caller, make_execution
from tests.support.jobs import EPOCH, MakeJob, job_config
from tests.support.quotas import give_plan
from tests.support.threads import start_in_thread

MINUTE = datetime.timedelta(minutes=1)
LIMIT = "plan_limit"


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.mark.django_db
class TestMinimumInterval:
    @pytest.mark.parametrize(
        ("schedule", "refused"),
        [
            ("*/10 * * * * *", True),
            ("0,30 * * * * *", True),
            ("* * * * *", True),
            ("0,2 3 * * *", True),
            ("59 23 * * *", False),
            ("0 0,23 * * *", False),
            ("*/5 * * * *", False),
            ("every 2 minutes", True),
            ({"every_seconds": 299}, True),
            ({"every_seconds": 300}, False),
            ("2030-07-01T09:00:00Z", False),
            (None, False),
        ],
    )
    def test_a_schedule_below_the_minimum_interval_is_refused(
        self, api: Caller, workspace: Workspace, schedule: Any, refused: bool
    ) -> None:
        give_plan(workspace, min_interval_seconds=300)
        if refused:
            assert api.refused("POST", "/jobs/", {**JOB, "schedule": schedule}) == {"schedule": LIMIT}
        else:
            api.ask("POST", "/jobs/", {**JOB, "schedule": schedule}, expect=201)

    def test_the_refusal_names_the_limit(self, api: Caller, workspace: Workspace) -> None:
        give_plan(workspace, min_interval_seconds=300)
        told = api.ask("POST", "/jobs/", {**JOB, "schedule": "* * * * *"}, expect=400)["errors"][0]["detail"]
        assert told == "The workspace's plan allows one firing every 5 min; this schedule fires more often."

    def test_an_overridden_schedule_below_it_is_refused_too(self, api: Caller, workspace: Workspace) -> None:
        give_plan(workspace, min_interval_seconds=300)
        own = {"environments": {"production": {"overrides": {"schedule": "* * * * *"}}}}
        named = api.refused("POST", "/jobs/", {**JOB, "schedule": "@hourly", **own})
        assert named == {"environments.production.overrides.schedule": LIMIT}


@pytest.mark.django_db
class TestTimeout:
    def test_a_timeout_beyond_the_limit_is_refused(self, api: Caller, workspace: Workspace) -> None:
        give_plan(workspace, max_timeout_seconds=60)
        for seconds, code in ((60.5, 400), (60, 201)):
            api.ask("POST", "/jobs/", {**JOB, "request": {**JOB["request"], "timeout_seconds": seconds}}, expect=code)
        wanted = {"environments": {"production": {"overrides": {"request": {"timeout_seconds": 61}}}}}
        named = api.refused("PATCH", "/jobs/nightly-report/", wanted)
        assert named == {"environments.production.overrides.request.timeout_seconds": LIMIT}

    def test_an_edited_replay_beyond_it_is_refused_too(
        self, api: Caller, workspace: Workspace, make_job: MakeJob
    ) -> None:
        execution = make_execution(make_job(request={"timeout_seconds": 90}))
        give_plan(workspace, max_timeout_seconds=60)
        path = f"/executions/{execution.pk}/replay/"
        named = api.refused("POST", path, {"edit": {"timeout_seconds": 120}})
        assert named == {"edit.timeout_seconds": LIMIT}
        api.ask("POST", path, {"edit": {"method": "GET"}}, expect=202)
        api.ask("POST", path, {"edit": {"timeout_seconds": 30}}, expect=202)


@pytest.mark.django_db
class TestRetention:
    def test_retention_beyond_the_limit_is_refused(self, api: Caller, workspace: Workspace) -> None:
        give_plan(workspace, keep_last=500, keep_days=30)
        named = api.refused("POST", "/jobs/", {**JOB, "retention": {"keep_last": 501, "keep_days": 31}})
        assert named == {"retention.keep_last": LIMIT, "retention.keep_days": LIMIT}
        made = api.ask("POST", "/jobs/", {**JOB, "retention": {"keep_last": 500, "keep_days": 30}}, expect=201)
        assert made["retention"] == {"keep_last": 500, "keep_days": 30}

    def test_a_default_retention_is_within_the_plan(self, api: Caller, workspace: Workspace) -> None:
        give_plan(workspace, keep_last=50, keep_days=30)
        made = api.ask("POST", "/jobs/", JOB, expect=201)
        assert made["retention"] == {"keep_last": 50, "keep_days": None}
        assert api.ask("PUT", "/jobs/nightly-report/", JOB, expect=200)["version"] == 1

    def test_the_limit_applies_when_pruning(self, workspace: Workspace) -> None:
        assert retention_caps(workspace) == RetentionCaps(None, None)
        give_plan(workspace, keep_last=50, keep_days=30)
        assert retention_caps(workspace) == RetentionCaps(50, 30)


@pytest.mark.django_db
class TestActiveJobs:
    @pytest.fixture
    def full(self, api: Caller, workspace: Workspace) -> None:
        """Two jobs, and a plan that allows two."""
        for slug in ("one", "two"):
            api.ask("PUT", f"/jobs/{slug}/", JOB, expect=201)
        give_plan(workspace, max_active_jobs=2)

    @pytest.mark.parametrize(("method", "path"), [("POST", "/jobs/"), ("PUT", "/jobs/three/")])
    def test_another_active_job_is_refused(self, api: Caller, full: None, method: str, path: str) -> None:
        refusal = api.ask(method, path, JOB, expect=400)
        assert refusal["errors"][0] | {"detail": ""} == {"field": "environments", "code": LIMIT, "detail": ""}
        assert "2 active jobs" in refusal["detail"]
        assert Job.objects.live().count() == 2

    def test_a_disabled_job_does_not_count(self, api: Caller, full: None) -> None:
        off, on = ({"environments": {"production": {"enabled": enabled}}} for enabled in (False, True))
        api.ask("PUT", "/jobs/three/", {**JOB, **off}, expect=201)
        assert api.refused("PATCH", "/jobs/three/", on) == {"environments": LIMIT}
        api.ask("PATCH", "/jobs/one/", off, expect=200)
        api.ask("PATCH", "/jobs/three/", on, expect=200)

    def test_a_paused_job_counts(self, api: Caller, full: None) -> None:
        api.ask("POST", "/jobs/one/pause/", {}, expect=200)
        api.ask("POST", "/jobs/", JOB, expect=400)
        api.ask("POST", "/jobs/one/resume/", {}, expect=200)

    def test_a_deleted_job_makes_room(self, api: Caller, full: None) -> None:
        api.ask("DELETE", "/jobs/one/", expect=204)
        api.ask("POST", "/jobs/", JOB, expect=201)

    def test_active_jobs_can_be_changed_and_enabled_elsewhere(
        self, api: Caller, workspace: Workspace, full: None
    ) -> None:
        Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        api.ask("PATCH", "/jobs/one/", {"description": "x", "environments": {"staging": {"enabled": True}}}, expect=200)

    def test_a_completed_job_with_a_new_time_counts(self, api: Caller, workspace: Workspace, make_job: MakeJob) -> None:
        once = make_job(slug="once", schedule="2026-03-01T12:01:00Z")
        fire_due(EPOCH + MINUTE)
        once.refresh_from_db()
        assert not once.enabled
        api.ask("PUT", "/jobs/one/", JOB, expect=201)
        give_plan(workspace, max_active_jobs=1)
        assert api.refused("PATCH", "/jobs/once/", {"schedule": "@daily"}) == {"environments": LIMIT}
        assert JobEnvironment.objects.get(pk=once.pk).next_fire_at is None

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_an_import_creates_jobs_up_to_the_limit(self, api: Caller, workspace: Workspace, dry_run: bool) -> None:
        api.ask("PUT", "/jobs/one/", JOB, expect=201)
        give_plan(workspace, max_active_jobs=2)
        off = {"environments": {"production": {"enabled": False}}}
        content = {
            "jobs": [
                {**JOB, "slug": "one", "description": "changed"},
                {**JOB, "slug": "off", **off},
                {**JOB, "slug": "two"},
                {**JOB, "slug": "three"},
            ]
        }
        told = api.ask("POST", "/jobs/import/", {"format": "json", "content": content, "dry_run": dry_run}, expect=200)
        assert [item["result"] for item in told["items"]] == ["updated", "created", "created", "failed"]
        assert [(error["field"], error["code"]) for error in told["items"][3]["errors"]] == [("environments", LIMIT)]
        assert active_jobs(workspace) == (1 if dry_run else 2)

    def test_restoring_a_version_enables_nothing(self, api: Caller, full: None, workspace: Workspace) -> None:
        api.ask("PATCH", "/jobs/one/", {"description": "x"}, expect=200)
        give_plan(workspace, max_active_jobs=1)
        api.ask("POST", "/jobs/one/versions/1/restore/", {}, expect=200)


@pytest.mark.django_db
class TestJobsBeyondThePlan:
    """Created without a plan, or under another: they keep firing, and unchanged fields may be saved."""

    @pytest.fixture
    def fast(self, workspace: Workspace, make_job: MakeJob) -> JobEnvironment:
        row = make_job(
            slug="fast",
            schedule={"every_seconds": 60},
            request={"timeout_seconds": 300},
            retention={"keep_last": 5000, "keep_days": None},
        )
        give_plan(workspace, min_interval_seconds=300, max_timeout_seconds=60, keep_last=100, max_active_jobs=0)
        return row

    def test_jobs_beyond_the_plan_keep_firing(self, fast: JobEnvironment) -> None:
        assert len(fire_due(EPOCH + MINUTE).execution_ids) == 1

    def test_jobs_beyond_the_plan_can_be_edited_otherwise(self, api: Caller, fast: JobEnvironment) -> None:
        api.ask("PATCH", "/jobs/fast/", {"description": "x"}, expect=200)
        shown = api.ask("GET", "/jobs/fast/")
        definition = {name: value for name, value in shown.items() if name in {"name", "schedule", "request"}}
        assert definition["request"]["timeout_seconds"] == 300
        api.ask("PATCH", "/jobs/fast/", {"request": {"method": "GET"}, "retention": {"keep_days": 3}}, expect=200)

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"schedule": {"every_seconds": 61}}, "schedule"),
            ({"request": {"timeout_seconds": 299}}, "request.timeout_seconds"),
            ({"retention": {"keep_last": 4999}}, "retention.keep_last"),
        ],
    )
    def test_changed_fields_must_be_within_the_plan(
        self, api: Caller, fast: JobEnvironment, change: dict[str, Any], field: str
    ) -> None:
        assert api.refused("PATCH", "/jobs/fast/", change) == {field: LIMIT}

    def test_enabling_again_requires_the_plans_limits(
        self, api: Caller, workspace: Workspace, fast: JobEnvironment
    ) -> None:
        off, on = ({"environments": {"production": {"enabled": enabled}}} for enabled in (False, True))
        api.ask("PATCH", "/jobs/fast/", off, expect=200)
        named = api.refused("PATCH", "/jobs/fast/", on)
        assert named == {"schedule": LIMIT, "request.timeout_seconds": LIMIT, "retention.keep_last": LIMIT}

    def test_a_version_beyond_the_plan_is_not_restored(self, api: Caller, fast: JobEnvironment) -> None:
        api.ask("PATCH", "/jobs/fast/", {"schedule": "@hourly"}, expect=200)
        refusal = api.ask("POST", "/jobs/fast/versions/1/restore/", {}, expect=409)
        assert refusal["code"] == "not_restorable"
        assert "one firing every 5 min" in refusal["detail"]


@pytest.mark.django_db(transaction=True)
def test_of_two_concurrent_requests_for_the_last_job_one_succeeds(workspace: Workspace) -> None:
    give_plan(workspace, max_active_jobs=1)

    def make(slug: str) -> str:
        own = Workspace.objects.get(pk=workspace.pk)
        try:
            save_job(
                workspace=own,
                job=None,
                slug=slug,
                config=job_config(),
                environments=None,
                now=timezone.now(),
                actor=SYSTEM,
            )
        except (TooManyActiveJobsError, SlugTakenError) as error:
            return error.code
        return "made"

    answers = [start_in_thread(lambda slug=slug: make(slug)) for slug in ("one", "two", "three", "four")]
    assert sorted(answer() for answer in answers) == ["made", LIMIT, LIMIT, LIMIT]
    assert active_jobs(workspace) == 1


@pytest.mark.django_db
def test_the_service_function_enforces_the_limit_too(workspace: Workspace, make_job: MakeJob) -> None:
    give_plan(workspace, max_active_jobs=1)
    row = make_job(slug="one")
    with pytest.raises(TooManyActiveJobsError):
        make_job(slug="two")
    save_job(
        workspace=workspace,
        job=row.job,
        slug=None,
        config=job_config(),
        environments=[EnvironmentChange(row.environment, enabled=False)],
        now=timezone.now(),
        actor=SYSTEM,
    )
    make_job(slug="two")
