"""A job's page: description, firings, history and versions, with a constant number of queries and by permission."""

import datetime
import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from accounts.secrets import create_secret
from dashboard.runs.recent_outcomes import MOST, latest_of
from jobs.definition.templates import VARIABLES
from jobs.models import Job, JobEnvironment, JobVersion
from runs.ledger import read
from runs.models import Execution
from tests.support.admin_rows import HOSTILE, execution_of, person, signed_in
from tests.support.api_caller import caller
from tests.support.dashboard_pages import queries_of, text_of, words_of
from tests.support.explain_plans import QueryCost
from tests.support.job_forms import config_of
from tests.support.job_forms import save as submit
from tests.support.jobs import EPOCH, MakeJob
from tests.support.seeded_history import NEWEST, seed_executions, seed_jobs

pytestmark = pytest.mark.django_db
CALL = {"url": "https://api.example.com/"}


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="member"))


@pytest.fixture
def viewer(workspace: Workspace) -> Client:
    return signed_in(person("vera", workspace=workspace, role="viewer"))


def page_of(job: Job) -> str:
    return reverse("admin:jobs_job_page", args=[job.pk])


def save(workspace: Workspace, slug: str, **definition: Any) -> Job:
    caller(workspace).ask("PUT", f"/jobs/{slug}/", {"name": slug, "request": CALL, **definition}, expect=None)
    return Job.objects.get(slug=slug)


def test_a_job_that_is_applied_from_a_file_says_so(member: Client, workspace: Workspace) -> None:
    managed = save(workspace, "managed", managed_by="billing")
    words = "Managed by billing from a file: changes here are overwritten by the next apply."
    assert words in words_of(text_of(member, page_of(managed)))
    assert words in words_of(text_of(member, reverse("admin:jobs_job_change", args=[managed.pk])))
    assert "from a file" not in words_of(text_of(member, page_of(save(workspace, "by-hand"))))


def test_saving_the_form_leaves_who_manages_a_job_alone(member: Client, workspace: Workspace) -> None:
    managed = save(workspace, "managed", managed_by="billing")
    assert submit(member, managed, description="by hand").status_code == 302
    managed.refresh_from_db()
    assert (managed.managed_by, config_of(managed)["description"]) == ("billing", "by hand")


# -- when it fires ---------------------------------------------------------------------------------------------------


def test_the_page_shows_ten_firings_and_dst_changes(member: Client, make_job: MakeJob, workspace: Workspace) -> None:
    timing = {"schedule": "30 2 * * *", "timezone": "Europe/Berlin"}
    page = text_of(member, page_of(make_job(**timing).job))
    assert page.count("data-local>") == 10
    told = caller(workspace).ask("POST", "/schedules/preview/", timing)
    for warning in told["warnings"]:
        assert warning in words_of(page)


def test_environments_with_their_own_schedule_have_their_own_firings(member: Client, workspace: Workspace) -> None:
    for slug in ("staging", "testing"):
        Environment.objects.create(workspace=workspace, slug=slug, name=slug)
    places = {
        "production": {}, "testing": {"enabled": False},
        "staging": {"overrides": {"schedule": "0 6 * * *", "request": {**CALL, "timeout_seconds": 5}}},
    }  # fmt: skip
    page = words_of(text_of(member, page_of(save(workspace, "both", schedule="0 2 * * *", environments=places))))
    assert "production, testing: At 02:00 (UTC) staging: At 06:00 (UTC)" in page
    assert "Does not fire in testing while paused or disabled there." in page
    assert "3 overrides Schedule 0 6 * * * URL https://api.example.com/ Timeout, seconds 5" in page


def test_contradictory_settings_are_reported_once(member: Client, make_job: MakeJob) -> None:
    sound, odd = make_job(schedule="* * * * *"), make_job(schedule="* * * * *", jitter_seconds=3600)
    told = "is not shorter than the time between two firings"
    assert [words_of(text_of(member, page_of(row.job))).count(told) for row in (sound, odd)] == [0, 1]


def test_a_manual_job_has_no_firings(member: Client, make_job: MakeJob) -> None:
    assert "Runs manually" in text_of(member, page_of(make_job().job))


# -- how it stands ---------------------------------------------------------------------------------------------------


