"""The dashboard's pages show their content, with a constant number of queries, and escape external text."""

import datetime
import html
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Environment, Workspace
from jobs.models import JobEnvironment
from runs.clock.fire import fire_due
from tests.support.admin_rows import HOSTILE, execution_of, person, run_of, signed_in
from tests.support.dashboard_pages import queries_of, text_of
from tests.support.jobs import EPOCH, MakeJob

pytestmark = pytest.mark.django_db
LISTS = (
    "jobs_job", "runs_execution", "runs_run", "accounts_workspace", "accounts_environment", "accounts_membership",
    "accounts_apikey", "jobs_retrypolicy", "auth_user", "auth_group", "django_celery_beat_periodictask",
)  # fmt: skip


@pytest.fixture
def owner(workspace: Workspace) -> Client:
    return signed_in(person("olga", workspace=workspace, role="owner", superuser=True))


def test_a_new_installation_explains_how_to_create_the_first_job(owner: Client) -> None:
    page = text_of(owner, reverse("admin:index"))
    assert "Create your first job" in page
    assert reverse("admin:jobs_job_add") in page
    assert "Create your first job" in text_of(owner, reverse("admin:jobs_job_changelist"))


@pytest.mark.parametrize("name", LISTS)
def test_every_list_renders_empty_and_its_form_opens(owner: Client, name: str) -> None:
    text_of(owner, reverse(f"admin:{name}_changelist"))
    if not name.startswith("runs_"):
        text_of(owner, reverse(f"admin:{name}_add"))


def test_the_start_page_shows_counts_failures_and_trouble(owner: Client, make_job: MakeJob) -> None:
    row = make_job(name="Broken thing", schedule="0 2 * * *")
    execution_of(row, status="failed", failure_reason="timeout", error="timed out after 30 s")
    execution_of(row, status="running")
    JobEnvironment.objects.filter(pk=row.pk).update(consecutive_failures=4)
    page = text_of(owner, reverse("admin:index"))
    assert "timed out after 30 s" in page
    assert "4 in a row" in page
    assert page.count("Broken thing") >= 4  # failed, due next, in trouble, going on


@pytest.mark.parametrize(
    ("name", "most"), [("admin:index", 24), ("admin:jobs_job_changelist", 12), ("admin:runs_execution_changelist", 8)]
)
def test_a_list_costs_the_same_however_long_it_is(owner: Client, make_job: MakeJob, name: str, most: int) -> None:
    rows = [make_job(name="One", slug="one", schedule="0 2 * * *")]
    execution_of(rows[0], status="failed")
    few = queries_of(owner, reverse(name))
    for number in range(8):
        rows.append(make_job(name=f"Job {number}", slug=f"job-{number}", schedule="0 2 * * *"))
        execution_of(rows[-1], status="failed")
    assert queries_of(owner, reverse(name)) == few <= most


def next_page(page: str) -> str:
    """Return the URL of the Next link."""
    link = re.search(r'rel="next" href="([^"]+)"', page)
    assert link is not None
    return html.unescape(link[1])


def test_no_list_counts_rows_and_pages_reach_the_last_row(owner: Client, make_job: MakeJob) -> None:
    row = make_job()
    for number in range(53):
        run_of(execution_of(row))
        make_job(slug=f"other-{number}")
    for name in ("admin:runs_execution_changelist", "admin:runs_run_changelist", "admin:jobs_job_changelist"):
        with CaptureQueriesContext(connection) as captured:
            page = text_of(owner, reverse(name))
        assert not [query for query in captured if "COUNT(" in query["sql"].upper()]
        assert 'rel="prev"' not in page
        last = text_of(owner, reverse(name) + next_page(page))
        assert re.search(r">[34] \w+ on this page<", last)
        assert 'rel="prev"' in last
        assert 'rel="next"' not in last


def test_a_list_of_history_leaves_heavy_columns_out(owner: Client, make_job: MakeJob) -> None:
    run_of(execution_of(make_job()))
    with CaptureQueriesContext(connection) as captured:
        text_of(owner, reverse("admin:runs_execution_changelist"))
        text_of(owner, reverse("admin:runs_run_changelist"))
    sql = " ".join(query["sql"] for query in captured)
    for column in ('"response_body"', '"request_body"', '"input"', '"config",'):
        assert column not in sql


