"""The dashboard's lists: the API's filters, pages that reach every row, filters in the URL."""

import datetime
import html
import re
import uuid
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AuditEntry, Environment, Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.services.save import save_job
from runs.models import Execution, Run
from tests.support.admin_rows import admin_action, execution_of, person, run_of, signed_in
from tests.support.jobs import EPOCH, MakeJob, job_config

pytestmark = pytest.mark.django_db
EXECUTIONS, RUNS, JOBS = (f"/admin/{path}/" for path in ("runs/execution", "runs/run", "jobs/job"))


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="owner"))


def text_of(client: Client, url: str) -> str:
    answer = client.get(url, follow=True)
    assert answer.status_code == 200, (url, answer.status_code)
    return answer.content.decode()


def shown_rows(page: str) -> list[str]:
    """Return the ids that the rows of a list link to, in order."""
    return list(dict.fromkeys(re.findall(r'/admin/(?:runs|jobs)/\w+/([0-9a-f-]{36})/(?:change/)?[?"]', page)))


def link(page: str, direction: str) -> str | None:
    found = re.search(rf'rel="{direction}" href="([^"]+)"', page)
    return None if found is None else html.unescape(found[1])


def rows_of_all_pages(client: Client, url: str) -> list[str]:
    """Return all rows, page by page, with the Next link."""
    rows: list[str] = []
    following: str | None = ""
    while following is not None:
        page = text_of(client, url.partition("?")[0] + following if following else url)
        rows += shown_rows(page)
        following = link(page, "next")
    return rows


# -- executions and runs ----------------------------------------------------------------------------------------------


EXECUTIONS_BY = (
    ("status=failed", True), ("status=succeeded", False), ("status=failed,canceled", True),
    ("trigger=manual", True), ("trigger=schedule", False), ("environment=production", True),
    ("environment=nowhere", False), ("failure_reason=timeout", True), ("failure_reason=dns_error", False),
    ("since=1h", True), ("from=2020-01-01T00:00", True), ("to=2020-01-01T00:00", False),
    ("job_name=night", True), ("job_name=other", False), ("job=nightly", True), ("job=no-such", False),
    ("tag=billing", True), ("tag=other", False), ("search=timed out", True), ("search=api.test", True),
    ("search=zebra", False), ("sort=duration", True), ("last_only=true", True),
    ("status=failed&trigger=retry", False),
)  # fmt: skip


def test_executions_are_filtered_as_the_api_filters_them(member: Client, make_job: MakeJob) -> None:
    row = make_job(name="Nightly", slug="nightly", tags=["billing"], request={"url": "http://api.test/"})
    execution = execution_of(row, status="failed", failure_reason="timeout", error="timed out after 30 s")
    for query, found in EXECUTIONS_BY:
        assert (str(execution.pk) in shown_rows(text_of(member, f"{EXECUTIONS}?{query}"))) is found, query


RUNS_BY = (
    ("status=failed", True), ("status=succeeded", False), ("trigger=manual", True), ("trigger=retry", False),
    ("environment=production", True), ("environment=nowhere", False), ("failure_reason=timeout", True),
    ("failure_reason=dns_error", False), ("since=1h", True), ("from=2020-01-01T00:00", True),
    ("to=2020-01-01T00:00", False), ("job=nightly", True), ("job=no-such", False), ("from=0001-01-01T00:00", True),
    ("to=9999-12-31T23:59:59", True), ("last_only=true", True),
)  # fmt: skip


def test_runs_are_filtered(member: Client, make_job: MakeJob) -> None:
    run = run_of(execution_of(make_job(slug="nightly")), status="failed", failure_reason="timeout")
    for query, found in RUNS_BY:
        assert (str(run.pk) in shown_rows(text_of(member, f"{RUNS}?{query}"))) is found, query


