"""A database that refuses counts as away: results wait. Only data that can't be stored is dropped."""

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import psycopg2
import pytest
from django.db import DatabaseError, OperationalError, connection, connections

from accounts.actors import SYSTEM
from core.sqlstates import ends_connection, is_about_data, is_passing
from runs.attempts.reaping import require_renewable
from runs.executions import services
from runs.models import Execution, Run
from tests.support.api_caller import caller
from tests.support.engine import LOOPBACK_ALLOWED, eventually
from tests.support.jobs import MakeJob
from tests.support.receiver import Receiver, receiving
from workers.beat.clock import Clock
from workers.beat.scheduler import FiringScheduler
from workers.connections import DatabaseAwayError, Link, connect
from workers.worker.service import DeliveryService

pytestmark = pytest.mark.django_db(transaction=True)

#: Refusals that are not about the data, by the condition's name in PostgreSQL's appendix A.
REFUSALS = {
    "disk_full": "53100",
    "out_of_memory": "53200",
    "too_many_connections": "53300",
    "read_only_sql_transaction": "25006",
    "lock_not_available": "55P03",
    "query_canceled": "57014",
    "admin_shutdown": "57P01",
    "deadlock_detected": "40P01",
    "serialization_failure": "40001",
    "undefined_column": "42703",
    "undefined_table": "42P01",
    "insufficient_privilege": "42501",
    "io_error": "58030",
    "data_corrupted": "XX001",
    "raise_exception": "P0001",
}
UNSTORABLE = {
    "string_data_right_truncation": "22001",
    "character_not_in_repertoire": "22021",
    "numeric_value_out_of_range": "22003",
    "check_violation": "23514",
    "not_null_violation": "23502",
    "unique_violation": "23505",
}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def refuse() -> Iterator[Callable[[str, str], None]]:
    """Let PostgreSQL refuse rows of runs with a SQLSTATE, under a condition; an empty one ends that."""

    def refuse(state: str, condition: str = "true") -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER IF EXISTS refusing ON runs_run")
            if state:
                cursor.execute(
                    "CREATE OR REPLACE FUNCTION refuse_runs() RETURNS trigger LANGUAGE plpgsql AS "
                    f"$$ BEGIN IF {condition} THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END IF; "
                    "RETURN NEW; END $$"
                )
                cursor.execute(
                    "CREATE TRIGGER refusing BEFORE INSERT ON runs_run FOR EACH ROW EXECUTE FUNCTION refuse_runs()"
                )

    yield refuse
    refuse("")
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS refuse_runs()")


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def service() -> Iterator[DeliveryService]:
    made = DeliveryService(
        name="worker@test",
        owner="worker@test/1",
        policy=LOOPBACK_ALLOWED,
        max_in_flight=50,
        max_per_host=50,
        max_per_workspace=50,
        lease_seconds=60,
        user_agent="Hourhand/test",
    )
    made.start()
    yield made
    made.stop(grace_seconds=1)


def ask(make_job: MakeJob, target: Receiver, service: DeliveryService, count: int) -> list[str]:
    row = make_job(request={"url": target.url("/")})
    ids = [str(services.run_now(job_environment=row, now=now(), actor=SYSTEM).pk) for _ in range(count)]
    service.submit(ids)
    return ids


@pytest.mark.parametrize("state", REFUSALS.values(), ids=REFUSALS)
def test_results_wait_for_a_refusing_database(make_job, refuse, target, service, state) -> None:
    refuse(state)
    ask(make_job, target, service, 5)
    eventually(lambda: len(target.exchanges) == 5)
    time.sleep(0.3)
    assert not Run.objects.exists()
    assert set(Execution.objects.values_list("status", flat=True)) == {"running"}
    refuse("")
    eventually(lambda: Run.objects.count() == 5, seconds=15)
    assert set(Run.objects.values_list("status", "response_status", "response_body")) == {("succeeded", 200, "ok")}
    assert len(target.exchanges) == 5


