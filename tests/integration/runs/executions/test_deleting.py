"""Deleting a job: nothing of it continues, and its history stays unless it is purged."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Environment, Workspace
from jobs.models import Job, JobEnvironment, JobVersion, SchedulePeriod
from runs.executions.delete import JOB_DELETED
from runs.models import Execution, Run
from runs.retention.prune import Pace, Turn
from runs.retention.worker import work_off
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import NOW, Caller, caller, make_execution, make_run
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def report(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="report")


def pending(state: JobEnvironment, **columns: object) -> Execution:
    waiting = {"status": "pending", "trigger": "manual", "started_at": None, "finished_at": None, "attempts": 0}
    return make_execution(state, **{**waiting, "next_attempt_at": NOW, **columns})


def removed() -> None:
    """Let a worker remove purged rows, in small batches."""
    turn = Turn(60, Pace(size=2), sleep=lambda _: None)
    assert not work_off(turn, NOW)


class TestDeleting:
    def test_live_executions_are_canceled_with_a_reason(self, api: Caller, report: JobEnvironment) -> None:
        done, waits, retries = make_execution(report), pending(report), pending(report, attempts=1, started_at=NOW)
        lease = {"lease_owner": "w", "lease_expires_at": NOW}
        runs = pending(report, status="running", attempts=1, started_at=timezone.now(), **lease)
        api.ask("DELETE", "/jobs/report/", expect=204)
        found = {one.pk: one for one in Execution.objects.all()}
        assert found[done.pk].status == "succeeded"
        assert [found[one.pk].status for one in (waits, retries, runs)] == ["canceled"] * 3
        assert [found[one.pk].error for one in (waits, retries)] == [JOB_DELETED] * 2
        assert Run.objects.get(execution=runs).status == "canceled"
        assert not JobEnvironment.objects.get().enabled
        api.ask("GET", "/jobs/report/", expect=404)
        assert api.ask("GET", f"/executions/{waits.pk}/", expect=200)["error"] == JOB_DELETED

    def test_another_job_is_unaffected(self, api: Caller, report: JobEnvironment, make_job: MakeJob) -> None:
        other = pending(make_job(slug="other"))
        pending(report)
        api.ask("DELETE", "/jobs/report/", expect=204)
        other.refresh_from_db()
        assert other.status == "pending"


class TestPurging:
    def test_no_row_of_the_job_remains(self, api: Caller, report: JobEnvironment, make_job: MakeJob) -> None:
        other = make_execution(make_job(slug="other"))
        for _ in range(5):
            make_run(make_execution(report, trigger="manual"))
        pending(report)
        api.ask("DELETE", "/jobs/report/?purge=true", expect=204)
        removed()
        assert [job.slug for job in Job.objects.all()] == ["other"]
        assert list(Execution.objects.all()) == [other]
        assert not Run.objects.exists()
        for model in (JobVersion, JobEnvironment):
            assert model.objects.count() == 1  # type: ignore[attr-defined]
        assert not SchedulePeriod.objects.filter(job_environment=report).exists()

    @pytest.mark.parametrize(
        "path", ["/runs/", "/runs/?status=succeeded", "/executions/", "/executions/?trigger=manual"]
    )
    def test_pages_stay_complete_during_a_purge(
        self, api: Caller, report: JobEnvironment, make_job: MakeJob, path: str
    ) -> None:
        """Rows being removed are between the others, and no page is shorter for it."""
        other = make_job(slug="other")
        for state in (report, other) * 6:
            make_run(make_execution(state, trigger="manual"))
        api.ask("DELETE", "/jobs/report/?purge=true", expect=204)
        query = f"{path}{'&' if '?' in path else '?'}limit=4"
        page = api.ask("GET", query)
        assert [row["job"] for row in page["results"]] == ["other"] * 4
        rest = api.ask("GET", page["next"].partition("/api/v1")[2])
        assert ([row["job"] for row in rest["results"]], rest["next"]) == (["other"] * 2, None)

    def test_a_deleted_job_can_still_be_purged_by_its_id(self, api: Caller, report: JobEnvironment) -> None:
        make_execution(report)
        api.ask("DELETE", "/jobs/report/", expect=204)
        api.ask("DELETE", f"/jobs/{report.job_id}/", expect=404)
        api.ask("DELETE", f"/jobs/{report.job_id}/?purge=true", expect=204)
        api.ask("DELETE", f"/jobs/{report.job_id}/?purge=true", expect=404)
        removed()
        assert not Job.objects.exists()

    def test_only_permitted_callers_purge(self, api: Caller, report: JobEnvironment, workspace: Workspace) -> None:
        staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        JobEnvironment.objects.create(workspace=workspace, job=report.job, environment=staging, enabled=False)
        bound = caller(workspace, environments=[staging])
        bound.ask("DELETE", "/jobs/report/?purge=true", expect=403)
        api.ask("DELETE", "/jobs/report/", expect=204)
        bound.ask("DELETE", f"/jobs/{report.job_id}/?purge=true", expect=404)
        stranger = caller(Workspace.objects.create(slug="other", name="Other"))
        stranger.ask("DELETE", f"/jobs/{report.job_id}/?purge=true", expect=404)
        api.ask("DELETE", "/jobs/report/?purge=yes", expect=404)
        assert api.refused("DELETE", "/jobs/report/?purge=perhaps") == {"purge": "invalid"}
        assert api.refused("GET", "/jobs/report/?purge=true") == {"purge": "unknown_parameter"}

    def test_the_dashboard_offers_to_purge_the_history(self, report: JobEnvironment, workspace: Workspace) -> None:
        client = signed_in(person("mara", workspace=workspace, role="owner"))
        page = client.get(reverse("admin:jobs_job_delete", args=[report.job_id])).text
        url = reverse("admin:runs_execution_delete_job", args=[report.job_id])
        assert url in page
        make_execution(report)
        viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
        assert viewer.post(url).status_code == 403
        client.post(url, {"purge": "on"})
        removed()
        assert not Execution.objects.exists()
        assert not Job.objects.exists()
