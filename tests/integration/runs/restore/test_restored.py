"""A database restored from a backup: nothing fires before its release, and nothing is repeated afterwards."""

import contextlib
import datetime
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.actors import SYSTEM
from jobs.definition.callback import default_callback
from jobs.services.save import pause, save_job
from ops.embedded.postgres import postgres_binary
from ops.management.commands import restored
from runs import restore_guard
from runs.clock.fire import fire_due
from runs.executions import services
from runs.executions.bulk import start_selected
from runs.ledger.read import account_of
from runs.models import BulkOperation, Callback, Execution, Run
from runs.monitoring import heartbeats
from runs.restore import release
from runs.states import BulkKind, BulkState
from tests.support.jobs import EPOCH, MakeJob, job_config
from workers.beat.clock import MAX_SLEEP_SECONDS, Clock
from workers.connections import Link
from workers.worker.claim import Claimer

MINUTE = datetime.timedelta(minutes=1)
NOW = EPOCH + datetime.timedelta(days=3, seconds=30)


def claimed(*, limit: int = 10) -> list[str]:
    """Return a worker's claims."""
    link = Link("test")
    try:
        claimer = Claimer(owner="worker@here/1", lease_seconds=60, user_agent="Hourhand/test")
        return [item.attempt.execution_id for item in claimer.claim_any(link, limit=limit)]
    finally:
        link.close()


def mark_as_restored() -> None:
    """Make the row look restored: it is not of the transaction that it names."""
    with connection.cursor() as cursor:
        restore_guard.mark(cursor)
        cursor.execute("UPDATE runs_databasemark SET transaction = '0'")


def recorded() -> list[tuple[str, int]]:
    rows = Execution.objects.order_by("scheduled_for", "pk")
    return [(row.skip_reason or row.status, row.occurrences) for row in rows]


def asked(*words: str) -> str:
    out = StringIO()
    call_command(restored.Command(), *words, stdout=out)
    return out.getvalue()