@pytest.mark.parametrize("state", UNSTORABLE.values(), ids=UNSTORABLE)
def test_only_an_unstorable_row_loses_its_exchange(make_job, refuse, target, service, state) -> None:
    row = make_job(request={"url": target.url("/")})
    ids = [str(services.run_now(job_environment=row, now=now(), actor=SYSTEM).pk) for _ in range(5)]
    refuse(state, f"NEW.execution_id = '{ids[2]}' AND NEW.response_status IS NOT NULL")
    service.submit(ids)
    eventually(lambda: Run.objects.count() == 5, seconds=15)
    odd = Run.objects.get(execution=ids[2])
    assert (odd.failure_reason, odd.response_status, odd.error) == (
        "unknown",
        None,
        "The exchange could not be stored.",
    )
    others = Run.objects.exclude(pk=odd.pk)
    assert set(others.values_list("status", "response_body")) == {("succeeded", "ok")}


def test_a_read_only_database_loses_no_result(make_job, service) -> None:
    """As after a failover: every connection is new, and leads to a read-only server."""
    name, release = connection.settings_dict["NAME"], threading.Event()
    with receiving(lambda exchange: (release.wait(20), exchange.answer())) as target, connection.cursor() as cursor:
        ask(make_job, target, service, 20)
        eventually(lambda: len(target.exchanges) == 20, seconds=15)
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        try:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'hourhand %'"
            )
            release.set()
            time.sleep(1.0)
            assert not Run.objects.exists()
        finally:
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        eventually(lambda: Run.objects.filter(status="succeeded", response_body="ok").count() == 20, seconds=15)
        assert len(target.exchanges) == 20


def test_a_temporarily_missing_column_loses_no_result(make_job, target, service) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE runs_run RENAME COLUMN http_version TO http_version_of_the_next_release")
        try:
            ask(make_job, target, service, 5)
            eventually(lambda: len(target.exchanges) == 5, seconds=15)
            time.sleep(0.5)
        finally:
            cursor.execute("ALTER TABLE runs_run RENAME COLUMN http_version_of_the_next_release TO http_version")
    eventually(lambda: Run.objects.filter(http_version="1.1").count() == 5, seconds=15)
    assert len(target.exchanges) == 5


# -- what errors mean --------------------------------------------------------------------------------------------------


def error_of(state: str) -> psycopg2.Error:
    """Return PostgreSQL's error for a SQLSTATE."""
    with connections["default"].cursor() as cursor, pytest.raises(DatabaseError) as caught:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{state}'; END $$")
    assert isinstance(caught.value.__cause__, psycopg2.Error)
    return caught.value.__cause__


@pytest.mark.parametrize("state", [*REFUSALS.values(), *UNSTORABLE.values()])
def test_errors_are_classified_by_sqlstate(state: str) -> None:
    error = error_of(state)
    assert is_about_data(error) == (state in UNSTORABLE.values())
    assert ends_connection(error) == (state in {"25006", "57P01"})
    assert is_passing(error) == (state in REFUSALS.values() and state not in {"42501", "P0001"})


@pytest.mark.parametrize("error", [ValueError("a NUL"), psycopg2.ProgrammingError("can't adapt type 'set'")])
def test_an_error_before_sending_is_about_the_data(error: Exception) -> None:
    assert is_about_data(error)
    assert not ends_connection(error)


@pytest.mark.parametrize("kind", [psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError])
def test_an_error_without_a_sqlstate_is_about_the_connection(kind: type[psycopg2.Error]) -> None:
    assert not is_about_data(kind("server closed the connection unexpectedly"))
    assert ends_connection(kind("server closed the connection unexpectedly"))


def test_a_link_keeps_a_usable_connection() -> None:
    link = Link("test")
    with link.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (before,) = cursor.fetchone()
    with pytest.raises(DatabaseAwayError), link.transaction() as cursor:
        cursor.execute("SELECT nothing_of_that_name FROM runs_run")
    with link.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() == (before,)
    link.close()


