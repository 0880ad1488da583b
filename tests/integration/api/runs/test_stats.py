"""`/stats/` and `/jobs/{job}/stats/`: figures, permissions and refusals."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from jobs.services.save import delete_job
from tests.support.api_caller import Caller, caller, make_execution
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
SECOND, HOUR = datetime.timedelta(seconds=1), datetime.timedelta(hours=1)
NONE = dict.fromkeys(("pending", "running", "waiting", "succeeded", "failed", "canceled", "skipped"), 0)


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def this_hour() -> datetime.datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def ended(state: JobEnvironment, at: datetime.datetime, *, took_ms: int = 100, **columns: Any) -> None:
    started = at + datetime.timedelta(milliseconds=7)
    finished = started + datetime.timedelta(milliseconds=took_ms)
    made = {"scheduled_for": at, "created_at": at, "started_at": started, "finished_at": finished, **columns}
    make_execution(state, **made)


def test_a_job_is_counted_and_measured(api: Caller, make_job: MakeJob, this_hour: datetime.datetime) -> None:
    state = make_job(slug="report", name="Report", schedule="0 3 * * *", now=timezone.now())
    before = this_hour - 2 * HOUR
    for n in range(3):
        ended(state, before + n * SECOND, took_ms=10 * (n + 1))
    ended(state, before + 3 * SECOND, status="failed", failure_reason="timeout", took_ms=1000)
    skipped = {"status": "skipped", "skip_reason": "missed", "occurrences": 12, "started_at": None}
    ended(state, before + 4 * SECOND, **skipped)
    told = api.ask("GET", f"/jobs/report/stats/?bucket=1h&from={before:%Y-%m-%dT%H:%M}", expect=200)
    assert told["from"] == f"{before:%Y-%m-%dT%H}:00:00.000Z"
    assert told["to"] == f"{this_hour + HOUR:%Y-%m-%dT%H}:00:00.000Z"
    assert told["counts"] == {**NONE, "succeeded": 3, "failed": 1, "skipped": 12}
    assert told["success_rate"] == 0.75
    assert told["duration_ms"] == {"p50": 20, "p95": 1015, "p99": 1015}
    assert told["lateness_ms"] == {"p50": 7, "p99": 7}
    first, second_hour, third = told["buckets"]
    assert first["at"] == told["from"]
    assert (first["counts"], first["duration_ms"]) == (told["counts"], told["duration_ms"])
    assert second_hour["counts"] == third["counts"] == NONE
    assert third["duration_ms"] == {"p50": None, "p95": None, "p99": None}
    [coming] = told["upcoming"]
    assert (coming["job"], coming["job_name"], coming["environment"]) == ("report", "Report", "production")
    assert coming["scheduled_for"].endswith("T03:00:00.000Z")


def test_the_default_is_the_last_day_of_all_jobs(api: Caller, make_job: MakeJob, this_hour: datetime.datetime) -> None:
    one, other = make_job(slug="one"), make_job(slug="other")
    for n, state in enumerate((one, one, other)):
        ended(state, this_hour - HOUR + n * SECOND)
    ended(one, this_hour - 30 * HOUR)
    ended(one, this_hour - HOUR / 2, status="pending", started_at=None, finished_at=None, next_attempt_at=this_hour)
    told = api.ask("GET", "/stats/", expect=200)
    assert (told["bucket"], told["counts"]) == ("15m", {**NONE, "succeeded": 3, "pending": 1})
    assert len(told["buckets"]) in {96, 97}
    assert api.ask("GET", "/stats/?job=one", expect=200)["counts"] == {**NONE, "succeeded": 2, "pending": 1}
    assert api.ask("GET", "/stats/?job=nothing", expect=200)["counts"] == NONE
    empty = api.ask("GET", "/stats/?environment=nowhere", expect=200)
    assert (empty["counts"], empty["success_rate"], empty["upcoming"]) == (NONE, None, [])
    assert api.ask("GET", "/jobs/one/stats/", expect=200)["counts"] == {**NONE, "succeeded": 2, "pending": 1}


def test_a_deleted_job_keeps_its_statistics(api: Caller, make_job: MakeJob, this_hour: datetime.datetime) -> None:
    state = make_job(slug="report")
    ended(state, this_hour)
    delete_job(job=state.job, now=timezone.now(), actor=SYSTEM)
    for path in ("/jobs/report/stats/", "/stats/?job=report", f"/jobs/{state.job_id}/stats/"):
        assert api.ask("GET", path, expect=200)["counts"]["succeeded"] == 1


def test_statistics_cover_only_permitted_jobs(
    api: Caller, make_job: MakeJob, workspace: Workspace, this_hour: datetime.datetime
) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    state = make_job(slug="report", schedule="0 3 * * *", now=timezone.now())
    ended(state, this_hour)
    bound, stranger = caller(workspace, environments=[staging]), caller(create_workspace(slug="other", name="Other"))
    bound.ask("GET", "/jobs/report/stats/", expect=404)
    stranger.ask("GET", "/jobs/report/stats/", expect=404)
    for somebody in (bound, stranger):
        for path in ("/stats/", "/stats/?job=report", "/stats/?environment=production"):
            told = somebody.ask("GET", path, expect=200)
            assert (told["counts"], told["upcoming"]) == (NONE, [])
    both = JobEnvironment.objects.create(workspace=workspace, job=state.job, environment=staging, enabled=False)
    ended(JobEnvironment.objects.select_related("job").get(pk=both.pk), this_hour, status="canceled")
    assert bound.ask("GET", "/jobs/report/stats/", expect=200)["counts"] == {**NONE, "canceled": 1}
    assert api.ask("GET", "/stats/?environment=staging", expect=200)["counts"] == {**NONE, "canceled": 1}
    everywhere = api.ask("GET", "/stats/?environment=staging,production", expect=200)
    assert everywhere["counts"] == {**NONE, "canceled": 1, "succeeded": 1}


def test_an_invalid_parameter_is_refused_by_name(api: Caller, make_job: MakeJob) -> None:
    make_job(slug="report")
    assert api.refused("GET", "/stats/?bucket=2h") == {"bucket": "invalid_choice"}
    assert api.refused("GET", "/stats/?from=2001-01-01") == {"from": "invalid_period"}
    assert api.refused("GET", "/stats/?to=2201-01-01") == {"to": "invalid_period"}
    assert api.refused("GET", "/stats/?from=yesterday") == {"from": "invalid"}
    assert api.refused("GET", "/stats/?status=failed") == {"status": "unknown_parameter"}
    assert api.refused("GET", "/jobs/report/stats/?job=report") == {"job": "unknown_parameter"}
    since = timezone.now() - datetime.timedelta(days=6)
    problem = api.ask("GET", f"/stats/?bucket=1m&from={since:%Y-%m-%d}", expect=400)
    assert problem["errors"][0]["field"] == "bucket"
    assert "at most 1,500" in problem["detail"]


def test_statistics_take_the_same_queries_at_any_size(
    api: Caller, make_job: MakeJob, this_hour: datetime.datetime, django_assert_max_num_queries: Any
) -> None:
    for n in range(5):
        ended(make_job(slug=f"job-{n}", schedule="0 3 * * *", now=timezone.now()), this_hour)
    api.ask("GET", "/stats/")  # the key's last use is written
    with django_assert_max_num_queries(5):
        assert api.ask("GET", "/stats/?bucket=1m", expect=200)["counts"]["succeeded"] == 5