def doctors_finding(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with contextlib.suppress(SystemExit):
        call_command("doctor", "--json")
    found = json.loads(capsys.readouterr().out)["findings"]
    return next(one for one in found if one["name"] == "restored")


class TestHeld:
    @pytest.fixture(autouse=True)
    def a_copy(self, transactional_db: None) -> None:
        mark_as_restored()

    def test_the_clock_fires_nothing_and_checks_again(self, make_job: MakeJob):
        make_job(schedule={"every_seconds": 60})
        assert Clock(lease_seconds=60, user_agent="Hourhand/test").tick() == MAX_SLEEP_SECONDS
        assert not Execution.objects.exists()

    @pytest.mark.parametrize("limits", [{}, {"concurrency": 1}])
    def test_workers_claim_nothing_until_it_is_released(self, make_job: MakeJob, limits: dict[str, Any]):
        place = make_job(**limits)
        key = str(services.run_now(job_environment=place, now=release.database_now(), actor=SYSTEM).pk)
        claimer, link = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test"), Link("test")
        claims = [
            lambda: claimer.claim(link, [key], limit=1),
            lambda: claimer.claim_any(link, limit=1),
            lambda: claimer.claim_of_job(link, str(place.job_id), limit=1)[0],
        ]
        assert [claim() for claim in claims] == [[], [], []]
        release.resume()
        assert [one.attempt.execution_id for claim in claims for one in claim()] == [key]
        link.close()

    def test_the_command_changes_nothing_without_an_option(self, make_job: MakeJob):
        make_job(schedule={"every_seconds": 60})
        said = asked()
        assert "restored from a dump" in said
        assert "jobs with occurrences due since: 1" in said
        assert release.is_copy()

    def test_doctor_and_metrics_say_so(self, client: Client, capsys: pytest.CaptureFixture[str]):
        assert "\nhourhand_held 1.0\n" in client.get("/metrics").content.decode()
        assert doctors_finding(capsys)["verdict"] == "problem"
        release.resume()
        assert "\nhourhand_held 0.0\n" in client.get("/metrics").content.decode()
        assert doctors_finding(capsys)["verdict"] == "ok"

    def test_a_move_continues_by_each_jobs_misfire_policy(self, make_job: MakeJob):
        make_job(schedule={"every_seconds": 60}, misfire="fire_once")
        asked("--moved")
        Clock(lease_seconds=60, user_agent="Hourhand/test").tick()
        assert [reason for reason, _ in recorded()] == ["missed", "pending"]

    def test_keep_live_requires_release(self):
        with pytest.raises(CommandError, match="--release"):
            asked("--keep-live")


class TestRelease:
    @pytest.fixture(autouse=True)
    def real_commits(self, transactional_db: None) -> None:
        """A mark is of a transaction."""

    @pytest.mark.parametrize("misfire", ["fire_once", "fire_all", "skip"])
    def test_occurrences_due_since_are_one_missed_row(self, make_job: MakeJob, misfire: str):
        place = make_job(schedule={"every_seconds": 60}, misfire=misfire, misfire_grace_seconds=86400)
        fire_due(EPOCH + MINUTE)
        done = release.bring_back(NOW, keep_live=True)
        assert recorded() == [("pending", 1), ("missed", 3 * 24 * 60 - 1)]
        assert (done.due_jobs, done.missed) == (1, 3 * 24 * 60 - 1)
        fire_due(EPOCH + datetime.timedelta(days=3) + MINUTE)
        assert recorded()[-1] == ("pending", 1)
        place.refresh_from_db()
        ledger = account_of(place, start=EPOCH, end=NOW, now=NOW).ledger
        assert ledger.differences == ()

    def test_an_occurrence_due_this_second_is_missed_too(self, make_job: MakeJob):
        make_job(schedule={"every_seconds": 60})
        release.bring_back(EPOCH + MINUTE, keep_live=False)
        assert recorded() == [("missed", 1)]

    def test_a_paused_job_stays_paused(self, make_job: MakeJob):
        place = make_job(schedule={"every_seconds": 3600})
        pause(job_environments=[place], until=EPOCH + 90 * MINUTE, note="", now=EPOCH, actor=SYSTEM)
        release.bring_back(EPOCH + 150 * MINUTE, keep_live=False)
        assert recorded() == [("paused", 1), ("missed", 1)]

    def test_occurrences_due_before_an_edit_are_missed_too(self, make_job: MakeJob):
        place = make_job(schedule={"every_seconds": 60}, misfire="fire_all")
        config = job_config(schedule={"every_seconds": 3600}, misfire="fire_all")
        save_job(
            workspace=place.workspace, job=place.job, slug=None, config=config, environments=None,
            now=EPOCH + 1.5 * MINUTE, actor=SYSTEM,
        )  # fmt: skip
        release.bring_back(EPOCH + 2 * MINUTE, keep_live=False)
        assert recorded() == [("missed", 1)]

    def test_a_one_off_due_since_is_missed_and_completed(self, make_job: MakeJob):
        place = make_job(schedule=(EPOCH + MINUTE).isoformat())
        release.bring_back(NOW, keep_live=False)
        place.refresh_from_db()
        assert recorded() == [("missed", 1)]
        assert not place.enabled

    @pytest.mark.parametrize("keep_live", [False, True])
    def test_pending_callbacks_are_given_up_unless_live_work_goes_on(self, make_job: MakeJob, keep_live: bool):
        place = make_job(callback=default_callback("https://example.com/"))
        now = release.database_now()
        services.run_now(job_environment=place, now=now, actor=SYSTEM)
        ended = services.run_now(job_environment=place, now=now, actor=SYSTEM)
        services.cancel(workspace=ended.workspace, execution_id=ended.pk, now=now, actor=SYSTEM)
        release.bring_back(now, keep_live=keep_live)
        expected = [("pending", "")] if keep_live else [("failed", release.UNSENT)] * 2
        assert list(Callback.objects.values_list("status", "last_error")) == expected

    def test_live_executions_are_canceled_with_a_reason(self, make_job: MakeJob):
        place = make_job()
        now = release.database_now()
        running = services.run_now(job_environment=place, now=now, actor=SYSTEM)
        assert claimed() == [str(running.pk)]
        pending = services.run_now(job_environment=place, now=now, actor=SYSTEM)
        later = services.run_now(job_environment=place, now=now, delay_seconds=3600, actor=SYSTEM)
        done = release.bring_back(release.database_now(), keep_live=False)
        assert (done.live, done.planned) == (2, 1)
        for execution in (running, pending):
            execution.refresh_from_db()
            assert (execution.status, execution.error) == ("canceled", release.UNKNOWN)
        assert Run.objects.get().error == release.UNKNOWN
        later.refresh_from_db()
        assert later.status == "pending"

    def test_live_executions_continue_with_keep_live(self, make_job: MakeJob):
        execution = services.run_now(job_environment=make_job(), now=release.database_now(), actor=SYSTEM)
        assert asked("--release", "--keep-live").count("which continue") == 2
        assert claimed() == [str(execution.pk)]

    def test_bulk_operations_are_canceled_and_sessions_end(self, make_job: MakeJob):
        place = make_job()
        execution = services.run_now(job_environment=place, now=EPOCH, actor=SYSTEM)
        services.cancel(workspace=place.workspace, execution_id=execution.pk, now=EPOCH, actor=SYSTEM)
        start_selected(
            workspace=place.workspace, executions=Execution.objects.all(), kind=BulkKind.REPLAY, now=EPOCH, actor=SYSTEM
        )
        Session.objects.create(session_key="k", session_data="", expire_date=NOW)
        done = release.bring_back(NOW, keep_live=False)
        assert (done.bulk_operations, done.sessions) == (1, 1)
        assert BulkOperation.objects.get().state == BulkState.CANCELED
        assert not Session.objects.exists()

    def test_release_is_refused_for_a_running_installation_that_is_not_held(self, make_job: MakeJob):
        release.resume()
        make_job(schedule={"every_seconds": 60})
        with connection.cursor() as cursor:
            beat = heartbeats.Process.beat()
            heartbeats.report(cursor, beat, heartbeats.BeatReport(tick_ms=1, sends_chores=True))
        with pytest.raises(CommandError, match=beat.name):
            asked("--release")
        assert recorded() == []


class TestDatabaseMark:
    """Which copies are noticed, with PostgreSQL's own programs."""

    @pytest.fixture
    def copied(self, transactional_db: None) -> Iterator[str]:
        """An empty database beside the tests' own."""
        release.resume()
        name = f"{connection.settings_dict['NAME']}_copied"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        yield name
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, program: str, *words: str) -> None:
        host, user = connection.settings_dict["HOST"], connection.settings_dict["USER"]
        command = [postgres_binary(program), "--host", host, "--username", user, *words]
        subprocess.run(command, check=True, capture_output=True)

    def is_copy(self, name: str) -> bool:
        with closing(psycopg2.connect(**{**connection.get_connection_params(), "dbname": name})) as link:
            return restore_guard.is_copy(link.cursor())

    def test_a_restored_dump_is_held(self, copied: str, tmp_path: Path):
        dump = tmp_path / "dump"
        self.run("pg_dump", "--format=custom", "--file", str(dump), connection.settings_dict["NAME"])
        self.run("createdb", copied)
        self.run("pg_restore", "--exit-on-error", "--no-owner", "--dbname", copied, str(dump))
        assert self.is_copy(copied)
        assert not release.is_copy()

    def test_vacuum_does_not_hold_a_database(self, transactional_db: None):
        release.resume()
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (FREEZE, FULL) runs_databasemark")
            assert not restore_guard.is_copy(cursor)
            cursor.execute("DELETE FROM runs_databasemark")
            assert not restore_guard.is_copy(cursor)
            restore_guard.mark(cursor)