def test_an_id_of_any_kind_leads_to_its_execution(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    execution, other = execution_of(row), execution_of(make_job(slug="other"))
    run = run_of(execution)
    for key in (execution.pk, run.pk, row.job_id):
        rows = shown_rows(text_of(member, f"{EXECUTIONS}?search={key}"))
        assert str(execution.pk) in rows
        assert str(other.pk) not in rows
    assert not shown_rows(text_of(member, f"{EXECUTIONS}?search={uuid.uuid4()}"))
    assert shown_rows(text_of(member, f"{RUNS}?execution={execution.pk}")) == [str(run.pk)]
    assert not shown_rows(text_of(member, f"{RUNS}?execution={other.pk}"))


def test_a_retried_attempt_counts_as_a_retry(member: Client, make_job: MakeJob) -> None:
    execution = execution_of(make_job())
    first, second = run_of(execution), run_of(execution, number=2)
    assert shown_rows(text_of(member, f"{RUNS}?trigger=retry")) == [str(second.pk)]
    assert shown_rows(text_of(member, f"{RUNS}?trigger=manual")) == [str(first.pk)]


@pytest.mark.parametrize("path", [EXECUTIONS, RUNS, JOBS])
def test_an_invalid_filter_is_reported_and_matches_nothing(member: Client, make_job: MakeJob, path: str) -> None:
    run_of(execution_of(make_job()))
    for query in ("status=nonsense", "from=soon", "bogus=1", "cursor=xyz", "limit=0", "from=a&from=b", "tag=%00"):
        page = text_of(member, f"{path}?{query}")
        assert "hh-error" in page or 'role="alert"' in page, query
        assert not shown_rows(page), query


@pytest.mark.parametrize("sort", ["", "?sort=duration"])
def test_pages_of_executions_reach_every_row_in_both_directions(member: Client, make_job: MakeJob, sort: str) -> None:
    row, now = make_job(), timezone.now()
    for number in range(115):
        execution_of(row, created_at=now - datetime.timedelta(seconds=number // 3))
    rows = rows_of_all_pages(member, EXECUTIONS + sort)
    assert sorted(rows) == sorted(str(key) for key in Execution.objects.values_list("pk", flat=True))
    second = text_of(member, EXECUTIONS + (link(text_of(member, EXECUTIONS + sort), "next") or ""))
    assert shown_rows(text_of(member, EXECUTIONS + (link(second, "prev") or ""))) == rows[:50]


def test_pages_of_runs_reach_every_row_with_any_filter(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    runs = [run_of(execution_of(row), status="failed" if number % 2 else "succeeded") for number in range(115)]
    newest_first = [str(run.pk) for run in runs[::-1]]
    assert rows_of_all_pages(member, RUNS) == newest_first
    assert rows_of_all_pages(member, f"{RUNS}?status=failed") == newest_first[1::2]


def test_the_url_contains_the_chosen_filters_only(member: Client, make_job: MakeJob) -> None:
    execution_of(make_job(), status="failed", failure_reason="timeout")
    asked: Any = member.get(EXECUTIONS, {"status": "failed", "job": "", "trigger": "", "failure_reason": "timeout"})
    assert asked.headers["Location"] == "?status=failed&failure_reason=timeout"
    page = text_of(member, EXECUTIONS + asked.headers["Location"])
    assert '<option value="timeout" selected>' in page
    assert '<input type="hidden" name="status" value="failed">' in page
    assert 'href="?status=failed"' in page  # without the reason


def test_the_next_page_keeps_the_filters(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    for _ in range(55):
        execution_of(row, status="failed", failure_reason="timeout")
    following = link(text_of(member, f"{EXECUTIONS}?status=failed&trigger=manual"), "next")
    assert following is not None
    assert "status=failed&trigger=manual" in following
    page = text_of(member, EXECUTIONS + following)
    assert len(shown_rows(page)) == 5
    assert "cursor" not in re.findall(r'<input type="hidden" name="(\w+)"', page)


def test_a_list_takes_the_same_queries_at_any_length(member: Client, make_job: MakeJob) -> None:
    addresses = [
        *(EXECUTIONS + query for query in ("", "?environment=production", "?search=job", "?job=job")),
        *(RUNS + query for query in ("", "?environment=production", "?job=job")),
        *(JOBS + query for query in ("", "?environment=production", "?search=job")),
    ]
    run_of(execution_of(make_job(slug="job", name="job")))

    def queries(url: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            text_of(member, url)
        return len(captured)

    text_of(member, JOBS)
    few = {url: queries(url) for url in addresses}
    for number in range(12):
        run_of(execution_of(make_job(slug=f"job-{number}", name="job"), status="failed", error="job"))
    assert {url: queries(url) for url in addresses} == few
    assert max(few.values()) <= 13


def test_rows_of_a_purged_job_are_hidden(member: Client, make_job: MakeJob) -> None:
    kept, gone = run_of(execution_of(make_job())), run_of(execution_of(make_job(slug="gone")))
    Job.objects.filter(pk=gone.job_id).update(deleted_at=EPOCH, purged_at=EPOCH)
    assert shown_rows(text_of(member, RUNS)) == [str(kept.pk)]
    assert shown_rows(text_of(member, EXECUTIONS)) == [str(kept.execution_id)]
    for key in (gone.pk, gone.execution_id, gone.job_id):
        assert not shown_rows(text_of(member, f"{EXECUTIONS}?search={key}")), key
    for name in ("change", "edit"):
        assert member.get(reverse(f"admin:runs_execution_{name}", args=[gone.execution_id])).status_code == 404


# -- several workspaces -----------------------------------------------------------------------------------------------


def other_workspace(slug: str) -> JobEnvironment:
    workspace = create_workspace(slug=slug, name=slug.title())
    config = job_config(name=f"Job of {slug}")
    job = save_job(workspace=workspace, job=None, slug=None, config=config, environments=None, now=EPOCH, actor=SYSTEM)
    return JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)


def test_rows_of_several_workspaces_are_in_one_list_by_time(make_job: MakeJob, workspace: Workspace) -> None:
    root = signed_in(person("root", workspace=workspace, superuser=True))
    now = timezone.now()
    rows = [make_job(), other_workspace("beta"), other_workspace("gamma")]
    made = [
        execution_of(
            rows[number % 3],
            created_at=now - datetime.timedelta(minutes=number),
            status="failed",
            error="x",
            failure_reason="timeout",
        )
        for number in range(9)
    ]
    runs = [run_of(execution) for execution in made[::-1]][::-1]
    for query in ("", "?status=failed", "?search=x", "?sort=duration"):
        found = shown_rows(text_of(root, EXECUTIONS + query))
        assert sorted(found) == sorted(str(one.pk) for one in made)
    assert shown_rows(text_of(root, EXECUTIONS)) == [str(one.pk) for one in made]
    assert shown_rows(text_of(root, RUNS)) == [str(one.pk) for one in runs]
    page = text_of(root, f"{EXECUTIONS}?workspace=beta")
    assert len(shown_rows(page)) == 3
    assert "Beta" in page
    assert len(shown_rows(text_of(root, f"{RUNS}?workspace=beta"))) == 3
    assert len(shown_rows(text_of(root, f"{JOBS}?workspace=beta"))) == 1
    assert not shown_rows(text_of(root, f"{EXECUTIONS}?workspace=none"))


def test_with_very_many_workspaces_one_must_be_chosen(
    make_job: MakeJob, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.base.listing.MOST_WORKSPACES", 2)
    root = signed_in(person("root", workspace=workspace, superuser=True))
    for row in (make_job(), other_workspace("beta"), other_workspace("gamma")):
        execution_of(row)
    page = text_of(root, EXECUTIONS)
    assert len(shown_rows(page)) == 1
    assert "Choose one of your 3 workspaces" in page
    assert len(shown_rows(text_of(root, f"{EXECUTIONS}?workspace=gamma"))) == 1


# -- jobs -------------------------------------------------------------------------------------------------------------


JOBS_BY = (
    ("schedule_type=recurring", True), ("schedule_type=manual", False), ("state=enabled", True),
    ("state=paused", False), ("state=disabled", False), ("state=failing", False), ("tag=billing", True),
    ("tag=other", False), ("search=api.test", True), ("search=zebra", False), ("environment=production", True),
    ("environment=nowhere", False), ("sort=name", True), ("sort=next_fire_at", True), ("enabled=false", False),
)  # fmt: skip


def test_jobs_are_filtered(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *", tags=["billing"], request={"url": "http://api.test/"})
    for query, found in JOBS_BY:
        assert (str(row.job_id) in shown_rows(text_of(member, f"{JOBS}?{query}"))) is found, query


def test_pages_of_jobs_reach_every_job(member: Client, make_job: MakeJob) -> None:
    for number in range(105):
        make_job(slug=f"job-{number}", name=f"Same {number % 4}")
    everyone = sorted(str(key) for key in Job.objects.values_list("pk", flat=True))
    for query in ("", "?sort=name", "?sort=next_fire_at"):
        assert sorted(rows_of_all_pages(member, JOBS + query)) == everyone


def test_jobs_are_suggested_while_typing(member: Client, make_job: MakeJob) -> None:
    for number in range(30):
        make_job(slug=f"report-{number}", name=f"Report <{number}>")
    make_job(slug="ping", name="Ping")
    offered = text_of(member, reverse("admin:jobs_job_suggest") + "?job=REPORT")
    assert offered.count("<option") == 20
    assert "Report &lt;" in offered
    assert "Ping" not in offered
    assert text_of(member, reverse("admin:jobs_job_suggest") + "?job=pin").strip() == (
        '<option value="ping">Ping</option>'
    )


# -- many jobs at once ------------------------------------------------------------------------------------------------


def job_action(client: Client, name: str, *job_ids: Any, **fields: Any) -> Any:
    return admin_action(client, "jobs_job", name, job_ids, **fields)


def confirm(client: Client, page: Any, **fields: str) -> Any:
    """Press the button of a confirmation."""
    form = page.content.decode().partition('<form class="hh-card')[2].partition("</form>")[0]
    target = html.unescape(re.findall(r'action="([^"]+)"', form)[0])
    hidden: dict[str, list[str]] = {}
    for field, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form):
        hidden.setdefault(field, []).append(html.unescape(value))
    return client.post(target, {**hidden, **fields})


def messages_of(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_selected_jobs_are_paused_after_a_confirmation_that_lists_them(member: Client, make_job: MakeJob) -> None:
    rows = [make_job(slug=f"job-{number}", name=f"Job {number}", schedule="0 2 * * *") for number in range(3)]
    page = job_action(member, "pause", rows[0].job_id, rows[1].job_id, query="?state=enabled")
    text = page.content.decode()
    assert "Pause 2 jobs?" in text
    assert "Job 0" in text
    assert "Job 2" not in text
    assert not JobEnvironment.objects.exclude(paused_at=None).exists()
    answer = confirm(member, page, note="Moving", until="", environment="")
    assert "Paused 2 jobs." in messages_of(answer)
    assert answer.headers["Location"] == f"{JOBS}?state=enabled"
    paused = JobEnvironment.objects.exclude(paused_at=None)
    assert {row.pk for row in paused} == {rows[0].pk, rows[1].pk}
    assert {row.pause_note for row in paused} == {"Moving"}
    assert AuditEntry.objects.filter(action="job.paused").count() == 2
    confirm(member, job_action(member, "resume", rows[0].job_id))
    assert JobEnvironment.objects.exclude(paused_at=None).get().pk == rows[1].pk


def test_jobs_are_enabled_and_disabled_in_the_chosen_environments(
    member: Client, make_job: MakeJob, workspace: Workspace
) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    row = make_job(schedule="0 2 * * *")
    JobEnvironment.objects.create(workspace=workspace, job=row.job, environment=staging, enabled=False)
    states = JobEnvironment.objects.order_by("environment__slug").values_list("environment__slug", "enabled")
    confirm(member, job_action(member, "enable", row.job_id), environment="staging")
    assert dict(states.all()) == {"production": True, "staging": True}
    confirm(member, job_action(member, "disable", row.job_id), environment="production")
    assert dict(states.all()) == {"production": False, "staging": True}
    confirm(member, job_action(member, "disable", row.job_id), environment="")
    assert dict(states.all()) == {"production": False, "staging": False}
    row.refresh_from_db()
    assert row.next_fire_at is None
    assert row.job.versions.count() == 1


def test_refused_jobs_are_reported_and_the_others_changed(member: Client, make_job: MakeJob) -> None:
    good = make_job(slug="good", schedule="0 2 * * *")
    bad = make_job(slug="bad", name="Bad", schedule="0 2 * * *")
    JobEnvironment.objects.update(enabled=False, next_fire_at=None)
    version = JobVersion.objects.get(job=bad.job)
    version.config["retry"]["policy"] = "gone"
    version.save()
    answer = confirm(member, job_action(member, "enable", good.job_id, bad.job_id))
    assert "Enabled 1 job." in messages_of(answer)
    assert "Bad: There is no retry policy gone." in messages_of(answer)
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.enabled, bad.enabled) == (True, False)


def test_jobs_are_deleted_together_and_their_history_stays(member: Client, make_job: MakeJob) -> None:
    rows = [make_job(slug=f"job-{number}") for number in range(3)]
    execution = execution_of(rows[0], status="pending")
    answer = confirm(member, job_action(member, "delete", *(row.job_id for row in rows[:2])))
    assert "Deleted 2 jobs." in messages_of(answer)
    assert [job.pk for job in Job.objects.live()] == [rows[2].job_id]
    execution.refresh_from_db()
    assert execution.status == "canceled"


def test_select_all_matching_covers_every_page(
    member: Client, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        row = make_job(slug=f"job-{number}", tags=["many"])
    make_job(slug="other")
    page = job_action(member, "disable", row.job_id, select_across="1", query="?tag=many")
    assert "Disable 60 jobs?" in page.content.decode()
    monkeypatch.setattr("dashboard.jobs.bulk_actions.MOST", 10)
    page = job_action(member, "disable", row.job_id, select_across="1", query="?tag=many")
    assert "These are the first 10 by name" in page.content.decode()
    answer = confirm(member, page)
    assert answer.headers["Location"] == f"{JOBS}?tag=many"
    assert JobEnvironment.objects.filter(enabled=False).count() == 10


def test_an_invalid_filter_selects_no_job(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    answer = job_action(member, "delete", row.job_id, select_across="1", query="?state=sideways")
    assert "No job is selected." in messages_of(answer)


def test_the_list_has_a_box_for_each_row_and_a_button_for_each_action(member: Client, make_job: MakeJob) -> None:
    row = make_job(name="Nightly")
    text = text_of(member, JOBS)
    assert re.search(rf'name="_selected_action" value="{row.job_id}"[^>]* aria-label="Select Nightly"', text)
    actions = re.findall(r'name="action" value="(\w+)_selected"', text)
    assert actions == ["pause", "resume", "enable", "disable", "delete"]
    assert re.findall(r'name="index" value="(\d)"', text) == ["0", "1", "2", "3", "4"]
    assert "Select all matching" in text


def test_an_empty_or_invalid_selection_does_nothing(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    assert "Items must be selected" in messages_of(job_action(member, "pause"))
    assert "No action selected" in messages_of(job_action(member, "explode", row.job_id))
    assert job_action(member, "pause", "no-uuid").status_code == 404
    wrong = job_action(member, "pause", row.job_id, confirmed=True, until="2020-01-01T00:00")
    assert "in the future" in messages_of(wrong)
    assert Job.objects.live().exists()
    assert not JobEnvironment.objects.exclude(paused_at=None).exists()
    assert not Run.objects.exists()
