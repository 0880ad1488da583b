"""The ledger over real rows and over the API: occurrences, their outcomes, and explanations."""

import datetime

import pytest
from django.db import connection

from accounts.actors import SYSTEM
from accounts.models import Environment
from jobs.models import JobEnvironment, JobVersion
from jobs.services.save import EnvironmentChange, delete_job, pause, resume, save_job
from runs import overlap
from runs.clock import fire, reconcile
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.executions.services import run_now
from runs.ledger import read
from runs.ledger.explain import explain
from runs.ledger.read import account_of
from runs.models import Execution
from runs.retention.nightly import begin_round, continue_round
from runs.retention.prune import Turn
from tests.support.api_caller import Caller, caller
from tests.support.jobs import EPOCH, MakeJob, job_config

MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = {"every_seconds": 60}


def at(minute: float) -> datetime.datetime:
    return EPOCH + minute * MINUTE


def wire_time(minute: float) -> str:
    return at(minute).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def api(workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def row(make_job: MakeJob) -> JobEnvironment:
    """A job with a history: fired, paused for a while, edited, disabled."""
    row = make_job(schedule=EVERY_MINUTE, slug="eventful")
    for minute in (1, 2):
        fire_due(at(minute))
    pause(job_environments=[row], until=None, note="audit", now=at(2.5), actor=SYSTEM)
    resume(job_environments=[row], now=at(5.5), actor=SYSTEM)
    settle_due(at(5.5))
    fire_due(at(8.5))
    save(row, at(9.5), schedule={"every_seconds": 120})
    settle_due(at(9.6))
    fire_due(at(10))
    save(row, at(10.5), enabled=False, schedule={"every_seconds": 120})
    return row


def save(row: JobEnvironment, now: datetime.datetime, *, enabled: bool = True, **changes) -> None:
    save_job(
        workspace=row.job.workspace, job=row.job, slug=None, config=job_config(**changes),
        environments=[EnvironmentChange(row.environment, enabled=enabled)], now=now, actor=SYSTEM,
    )  # fmt: skip


def pruned(row: JobEnvironment, *, keep_last: int) -> None:
    """Run a night's retention on this job."""
    version = JobVersion.objects.filter(job=row.job).latest("number")
    version.config["retention"] = {"keep_last": keep_last, "keep_days": None}
    version.save()
    begin_round(at(60))
    assert continue_round(Turn(60, sleep=lambda _: None), at(60))


class TestLedger:
    def test_ignores_pruned_occurrences(self, api: Caller, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, slug="fresh")
        for minute in range(1, 11):
            fire_due(at(minute))
        Execution.objects.update(status="succeeded", finished_at=at(11), next_attempt_at=None)
        Execution.objects.filter(scheduled_for=at(3)).update(status="failed", failure_reason="timeout")
        before = api.ask("GET", f"/jobs/fresh/ledger/?from={wire_time(0)}&to={wire_time(10.5)}", expect=200)
        assert (before["planned"], before["fired"], before["history_from"]) == (10, 10, None)
        pruned(row, keep_last=4)
        assert Execution.objects.count() == 5
        found = api.ask("GET", f"/jobs/fresh/ledger/?from={wire_time(0)}&to={wire_time(10.5)}", expect=200)
        assert (found["planned"], found["fired"], found["differences"]) == (4, 4, [])
        assert found["history_from"] == found["from"] == wire_time(6)
        whole = api.ask("GET", f"/jobs/fresh/ledger/?from={wire_time(0)}&to={wire_time(5)}", expect=200)
        assert (whole["planned"], whole["from"], whole["differences"]) == (0, wire_time(5), [])

    def test_of_a_pruned_instant_says_so_unless_its_row_remains(self, api: Caller, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, slug="fresh")
        for minute in range(1, 11):
            fire_due(at(minute))
        Execution.objects.update(status="succeeded", finished_at=at(11), next_attempt_at=None)
        Execution.objects.filter(scheduled_for=at(3)).update(status="failed", failure_reason="timeout")
        pruned(row, keep_last=4)

        def verdict(minute: float) -> str:
            return api.ask("GET", f"/jobs/fresh/ledger/at/?at={wire_time(minute)}", expect=200)["verdict"]

        assert [verdict(minute) for minute in (2, 3, 6, 7, 7.5, 10)] == [
            "pruned", "fired", "pruned", "fired", "not_planned", "fired",
        ]  # fmt: skip

    def test_of_ranges_begins_after_the_last_pruned_one(self, api: Caller, row):
        Execution.objects.filter(finished_at=None).update(status="succeeded", finished_at=at(11), next_attempt_at=None)
        pruned(row, keep_last=3)
        found = api.ask("GET", f"/jobs/eventful/ledger/?from={wire_time(0)}&to={wire_time(60)}", expect=200)
        assert found["differences"] == []
        assert 0 < found["planned"] < 10

    def test_reconciles_an_ordinary_history(self, api: Caller, row):
        found = api.ask("GET", f"/jobs/eventful/ledger/?from={wire_time(0)}&to={wire_time(60)}", expect=200)
        assert found["differences"] == []
        assert (found["planned"], found["fired"], found["due"]) == (10, 5, 0)
        assert found["skipped"] == {"missed": 2, "paused": 3}
        assert [period["state"] for period in found["periods"]] == [
            "active", "paused", "active", "active", "disabled",
        ]  # fmt: skip
        assert found["periods"][1]["note"] == "audit"
        assert [period["job_version"] for period in found["periods"]] == [1, 1, 1, 2, 2]

    def test_covers_the_last_day_by_default(self, api: Caller, make_job: MakeJob):
        make_job(schedule="0 12 * * *", slug="daily")
        found = api.ask("GET", "/jobs/daily/ledger/", expect=200)
        assert (found["planned"], found["environment"]) == (1, "production")

    def test_begins_with_the_job(self, api: Caller, row):
        found = api.ask("GET", f"/jobs/eventful/ledger/?from=2020-01-01T00:00:00Z&to={wire_time(2.5)}", expect=200)
        assert (found["from"], found["planned"]) == (wire_time(0), 2)

    def test_reports_due_and_lost_occurrences(self, api: Caller, row, make_job: MakeJob):
        job = make_job(schedule=EVERY_MINUTE, slug="fresh")
        fire_due(at(1))
        fire_due(at(2))
        Execution.objects.filter(job=job.job, scheduled_for=at(1)).delete()
        found = api.ask("GET", f"/jobs/fresh/ledger/?from={wire_time(0)}&to={wire_time(5)}", expect=200)
        assert (found["planned"], found["fired"], found["due"]) == (4, 1, 2)
        assert [(one["kind"], one["scheduled_for"]) for one in found["differences"]] == [("lost", wire_time(1))]

    def test_leaves_manual_and_delayed_executions_out(self, api: Caller, make_job: MakeJob):
        job = make_job(schedule=EVERY_MINUTE, slug="fresh")
        fire_due(at(1))
        run_now(job_environment=job, now=at(1), delay_seconds=7, actor=SYSTEM)
        found = api.ask("GET", f"/jobs/fresh/ledger/?from={wire_time(0)}&to={wire_time(1.5)}", expect=200)
        assert (found["planned"], found["fired"], found["differences"]) == (1, 1, [])

    def test_remains_for_a_deleted_job(self, api: Caller, row):
        delete_job(job=row.job, now=at(20), actor=SYSTEM)
        found = api.ask("GET", f"/jobs/eventful/ledger/?from={wire_time(0)}&to={wire_time(60)}", expect=200)
        assert (found["planned"], found["periods"][-1]["state"]) == (10, "ended")

    def test_refuses_invalid_queries(self, api: Caller, make_job: MakeJob):
        make_job(schedule={"every_seconds": 1}, slug="busy")
        assert api.refused("GET", f"/jobs/busy/ledger/?from={wire_time(0)}&to={wire_time(200)}") == {"from": "too_many"}
        assert api.refused("GET", f"/jobs/busy/ledger/?from={wire_time(5)}&to={wire_time(5)}") == {"from": "invalid"}
        assert api.refused("GET", "/jobs/busy/ledger/at/?at=yesterday") == {"at": "invalid"}
        assert api.refused("GET", "/jobs/busy/ledger/?since=now") == {"since": "unknown_parameter"}
        api.refused("GET", "/jobs/nobody/ledger/", expect=404)

    def test_is_shown_only_to_permitted_callers(self, workspace, make_job: MakeJob):
        staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        make_job(schedule=EVERY_MINUTE, slug="fresh")
        caller(workspace, environments=[staging]).refused("GET", "/jobs/fresh/ledger/", expect=404)
        caller(workspace, scopes=["jobs:read"]).refused("GET", "/jobs/fresh/ledger/", expect=403)

    def test_requires_the_environment_if_ambiguous(self, workspace, api: Caller, make_job: MakeJob):
        staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        job = make_job(schedule=EVERY_MINUTE, slug="fresh")
        both = [EnvironmentChange(job.environment, enabled=True), EnvironmentChange(staging, enabled=True)]
        save_job(
            workspace=workspace, job=job.job, slug=None, config=job.job.current_version.config, environments=both,
            now=at(1), actor=SYSTEM,
        )  # fmt: skip
        assert api.refused("GET", "/jobs/fresh/ledger/", expect=409) == {"environment": "environment_ambiguous"}
        assert api.ask("GET", "/jobs/fresh/ledger/?environment=staging", expect=200)["environment"] == "staging"


class TestExplanation:
    @pytest.mark.parametrize(
        ("minute", "verdict", "words"),
        [
            (-5, "not_yet", "did not exist yet"),
            (0.5, "not_planned", "no occurrence in that second"),
            (1, "fired", "waits for a worker"),
            (4, "skipped", "paused at 2026-03-01 12:02:30 UTC (audit)"),
            (6, "skipped", "one of 2 in a row"),
            (8, "fired", "waits for a worker"),
            (30, "disabled", "since 2026-03-01 12:10:30"),
        ],
    )
    def test_answers_for_any_time(self, api: Caller, row, minute, verdict, words):
        found = api.ask("GET", f"/jobs/eventful/ledger/at/?at={wire_time(minute)}", expect=200)
        assert found["verdict"] == verdict
        assert words in found["detail"]
        assert (found["execution"] is not None) == (verdict in {"fired", "skipped"})

    def test_names_the_occurrences_around_an_instant_without_one(self, api: Caller, row):
        found = api.ask("GET", f"/jobs/eventful/ledger/at/?at={wire_time(1.5)}", expect=200)
        assert (found["previous"], found["next"]) == (wire_time(1), wire_time(2))

    def test_explains_due_and_future_occurrences(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        found = explain(row, at=at(1), now=at(1) + MINUTE / 12)
        assert (found.verdict, "late by 5 s" in found.detail) == ("due", True)
        assert explain(row, at=at(1), now=at(0.5)).verdict == "to_come"

    def test_explains_a_current_pause(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=None, note="audit", now=at(0.5), actor=SYSTEM)
        found = explain(row, at=at(3), now=at(5))
        assert (found.verdict, "(audit)" in found.detail, found.execution) == ("skipped", True, None)

    def test_explains_lateness_beyond_jitter(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, jitter_seconds=30)
        fire_due(at(1))
        execution = Execution.objects.get()
        Execution.objects.update(started_at=execution.next_attempt_at + MINUTE / 60)
        assert explain(row, at=at(1), now=at(2)).lateness_ms == 1000

    def test_explains_manual_completed_and_deleted_jobs(self, make_job: MakeJob):
        manual = make_job()
        assert explain(manual, at=at(1), now=at(5)).verdict == "manual"
        once = make_job(schedule=at(1).isoformat())
        fire_due(at(1))
        assert explain(once, at=at(1), now=at(5)).verdict == "fired"
        assert explain(once, at=at(3), now=at(5)).verdict == "ended"
        delete_job(job=once.job, now=at(4), actor=SYSTEM)
        once = JobEnvironment.objects.select_related("job").get(pk=once.pk)
        assert explain(once, at=at(5), now=at(5)).verdict == "deleted"

    def test_explains_a_nonexistent_local_time(self, make_job: MakeJob):
        row = make_job(schedule="30 2 * * *", timezone="Europe/Berlin", dst_gap="skip")
        jump = datetime.datetime(2026, 3, 29, 1, 0, tzinfo=datetime.UTC)
        JobEnvironment.objects.filter(pk=row.pk).update(next_fire_at=jump)
        fire_due(jump)
        found = explain(row, at=jump, now=jump)
        assert (found.verdict, found.execution.skip_reason) == ("skipped", "dst_gap")

    def test_reports_a_lost_occurrence(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        fire_due(at(1))
        Execution.objects.all().delete()
        assert explain(row, at=at(1), now=at(2)).verdict == "lost"


ROW_ID = "00000000-0000-7000-8000-000000000000"


@pytest.mark.usefixtures("fresh_tables")
@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (fire._DUE, [EPOCH, [ROW_ID], 1000], "job_environment_due"),
        (overlap._LIVE_EXECUTIONS, [[ROW_ID]], "execution_overlap"),
        (overlap._RELEASE, [[ROW_ID]], "execution_queued_unique"),
        (overlap._RELEASE, [[ROW_ID]], "execution_overlap"),
        (overlap._FORGOTTEN, [10], "execution_queued_unique"),
        ("SELECT min(until_at) FROM jobs_scheduleperiod WHERE unsettled_from IS NOT NULL", [], "period_unsettled"),
    ],
)
def test_the_clocks_statements_use_their_indexes(make_job: MakeJob, statement, parameters, index):
    make_job(schedule=EVERY_MINUTE, overlap="queue")
    fire_due(at(1))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {statement}", parameters)
        assert index in "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.usefixtures("fresh_tables")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (lambda row: reconcile.unsettled(EPOCH)[:1000], "period_unsettled"),
        (lambda row: read.period_rows([row.pk], start=EPOCH, end=at(60)), "period_start_unique"),
        (
            lambda row: read.entry_rows([row.pk], start=EPOCH, end=at(60)),
            "execution_occurrence_unique",
        ),
        (
            lambda row: read.earlier_rows([row.pk], start=EPOCH),
            "execution_occurrence_unique",
        ),
    ],
)
def test_the_ledgers_queries_use_their_indexes(make_job: MakeJob, query, index):
    row = make_job(schedule=EVERY_MINUTE)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    assert index in query(row).explain()


def test_a_ledger_takes_the_same_few_queries_however_long_it_is(make_job: MakeJob, django_assert_max_num_queries):
    row = make_job(schedule=EVERY_MINUTE, misfire="fire_all")
    fire_due(at(90))
    with django_assert_max_num_queries(5):
        account = account_of(row, start=EPOCH, end=at(90), now=at(90))
    assert (account.ledger.planned, account.ledger.fired) == (89, 60)
