"""The start page: problems and remedies, with a constant number of queries, by permission."""

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
from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from jobs.services.save import save_job
from runs import restore_guard
from runs.models import Callback
from runs.monitoring import heartbeats
from tests.support.admin_rows import HOSTILE, execution_of, person, run_of, signed_in
from tests.support.callback_rows import make_callback
from tests.support.jobs import EPOCH, MakeJob, job_config

pytestmark = pytest.mark.django_db
PARTS = (
    "headline", "waiting", "tiles", "problems", "failures", "executions", "duration", "lateness", "in-progress",
    "system", "upcoming", "calendar",
)  # fmt: skip


@pytest.fixture
def owner(workspace: Workspace) -> Client:
    return signed_in(person("olga", workspace=workspace, role="owner", superuser=True))


def page_of(client: Client, query: str = "") -> str:
    answer = client.get(reverse("admin:index") + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def part_of(client: Client, name: str, query: str = "") -> str:
    page = client.get(reverse("overview-parts") + query).content.decode()
    return str(page.partition(f'id="part-{name}"')[2].partition("</section>")[0])


def alive(*, beats: int = 1, workers: int = 1, in_flight: int = 3, draining: bool = False) -> None:
    with connection.cursor() as cursor:
        for n in range(beats):
            news = heartbeats.BeatReport(tick_ms=2.5, sends_chores=n == 0)
            heartbeats.report(cursor, heartbeats.Process(f"b{n}", "beat", f"beat@host{n}"), news)
        for n in range(workers):
            busy = heartbeats.WorkerReport(in_flight=in_flight, waiting=0, capacity=1000, draining=draining)
            heartbeats.report(cursor, heartbeats.Process(f"w{n}", "worker", f"worker@host{n}"), busy)


def outcomes(row: JobEnvironment, pattern: str) -> None:
    """Create an execution for each letter, the oldest first: `s` succeeded, `f` failed."""
    now = timezone.now()
    for place, letter in enumerate(pattern):
        at = now - datetime.timedelta(minutes=len(pattern) - place)
        status = "failed" if letter == "f" else "succeeded"
        execution_of(row, status=status, created_at=at, started_at=at, finished_at=at + datetime.timedelta(seconds=1))


def test_the_refreshed_parts_are_those_of_the_page(owner: Client, make_job: MakeJob) -> None:
    make_job()
    page, parts = page_of(owner), owner.get(reverse("overview-parts")).content.decode()
    for name in PARTS:
        assert page.count(f'id="part-{name}"') == parts.count(f'id="part-{name}"') == 1
    assert "<html" not in parts
    assert "<script" not in parts
    assert " style=" not in parts


def test_parts_need_a_signed_in_get_request(owner: Client) -> None:
    assert Client().get(reverse("overview-parts")).status_code == 302
    assert owner.post(reverse("overview-parts")).status_code == 405
    assert "no-store" in owner.get(reverse("overview-parts")).headers["Cache-Control"]


@pytest.mark.parametrize(("span", "bars"), [("1h", 60), ("24h", 96), ("7d", 168), ("30d", 120)])
def test_the_time_range_can_be_chosen(owner: Client, make_job: MakeJob, span: str, bars: int) -> None:
    execution_of(make_job())
    chart = part_of(owner, "executions", f"?span={span}")
    assert chart.count("hh-hit") in (bars, bars + 1)  # Whole buckets; the last one has just begun.
    assert "Succeeded</a> <strong>1</strong>" in chart
    assert f'href="?span={span}" aria-current="page"' in page_of(owner, f"?span={span}")


def test_a_bar_and_a_day_link_to_their_executions(owner: Client, make_job: MakeJob) -> None:
    row = make_job()
    failed, succeeded = execution_of(row, status="failed"), execution_of(row)
    for part, at in (("executions", 0), ("calendar", 1)):
        links = re.findall(r'<td><a class="hh-link" href="([^"]+)">1</a></td>', part_of(owner, part))
        assert len(links) == 2
        pages = [owner.get(html.unescape(link)).content.decode() for link in links]
        assert [str(failed.pk) in page for page in pages] == [at == 0, at == 1]
        assert [str(succeeded.pk) in page for page in pages] == [at == 1, at == 0]


def test_an_unknown_time_range_is_the_last_day(owner: Client) -> None:
    assert 'href="?span=24h" aria-current="page"' in page_of(owner, "?span=%27%22%3E")


def test_the_figures_count_ended_executions(owner: Client, make_job: MakeJob) -> None:
    row, now = make_job(), timezone.now()
    for n, milliseconds in enumerate((100, 100, 100, 900)):
        at = now - datetime.timedelta(minutes=3)
        execution_of(
            row, status="failed" if n == 3 else "succeeded", trigger="schedule",
            scheduled_for=at - datetime.timedelta(seconds=n), created_at=at, started_at=at,
            finished_at=at + datetime.timedelta(milliseconds=milliseconds),
        )  # fmt: skip
    tiles = part_of(owner, "tiles")
    assert "75 %" in tiles
    assert "1 of 4 failed" in tiles
    assert "p99 <strong>9" in part_of(owner, "duration")
    assert "p50 <strong>9" in part_of(owner, "lateness") or "p50 <strong>1" in part_of(owner, "lateness")


@pytest.mark.parametrize(
    ("house", "told"),
    [
        ({"beats": 0}, "No beat is running: nothing fires."),
        ({"workers": 0}, "No worker is running: nothing is delivered."),
        ({"draining": True}, "All workers are draining"),
        ({}, "All systems normal."),
    ],
)
def test_the_headline_reports_the_system_first(owner: Client, house: Any, told: str) -> None:
    alive(**house)
    assert told in part_of(owner, "headline")


def test_a_restored_database_is_reported_before_all_else(owner: Client) -> None:
    with connection.cursor() as cursor:
        restore_guard.mark(cursor)
        cursor.execute("UPDATE runs_databasemark SET transaction = '0'")
    assert "restored from a dump: nothing fires." in part_of(owner, "headline")


def test_the_headline_reports_backlog_and_late_jobs(owner: Client, make_job: MakeJob) -> None:
    alive()
    row = make_job(schedule={"every_seconds": 86_400}, now=timezone.now())
    execution_of(row, status="pending")
    assert "have waited 2 min" in part_of(owner, "headline")
    assert "1</strong>" in part_of(owner, "tiles")
    JobEnvironment.objects.filter(pk=row.pk).update(next_fire_at=timezone.now() - datetime.timedelta(minutes=5))
    assert "The clock is 5 min behind." in part_of(owner, "headline")
    assert "Late" in part_of(owner, "problems")
    assert "not fired yet" in part_of(owner, "problems")


def test_a_failing_job_links_to_its_latest_failure(owner: Client, make_job: MakeJob) -> None:
    row = make_job(name="Broken thing")
    failed = execution_of(row, status="failed", error="HTTP 503")
    JobEnvironment.objects.filter(pk=row.pk).update(consecutive_failures=4)
    trouble = part_of(owner, "problems")
    assert "4 in a row" in trouble
    assert f'href="{reverse("admin:runs_execution_change", args=[failed.pk])}"' in trouble
    assert "1 of its latest 1 executions failed" in trouble
    assert "HTTP 503" in part_of(owner, "failures")


@pytest.mark.parametrize(
    ("pattern", "flaps"), [("sfsfsfsf", True), ("ssssffff", False), ("sssssssf", False), ("fsfsf" + "s" * 20, False)]
)
def test_a_job_that_alternates_between_success_and_failure_is_flapping(
    owner: Client, make_job: MakeJob, pattern: str, flaps: bool
) -> None:
    outcomes(make_job(name="By turns"), pattern)
    assert ("Flapping" in part_of(owner, "problems")) is flaps


def test_a_job_whose_callbacks_fail_links_to_the_latest(owner: Client, make_job: MakeJob) -> None:
    row = make_job(name="Silent thing")
    for _ in range(2):
        callback = make_callback(execution_of(row, status="succeeded"))
    trouble = part_of(owner, "problems")
    assert "Callbacks failed" in trouble
    assert f'href="{reverse("admin:runs_execution_change", args=[callback.execution_id])}"' in trouble
    assert "1 job has" in part_of(owner, "headline") or "No beat" in part_of(owner, "headline")
    Callback.objects.update(status="delivered")
    assert "Callbacks failed" not in part_of(owner, "problems")


def test_a_paused_job_can_be_resumed_from_the_overview(owner: Client, make_job: MakeJob) -> None:
    row = make_job(name="Paused thing")
    JobEnvironment.objects.filter(pk=row.pk).update(paused_at=timezone.now(), pause_note=HOSTILE)
    trouble = part_of(owner, "problems")
    url = reverse("admin:jobs_job_resume", args=[row.job_id])
    assert f'method="post" action="{url}"' in trouble
    assert "csrfmiddlewaretoken" in trouble
    assert owner.post(url, {"environment": "production"}).status_code == 302
    assert "Paused thing" not in part_of(owner, "problems")


def test_a_viewer_sees_no_forbidden_button(workspace: Workspace, make_job: MakeJob) -> None:
    row = make_job()
    JobEnvironment.objects.filter(pk=row.pk).update(paused_at=timezone.now())
    trouble = part_of(signed_in(person("vera", workspace=workspace, role="viewer")), "problems")
    assert "Paused" in trouble
    assert "<form" not in trouble


def test_the_next_hour_has_every_firing(owner: Client, make_job: MakeJob) -> None:
    now = timezone.now()
    make_job(name="Often", slug="often", schedule="*/10 * * * *", now=now)
    make_job(name="Tomorrow", slug="tomorrow", schedule={"every_seconds": 86_400}, now=now)
    ahead = part_of(owner, "upcoming")
    assert "Firings of the next hour: 6 from" in ahead
    assert ahead.count(">Often</a>") == 6
    assert "Tomorrow" not in ahead


def test_without_a_firing_within_the_hour_the_next_one_is_named(owner: Client, make_job: MakeJob) -> None:
    make_job(name="Tomorrow", schedule={"every_seconds": 86_400}, now=timezone.now())
    assert ">Tomorrow</a>" in part_of(owner, "upcoming")
    assert "Firings of the next hour: 0 from" in part_of(owner, "upcoming")


def test_only_a_superuser_sees_each_process(owner: Client, workspace: Workspace) -> None:
    alive(beats=2, workers=3, in_flight=7)
    seen = part_of(owner, "system")
    assert "beat@host1" in seen
    assert "7 of 1000 in flight" in seen
    other = part_of(signed_in(person("mara", workspace=workspace)), "system")
    assert "3 running" in other
    assert "host" not in other.replace("the house", "")
    assert "in flight" not in other


def test_a_silent_process_is_shown_until_replaced(owner: Client) -> None:
    alive(beats=1, workers=1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_heartbeat SET seen_at = now() - interval '2 minutes' WHERE kind = 'worker'")
        assert "No heartbeat" in part_of(owner, "system")
        news = heartbeats.WorkerReport(in_flight=0, waiting=0, capacity=1, draining=False)
        heartbeats.report(cursor, heartbeats.Process("again", "worker", "worker@host0"), news)
    assert "No heartbeat" not in part_of(owner, "system")


def test_external_texts_are_escaped(owner: Client, make_job: MakeJob) -> None:
    row = make_job(name=HOSTILE, schedule="* * * * *", now=timezone.now())
    run_of(execution_of(row, status="failed", error=HOSTILE))
    execution_of(row, status="running")
    JobEnvironment.objects.filter(pk=row.pk).update(
        consecutive_failures=2, paused_at=timezone.now(), pause_note=HOSTILE
    )
    page = page_of(owner)
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert") >= 6  # trouble, its note, the failure, its error, going on, due next


def test_a_member_sees_nothing_of_another_workspace(workspace: Workspace, make_job: MakeJob) -> None:
    mine = make_job(name="My own job", schedule="* * * * *", now=timezone.now())
    execution_of(mine, status="failed")
    theirs = _their_job()
    outcomes(theirs, "sfsfsfsfsf")
    execution_of(theirs, status="running")
    execution_of(theirs, status="pending")
    JobEnvironment.objects.filter(pk=theirs.pk).update(consecutive_failures=9, paused_at=timezone.now())
    for name in ("mara", "olga"):
        client = signed_in(person(name, workspace=workspace, role="owner" if name == "olga" else "member"))
        for page in (page_of(client), client.get(reverse("overview-parts") + "?span=1h").content.decode()):
            assert "My own job" in page
            assert "Their secret job" not in page
            assert "Theirs" not in page
        assert "0 running, 0 pending" in part_of(client, "in-progress")
        assert "1 of 1 failed" in part_of(client, "tiles")
        assert "0 of 0 failed" not in part_of(client, "calendar")
        assert "1 of 1 executions failed" in part_of(client, "calendar")
    both = signed_in(person("sue", superuser=True))
    assert "Their secret job" in page_of(both)
    assert "Theirs" in page_of(both)


def _their_job() -> JobEnvironment:
    workspace = create_workspace(slug="theirs", name="Theirs")
    config = job_config(name="Their secret job", schedule="* * * * *")
    job = save_job(workspace=workspace, job=None, slug=None, config=config, environments=None, now=EPOCH, actor=SYSTEM)
    return JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)


def test_it_takes_the_same_queries_at_any_size(owner: Client, make_job: MakeJob) -> None:
    alive()
    few = _queries(owner)
    rows = [make_job(name=f"Job {n}", slug=f"job-{n}", schedule="*/5 * * * *", now=timezone.now()) for n in range(12)]
    for n, row in enumerate(rows):
        outcomes(row, "sfsfsfsf")
        execution_of(row, status="running" if n % 2 else "pending")
    JobEnvironment.objects.filter(pk__in=[row.pk for row in rows[:4]]).update(consecutive_failures=3)
    JobEnvironment.objects.filter(pk__in=[row.pk for row in rows[4:6]]).update(paused_at=timezone.now())
    alive(beats=4, workers=5)
    page_of(owner)  # Reads the schedules of new versions, once.
    # Queries for objects that do not exist are not made; the others are the same.
    assert few <= _queries(owner) <= 24
    assert _queries(owner) == _queries(owner, "?span=30d")


def _queries(client: Client, query: str = "") -> int:
    client.get(reverse("admin:index") + query)
    with CaptureQueriesContext(connection) as captured:
        page_of(client, query)
    return len(captured)
