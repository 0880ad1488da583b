"""The reaper must not reap a worker that could not renew its leases because of the database or a lock."""

import datetime
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from runs.attempts.reaping import require_renewable
from runs.executions import services
from runs.models import Execution
from workers.beat import clock
from workers.beat.clock import Clock

pytestmark = pytest.mark.django_db(transaction=True)
MakeJob = Callable[..., JobEnvironment]
#: The shortest heartbeat period that a clock of a tenth of a second can distinguish from none.
LEASE_SECONDS = 3


@pytest.fixture
def expired(make_job: MakeJob) -> Execution:
    """An execution in flight whose lease expired an instant ago."""
    execution = services.run_now(job_environment=make_job(), now=timezone.now(), actor=SYSTEM)
    now = timezone.now()
    Execution.objects.update(
        status="running", attempts=1, lease_owner="worker/1/a", lease_expires_at=now - datetime.timedelta(seconds=1),
        started_at=now, next_attempt_at=now - datetime.timedelta(seconds=10),
    )  # fmt: skip
    return execution


def reaped(execution: Execution) -> bool:
    execution.refresh_from_db()
    return execution.status != "running"


@pytest.fixture
def locker() -> Iterator[Callable[[str], None]]:
    """Locks a table on a connection of its own, until the end of the test."""
    parameters = connection.get_connection_params()
    link = psycopg2.connect(
        **{name: parameters[name] for name in ("dbname", "user", "host", "port") if name in parameters}
    )

    def lock(statement: str) -> None:
        with link.cursor() as cursor:
            cursor.execute(statement)

    yield lock
    link.close()


@pytest.mark.parametrize("table", ["runs_execution", "runs_run", "jobs_jobenvironment"])
@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE"])
def test_a_lock_that_blocks_recording_blocks_the_reaper(locker: Callable[[str], None], table: str, mode: str):
    """A worker's thread renews leases between recordings: while a recording waits, none is renewed."""
    locker(f"LOCK TABLE {table} IN {mode} MODE")
    with pytest.raises(OperationalError, match="could not obtain lock"):
        require_renewable()
    locker("ROLLBACK")
    require_renewable()


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"])
def test_reads_writes_and_vacuum_block_nothing(locker: Callable[[str], None], mode: str):
    locker(f"LOCK TABLE runs_execution, runs_run, jobs_jobenvironment IN {mode} MODE")
    require_renewable()


def test_leases_that_expired_while_runs_were_locked_are_not_reaped(
    expired: Execution, trusting: Clock, locker: Callable[[str], None]
):
    locker("LOCK TABLE runs_run IN SHARE MODE")
    with pytest.raises(OperationalError):
        trusting.tick()
    trusting.distrust_leases()  # As beat does for any error.
    locker("ROLLBACK")
    trusting.tick()
    assert not reaped(expired)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that sweeps at each tick and has trusted the leases for a while."""
    monkeypatch.setattr(clock, "seconds_since_database_start", lambda: 3600.0)
    made = Clock(lease_seconds=LEASE_SECONDS, user_agent="test")
    made._trusted_from = made._sweep_seconds = 0.0
    return made


def test_a_punctual_clock_reaps(expired: Execution, trusting: Clock):
    trusting.tick()
    assert reaped(expired)


@pytest.mark.parametrize("place", ["read_due_state", "requeue_lost", "release_forgotten"])
def test_a_tick_that_had_to_wait_reaps_nothing(
    expired: Execution, trusting: Clock, monkeypatch: pytest.MonkeyPatch, place: str
):
    """Like a locked table: the workers had to wait too, and continue at this moment."""
    once = [LEASE_SECONDS / 3 + 0.2]
    inner = getattr(clock, place)

    def waits(*arguments: object) -> object:
        time.sleep(once.pop() if once else 0)
        return inner(*arguments)

    monkeypatch.setattr(clock, place, waits)
    trusting.tick()
    assert not reaped(expired)
    trusting.tick()
    assert not reaped(expired), "a heartbeat period is not over"


def test_after_an_outage_every_living_worker_has_time_to_renew(expired: Execution, trusting: Clock):
    """The first sweep may have failed just before the end of the outage."""
    trusting.distrust_leases()
    begun = time.monotonic()
    while not reaped(expired):
        assert time.monotonic() - begun < 30, "never reaped"
        trusting.tick()
        time.sleep(0.1)
    assert time.monotonic() - begun >= 2 * LEASE_SECONDS / 3


@pytest.mark.parametrize(("up_for", "reaps"), [(1.5, False), (2.5, True)])
def test_a_database_that_has_just_started_is_an_outage(
    expired: Execution, trusting: Clock, monkeypatch: pytest.MonkeyPatch, up_for: float, reaps: bool
):
    monkeypatch.setattr(clock, "seconds_since_database_start", lambda: up_for)
    trusting.tick()
    assert reaped(expired) == reaps