def test_the_api_answers_503_for_a_refusing_database(workspace, make_job) -> None:
    make_job(slug="nightly")
    api = caller(workspace)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            answer = api.generic("POST", "/api/v1/jobs/nightly/run/", b"{}", content_type="application/json")
        finally:
            cursor.execute("SET default_transaction_read_only = off")
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "database_unavailable", "5")


# -- leases ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked() -> Iterator[Callable[[str], psycopg2.extensions.connection]]:
    """Another session that locks the executions in a mode, until its connection is closed."""
    opened: list[psycopg2.extensions.connection] = []

    def lock(mode: str) -> psycopg2.extensions.connection:
        opened.append(connect("locker"))
        opened[-1].cursor().execute(f"LOCK TABLE runs_execution IN {mode} MODE")
        return opened[-1]

    yield lock
    for session in opened:
        session.close()


@pytest.mark.parametrize("mode", ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])
def test_the_reaper_refuses_while_no_lease_can_be_renewed(locked, mode: str) -> None:
    locked(mode)
    with pytest.raises(DatabaseError):
        require_renewable()


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"])
def test_locks_that_do_not_block_renewals_do_not_block_the_reaper(locked, mode: str) -> None:
    locked(mode)
    require_renewable()


def test_a_read_only_database_blocks_the_reaper() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            with pytest.raises(DatabaseError):
                require_renewable()
        finally:
            cursor.execute("SET default_transaction_read_only = off")


def test_after_a_long_lock_workers_have_time_to_renew(make_job, locked) -> None:
    """The reaper sees the expired lease as soon as the worker can renew it again, and waits."""
    row = make_job(request={"url": "http://127.0.0.1:9/"})
    execution = services.run_now(job_environment=row, now=now(), actor=SYSTEM)
    Execution.objects.filter(pk=execution.pk).update(
        status="running",
        lease_owner="w",
        attempts=1,
        started_at=now(),
        lease_expires_at=now() - datetime.timedelta(seconds=1),
    )
    clock = Clock(lease_seconds=3, user_agent="Hourhand/test")
    clock._trusted_from = 0.0
    other = locked("SHARE")
    with pytest.raises(DatabaseError):
        clock.tick()
    clock.distrust_leases()  # As beat does for such an error.
    other.rollback()
    clock._sweep_at = 0.0
    clock.tick()
    execution.refresh_from_db()
    assert execution.status == "running"
    clock._trusted_from = clock._sweep_at = 0.0
    clock.tick()
    execution.refresh_from_db()
    assert execution.attempts == 1
    assert execution.status != "running"
    clock.stop()


def test_a_tick_that_waited_for_a_lock_reaps_nothing(make_job, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lease_seconds=3, user_agent="Hourhand/test")
    clock._trusted_from = 0.0
    reaped = threading.Event()
    monkeypatch.setattr("workers.beat.clock.reap_expired", lambda **_: reaped.set())
    monkeypatch.setattr("workers.beat.clock.release_forgotten", lambda: time.sleep(1.1))
    clock.tick()
    assert not reaped.is_set()
    clock.stop()


def test_a_beat_starts_without_the_database_and_loads_its_tasks_later(monkeypatch: pytest.MonkeyPatch) -> None:
    from scheduler_project.celery import app

    asked: list[bool] = []

    def refused_once(_: FiringScheduler) -> None:
        asked.append(True)
        if len(asked) == 1:
            raise OperationalError("FATAL:  remaining connection slots are reserved")

    monkeypatch.setattr(FiringScheduler, "setup_schedule", refused_once)
    monkeypatch.setattr("workers.beat.scheduler.own_agreement", lambda **_: SimpleNamespace(allowed=True))
    beat = FiringScheduler(app=app)
    assert asked == []
    with pytest.raises(OperationalError):
        beat._send_maintenance()
    for _ in range(2):
        beat._send_maintenance()
    assert len(asked) == 2