def test_the_page_of_a_job_says_what_it_does_and_when(owner: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *", timezone="Europe/Berlin", request={"url": "https://api.test/report"})
    execution = execution_of(row, status="failed", error="HTTP 503")
    page = text_of(owner, reverse("admin:jobs_job_page", args=[row.job_id]))
    for expected in ("At 02:00 (Europe/Berlin)", "POST https://api.test/report", "02:00:00", "HTTP 503", "Run now"):
        assert expected in page
    assert reverse("admin:runs_execution_change", args=[execution.pk]) in page


def test_the_page_of_an_execution_shows_attempts_phases_and_bodies(owner: Client, make_job: MakeJob) -> None:
    execution = execution_of(
        make_job(), status="failed", failure_reason="http_server_error", error="HTTP 503", attempts=2
    )
    run_of(execution, status="failed", response_status=503, body_truncated=True, body_bytes=900_000)
    run_of(execution, number=2, response_body="/wA=", response_body_encoding="base64")
    page = text_of(owner, reverse("admin:runs_execution_change", args=[execution.pk]))
    for expected in (
        "HTTP 503",
        "the endpoint answered with a 5xx status",
        "attempt 2 of 3",
        "first byte",
        "Truncated",
    ):
        assert expected in page
    assert "shown as base64" in page
    assert "redacted" in page
    # Indented, with every token unchanged.
    assert "&quot;big&quot;: 12345678901234567890.10,\n  &quot;a&quot;: 1,\n  &quot;a&quot;: 2" in page


def test_external_text_is_escaped(owner: Client, make_job: MakeJob) -> None:
    row = make_job(name=HOSTILE, slug="hostile", tags=["<b>tag"], description=HOSTILE, schedule="0 2 * * *")
    execution = execution_of(row, status="failed", error=HOSTILE, input={"a": HOSTILE})
    run = run_of(
        execution, status="failed", error=HOSTILE, request_url=f"http://x/{HOSTILE}", request_body=HOSTILE,
        response_headers={HOSTILE: HOSTILE}, response_body=f'{{"a": "{HOSTILE.replace(chr(34), "")}"}}', worker=HOSTILE,
    )  # fmt: skip
    pages = [
        reverse("admin:index"), reverse("admin:jobs_job_changelist"), reverse("admin:runs_execution_changelist"),
        reverse("admin:runs_run_changelist"), reverse("admin:jobs_job_page", args=[row.job_id]),
        reverse("admin:jobs_job_change", args=[row.job_id]), reverse("admin:jobs_job_delete", args=[row.job_id]),
        reverse("admin:runs_execution_change", args=[execution.pk]), reverse("admin:runs_run_change", args=[run.pk]),
    ]  # fmt: skip
    for url in pages:
        page = text_of(owner, url)
        assert "<script>alert" not in page, url
        assert "<img src=x" not in page, url
        assert "<b>tag" not in page, url


def test_a_job_of_deleted_configuration_keeps_its_history_readable(owner: Client, make_job: MakeJob) -> None:
    row = make_job()
    execution = execution_of(row)
    owner.post(reverse("admin:runs_execution_delete_job", args=[row.job_id]))
    assert "(deleted)" in text_of(owner, reverse("admin:runs_execution_change", args=[execution.pk]))
    assert owner.get(reverse("admin:jobs_job_page", args=[row.job_id])).status_code == 404


def test_an_expired_pause_is_not_shown(owner: Client, make_job: MakeJob) -> None:
    row = make_job(schedule={"every_seconds": 86_400}, now=timezone.now())
    past = timezone.now() - datetime.timedelta(hours=1)
    JobEnvironment.objects.filter(pk=row.pk).update(paused_at=past, paused_until=past)
    assert "production: paused" not in text_of(owner, reverse("admin:jobs_job_page", args=[row.job_id]))
    assert "No job is failing, flapping, late or paused" in text_of(owner, reverse("admin:index"))


def test_a_superuser_sees_several_workspaces_in_one_list(
    owner: Client, make_job: MakeJob, workspace: Workspace
) -> None:
    make_job()
    other = Workspace.objects.create(slug="beta", name="Beta works")
    Environment.objects.create(workspace=other, slug="production", name="Production")
    for name in ("jobs_job", "runs_execution", "runs_run"):
        text_of(owner, reverse(f"admin:{name}_changelist") + "?workspace=beta")
    assert "Acme" in text_of(owner, reverse("admin:jobs_job_changelist"))


def test_the_start_page_covers_all_workspaces_of_a_superuser(owner: Client, make_job: MakeJob) -> None:
    execution_of(make_job(name="Broken thing"), status="failed", error="HTTP 503")
    Workspace.objects.create(slug="beta", name="Beta works")
    page = text_of(owner, reverse("admin:index"))
    assert "Broken thing" in page
    assert "HTTP 503" in page


def test_signing_in_leads_to_the_start_page(client: Client, workspace: Workspace) -> None:
    get_user_model().objects.create_superuser("root", password="a-long-password")
    answer: Any = client.post(reverse("admin:login"), {"username": "root", "password": "a-long-password"})
    assert answer.headers["Location"] == reverse("admin:index")


class TestLedgerCard:
    def page(self, row: JobEnvironment) -> str:
        return reverse("admin:jobs_job_page", args=[row.job_id])

    def test_says_that_everything_reconciles(self, owner: Client, make_job: MakeJob) -> None:
        row = make_job(schedule={"every_seconds": 60}, now=timezone.now() - datetime.timedelta(minutes=3))
        fire_due(timezone.now())
        page = text_of(owner, self.page(row))
        assert "All accounted for" in page
        assert "3 scheduled, 1 fired" in page or "2 scheduled, 1 fired" in page

    def test_shows_what_is_lost(self, owner: Client, make_job: MakeJob) -> None:
        row = make_job(schedule={"every_seconds": 60}, now=timezone.now() - datetime.timedelta(minutes=3))
        fire_due(timezone.now())
        row.executions.all().delete()
        assert "difference" in text_of(owner, self.page(row))

    def test_answers_why(self, owner: Client, make_job: MakeJob) -> None:
        row = make_job(schedule="0 12 * * *", name=HOSTILE)
        fire_due(EPOCH + datetime.timedelta(days=1))
        fired = text_of(owner, f"{self.page(row)}?at=2026-03-02T12:00")
        execution = row.executions.get()
        assert "It fired, and waits for a worker." in fired
        assert reverse("admin:runs_execution_change", args=[execution.pk]) in fired
        assert "has no occurrence in that second" in text_of(owner, f"{self.page(row)}?at=2026-03-02T12:00:01")
        assert "did not exist yet" in text_of(owner, f"{self.page(row)}?at=2020-01-01T00:00")
        assert "Not a valid time" in text_of(owner, f"{self.page(row)}?at={HOSTILE}")
        assert HOSTILE not in fired

    def test_covers_less_time_for_a_job_that_fires_every_second(self, owner: Client, make_job: MakeJob) -> None:
        row = make_job(schedule={"every_seconds": 1}, now=timezone.now() - datetime.timedelta(days=2))
        fire_due(timezone.now())
        assert "Last hour" in text_of(owner, self.page(row))