def test_a_pause_is_shown_with_its_note_and_end_in_the_jobs_time_zone(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *", timezone="America/New_York")
    wanted = {"environment": "production", "until": "2036-07-01T08:00", "note": HOSTILE}
    member.post(reverse("admin:jobs_job_pause", args=[row.job_id]), wanted)
    row.refresh_from_db()
    assert row.paused_until == datetime.datetime(2036, 7, 1, 12, 0, tzinfo=datetime.UTC)
    page = text_of(member, page_of(row.job))
    assert "Paused until 2036-07-01 12:00 UTC" in page
    assert HOSTILE not in page
    assert HOSTILE in html.unescape(page)
    assert "Resume in production" in page


def test_a_job_of_several_environments_is_paused_everywhere_at_once(member: Client, workspace: Workspace) -> None:
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    job = save(workspace, "both", schedule="0 2 * * *", environments={"production": {}, "staging": {}})
    assert "Pause everywhere" in text_of(member, page_of(job))
    member.post(reverse("admin:jobs_job_pause", args=[job.pk]), {"environment": "", "note": "Night"})
    assert set(job.job_environments.values_list("pause_note", flat=True)) == {"Night"}
    assert "Pause everywhere" not in text_of(member, page_of(job))
    answer = member.post(reverse("admin:jobs_job_pause", args=[job.pk]), {"until": "soon"})
    assert answer.status_code == 200
    assert "Should be a date and a time" not in text_of(member, page_of(job))
    assert member.post(reverse("admin:jobs_job_pause", args=[job.pk]), {"environment": "none"}).status_code == 404


def test_outcomes_are_a_row_of_labeled_links(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    for number in range(MOST + 3):
        at = timezone.now() - datetime.timedelta(minutes=number)
        execution_of(row, created_at=at, started_at=at, status="failed" if number == 1 else "succeeded", error=HOSTILE)
    page = text_of(member, page_of(row.job))
    strip = page.partition('<ol class="hh-marks"')[2].partition("</ol>")[0]
    links = re.findall(r'<a class="hh-(\w+)" href="([^"]+)" title="([^"]+)"', strip)
    assert len(links) == MOST
    assert [tone for tone, _, _ in links][-2:] == ["failed", "succeeded"]  # the newest is the last
    assert links[-2][2].startswith("Failed · ")
    assert member.get(links[-2][1]).status_code == 200
    assert "49 of 50 succeeded (98%)" in page
    for title in ("Duration", "Lateness"):
        assert f"<h3>{title}</h3>" in page


def test_unstarted_executions_are_not_in_the_charts(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *")
    for status in ("skipped", "pending"):
        execution_of(row, status=status)
    page = text_of(member, page_of(row.job))
    assert "hh-chart" not in page
    assert "Skipped · " in page


def test_the_ledger_is_queried_in_the_jobs_time_zone(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *", timezone="Asia/Tokyo")
    at = "2026-03-03T02:00"
    page = words_of(text_of(member, f"{page_of(row.job)}?at={at}&environment=production"))
    assert "2026-03-03 02:00:00 Asia/Tokyo" in page
    page = words_of(text_of(member, f"{page_of(row.job)}?at={at}&zone=UTC"))
    assert "has no occurrence in that second" in page
    assert "Nearest occurrences: 2026-03-02 17:00:00 before, 2026-03-03 17:00:00 after (UTC)." in page
    assert "Asia/Tokyo" in text_of(member, f"{page_of(row.job)}?at={at}&zone=Nowhere/Else")


# -- versions --------------------------------------------------------------------------------------------------------


def versions_of(job: Job, query: str = "") -> str:
    return f"{reverse('admin:jobs_job_versions', args=[job.pk])}{query}"


def test_any_two_versions_are_compared_and_an_older_one_is_restored(member: Client, workspace: Workspace) -> None:
    save(workspace, "report", schedule="0 2 * * *", request={**CALL, "body": "one\ntwo"})
    job = save(workspace, "report", schedule="0 3 * * *", request={**CALL, "body": f"one\n{HOSTILE}"})
    page = text_of(member, versions_of(job, "?older=2&newer=1"))
    assert "Schedule 0 3 * * * arrow_forward is 0 2 * * *" in words_of(page).replace("was ", "")
    assert "<ins>+ two</ins>" in page
    assert f"<del>- {html.escape(HOSTILE)}</del>".replace("&#x27;", "&#39;") in page
    assert "Restore version 1" in page
    member.post(reverse("admin:jobs_job_restore", args=[job.pk, 1]))
    assert JobVersion.objects.get(job=job, number=3).config["schedule"] == "0 2 * * *"
    assert "No differences." in text_of(member, versions_of(job, "?older=1&newer=3"))


@pytest.mark.parametrize("query", ["?older=1&newer=9", "?older=&newer=1", "?older=x&newer=-1", "?newer=1", "?before=x"])
def test_unknown_version_numbers_are_reported_beside_their_fields(
    member: Client, make_job: MakeJob, query: str
) -> None:
    page = text_of(member, versions_of(make_job().job, query))
    assert ("hh-error" in page) is ("before" not in query)
    assert "All versions" in page


def test_versions_are_paginated(
    member: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("dashboard.jobs.versions._PAGE_SIZE", 2)
    for hour in range(4):
        job = save(workspace, "often", schedule=f"0 {hour} * * *")
    assert "?before=3" in text_of(member, versions_of(job))
    rest = text_of(member, versions_of(job, "?before=3"))
    assert "First version." in rest
    assert "Older ones" not in rest


def test_a_version_that_can_not_be_restored_is_explained(member: Client, workspace: Workspace) -> None:
    api = caller(workspace)
    api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient"}, expect=201)
    save(workspace, "report", retry={"policy": "patient"})
    job = save(workspace, "report")
    api.ask("DELETE", "/retry-policies/patient/", expect=204)
    answer = member.post(reverse("admin:jobs_job_restore", args=[job.pk, 1]), follow=True)
    assert "uses the deleted retry policy patient" in answer.content.decode()
    assert JobVersion.objects.filter(job=job).count() == 2


# -- running it with an input ----------------------------------------------------------------------------------------


def run_url(job: Job) -> str:
    return reverse("admin:runs_execution_run_with", args=[job.pk])


def test_a_job_is_run_with_an_input_environment_and_delay(member: Client, workspace: Workspace) -> None:
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    job = save(workspace, "both", environments={"production": {}, "staging": {}})
    assert '<option value="staging" selected' in text_of(member, f"{run_url(job)}?environment=staging")
    answer: Any = member.post(run_url(job), {"environment": "staging", "input": '{"a": [1]}', "delay_seconds": "60"})
    made = Execution.objects.get()
    assert answer.headers["Location"] == reverse("admin:runs_execution_change", args=[made.pk])
    assert (made.environment.slug, made.input, made.trigger) == ("staging", {"a": [1]}, "manual")
    assert made.scheduled_for is not None
    # The form is prefilled with the last input.
    assert "&quot;a&quot;: [" in text_of(member, run_url(job))
    member.post(run_url(job), {"environment": "production", "input": " "})
    assert Execution.objects.get(environment__slug="production").input is None


@pytest.mark.parametrize(
    ("field", "typed", "expected"),
    [
        ("input", "{nope", "Invalid JSON"), ("input", '{"a": 1, "a": 2}', "appears twice"),
        ("input", '"\\u0000"', "NUL characters"), ("input", "NaN", "not a JSON value"),
        ("input", "[" * 99_999, "Nested too deeply"),
        ("delay_seconds", "-1", "greater than or equal to 0"), ("delay_seconds", "99999999999", "less than or equal"),
        ("environment", "nowhere", "not one of the available choices"),
    ],
)  # fmt: skip
def test_an_input_error_is_beside_its_field(
    member: Client, make_job: MakeJob, field: str, typed: str, expected: str
) -> None:
    answer = member.post(run_url(make_job().job), {"environment": "production", field: typed})
    assert answer.status_code == 200
    assert expected in " ".join(answer.context["form"].errors[field])
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not Execution.objects.exists()


def test_a_job_disabled_everywhere_can_not_be_run(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    JobEnvironment.objects.filter(pk=row.pk).update(enabled=False)
    assert "not enabled in any environment" in text_of(member, run_url(row.job))
    assert member.post(run_url(row.job), {"environment": "production"}).status_code == 200
    assert not Execution.objects.exists()


# -- who sees what ---------------------------------------------------------------------------------------------------


def test_a_viewer_sees_the_page_and_no_button(viewer: Client, workspace: Workspace) -> None:
    save(workspace, "report", schedule="0 2 * * *")
    job = save(workspace, "report", schedule="0 3 * * *")
    for url in (page_of(job), versions_of(job, "?older=2&newer=1")):
        page = text_of(viewer, url)
        main = page.partition('class="hh-stack"')[2]
        assert 'method="post"' not in main
        assert "Restore" not in main
        assert "Edit" not in words_of(main)
    refused = [
        (run_url(job), "get"), (run_url(job), "post"), (reverse("admin:jobs_job_restore", args=[job.pk, 1]), "post"),
        (reverse("admin:jobs_job_pause", args=[job.pk]), "post"),
        (reverse("admin:jobs_job_change", args=[job.pk]), "get"),
    ]  # fmt: skip
    for url, method in refused:
        assert getattr(viewer, method)(url).status_code == 403, url


def test_only_names_of_this_workspaces_secrets_are_suggested(member: Client, workspace: Workspace) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    other = Workspace.objects.create(slug="beta", name="Beta")
    for place, environment, name in (
        (workspace, None, "EVERYWHERE"), (workspace, staging, "ONLY_STAGING"), (other, None, "OF_OTHERS"),
    ):  # fmt: skip
        create_secret(
            workspace=place, environment=environment, name=name, value="hidden-value", now=EPOCH, actor=SYSTEM
        )
    page = text_of(member, reverse("admin:jobs_job_add"))
    assert 'data-inserts="{{secrets.EVERYWHERE}}"' in page
    assert "secret, only in staging" in page
    assert "OF_OTHERS" not in page
    assert "hidden-value" not in page
    for variable in VARIABLES:
        assert f'data-inserts="{{{{{variable}}}}}"' in page or variable == "secrets.NAME"


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_the_pages_take_the_same_queries_for_any_history(member: Client, workspace: Workspace) -> None:
    job = save(workspace, "busy", schedule="every minute")
    row = JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)
    execution_of(row, input={"a": 1})
    save(workspace, "busy", schedule="every hour")
    urls = [page_of(job), versions_of(job, "?older=1&newer=2"), reverse("admin:jobs_job_change", args=[job.pk]),
            run_url(job), f"{page_of(job)}?at=2026-11-21T02:30"]  # fmt: skip
    few = [queries_of(member, url) for url in urls]
    for number in range(3):
        environment = Environment.objects.create(workspace=workspace, slug=f"place-{number}", name="Place")
        create_secret(
            workspace=workspace, environment=environment, name=f"S_{number}", value="hidden", now=EPOCH, actor=SYSTEM
        )
    slugs = workspace.environments.values_list("slug", flat=True)
    for hour in range(6):
        overrides = {slug: {"overrides": {"schedule": f"{hour} * * * *"} if "place" in slug else {}} for slug in slugs}
        save(workspace, "busy", schedule=f"0 {hour} * * *", environments=overrides)
    for place in JobEnvironment.objects.select_related("job__current_version", "environment").filter(job=job):
        for _ in range(3):
            execution_of(place, status="failed")
    assert [queries_of(member, url) for url in urls] == few
    assert few[0] <= 17, few


def test_the_page_omits_heavy_columns_of_history(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    execution_of(row, input={"a": 1})
    with CaptureQueriesContext(connection) as captured:
        text_of(member, page_of(row.job))
    history = [query["sql"] for query in captured if 'FROM "runs_execution"' in query["sql"]]
    assert history
    assert '"runs_execution"."input"' not in " ".join(history)


@pytest.fixture
def long_history(fresh_tables: None) -> JobEnvironment:
    seeded = seed_jobs(jobs=60)
    seed_executions(10_000, runs=False)
    return JobEnvironment.objects.select_related("job", "environment").filter(workspace=seeded.workspace)[0]


def test_no_more_of_history_is_read_than_is_shown(long_history: JobEnvironment) -> None:
    sql, parameters = latest_of(long_history.job).query.sql_with_params()
    findings = QueryCost.of(_inlined(sql, parameters))
    assert "runs_execution" not in findings.scanned_whole
    assert findings.read["runs_execution"] == MOST
    start = NEWEST - datetime.timedelta(hours=1)
    for rows, most in (
        (read.earlier_rows([long_history.pk], start=start), 3),
        (read.entry_rows([long_history.pk], start=start, end=NEWEST), 70),
    ):
        findings = QueryCost.of(_inlined(*rows.query.sql_with_params()))
        assert "runs_execution" not in findings.scanned_whole
        assert findings.read["runs_execution"] <= most


def _inlined(sql: str, parameters: Any) -> str:
    with connection.cursor() as cursor:
        written: bytes = cursor.mogrify(sql, parameters)
    return written.decode()
