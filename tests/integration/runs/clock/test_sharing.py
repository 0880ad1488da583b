"""Settings that all beats and workers share: a differing process takes no work, names the difference, and continues
later.
"""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.actors import SYSTEM
from accounts.encryption import new_encryption_key
from core.version import __version__
from dashboard.base.headline import headline
from ops.doctor import processes as examined
from runs.executions import services
from runs.models import Agreement as Row
from runs.models import Execution
from runs.monitoring import heartbeats
from runs.monitoring.agreement import ENCRYPTION_KEYS, OUTBOUND, RELEASE, SECRET_KEY, SettingsAgreement, Shared, near
from runs.monitoring.system import processes
from tests.support.engine import LOOPBACK_ALLOWED
from tests.support.jobs import MakeJob
from tests.support.processes import eventually
from workers.beat.scheduler import FiringScheduler
from workers.sharing import own_settings
from workers.worker.service import DeliveryService, DrainingError

KEY, OTHER = "k" * 44, "o" * 44


def shared(*, reads: bool = True, **changes: Any) -> Shared:
    values = {"keys": [KEY], "outbound": "public only", "secret_key": "s3cret-key", "release": "1.4.2", **changes}
    return Shared.of(reads=lambda: reads, **values)


def ask(one: SettingsAgreement) -> tuple[str, ...]:
    with connection.cursor() as cursor:
        return one.ask(cursor)


def alive(name: str, *, differs: str = "") -> heartbeats.Process:
    process = heartbeats.Process.worker(name)
    news = heartbeats.WorkerReport(in_flight=0, waiting=0, capacity=10, draining=False)
    with connection.cursor() as cursor:
        heartbeats.report(cursor, process, news, differs=differs, release="1.4.2")
    return process


def gone(process: heartbeats.Process) -> None:
    with connection.cursor() as cursor:
        heartbeats.leave(cursor, process)


@pytest.fixture
def right(db: None) -> heartbeats.Process:
    """A living worker with the installation's settings."""
    process = alive("right@one")
    assert ask(SettingsAgreement(shared(), process_id=process.id)) == ()
    return process


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another key": ({"keys": [OTHER]}, ENCRYPTION_KEYS),
    "one key more": ({"keys": [KEY, OTHER]}, ENCRYPTION_KEYS),
    "no key": ({"keys": []}, ENCRYPTION_KEYS),
    "other outbound rules": ({"outbound": "10.0.0.0/8"}, OUTBOUND),
    "another secret key": ({"secret_key": "s3cret-kez"}, SECRET_KEY),
    "two releases on": ({"release": "1.6.0"}, RELEASE),
    "two releases back": ({"release": "1.2.9"}, RELEASE),
    "another major release": ({"release": "2.4.2"}, RELEASE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_differing_process_takes_no_work_until_the_old_ones_are_gone(change: str, right: heartbeats.Process) -> None:
    changes, name = CHANGES[change]
    other = SettingsAgreement(shared(**changes), process_id="other")
    assert not other.allowed
    assert ask(other) == (name,)
    assert not other.allowed
    alive("waiting@two", differs=name)  # Another waiting process is no reason to wait.
    assert ask(other) == (name,)
    gone(right)
    assert ask(other) == ()
    assert other.allowed
    # Now the earlier one differs, and waits while this one is alive.
    alive("other@two")
    assert ask(SettingsAgreement(shared(), process_id="late")) == (name,)


@pytest.mark.parametrize(
    "same",
    [{}, {"keys": [KEY, KEY]}, {"secret_key": ""}, {"release": "1.4.9"}, {"release": "1.5.0"}, {"release": "1.3.0"}],
)
def test_irrelevant_settings_may_differ(same: dict[str, Any], right: heartbeats.Process) -> None:
    assert ask(SettingsAgreement(shared(**same), process_id="other")) == ()


def test_the_order_of_keys_makes_no_difference(db: None) -> None:
    alive("one@one")
    assert ask(SettingsAgreement(shared(keys=[KEY, OTHER]))) == ()
    assert ask(SettingsAgreement(shared(keys=[OTHER, KEY]))) == ()


def test_the_installation_follows_a_newer_release(right: heartbeats.Process) -> None:
    assert ask(SettingsAgreement(shared(release="1.5.0"))) == ()
    assert ask(SettingsAgreement(shared())) == ()
    assert ask(SettingsAgreement(shared(release="1.6.0"))) == ()
    assert ask(SettingsAgreement(shared())) == (RELEASE,)
    assert near("1.4.0", "1.5.9")
    assert not near("1.9.0", "2.0.0")


def test_keys_that_decrypt_nothing_need_the_command(right: heartbeats.Process, capsys: Any) -> None:
    gone(right)
    wrong = SettingsAgreement(shared(keys=[OTHER], reads=False), process_id="wrong")
    assert ask(wrong) == (ENCRYPTION_KEYS,)
    with connection.cursor() as cursor:
        assert wrong.declare(cursor) == (ENCRYPTION_KEYS,)
    assert ask(wrong) == ()


def test_the_command_makes_this_hosts_settings_effective(right: heartbeats.Process, capsys: Any) -> None:
    call_command("settings_changed")
    assert ENCRYPTION_KEYS in capsys.readouterr().out
    assert ask(SettingsAgreement(own_settings(), process_id="mine")) == ()
    call_command("settings_changed")
    assert "nothing changed" in capsys.readouterr().out


def test_a_fingerprint_is_salted_and_reveals_no_value(right: heartbeats.Process) -> None:
    row = Row.objects.get()
    kept = str(row.fingerprints)
    assert not any(value in kept for value in (KEY, "public only", "s3cret-key"))
    before = row.fingerprints
    row.delete()
    ask(SettingsAgreement(shared()))
    assert all(before[name] != value for name, value in Row.objects.get().fingerprints.items())


def test_doctor_and_start_page_name_waiting_processes(right: heartbeats.Process, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [new_encryption_key()]
    alive("wrong@two", differs=ENCRYPTION_KEYS)
    with connection.cursor() as cursor:
        told = list(examined.agreement(cursor))
        known = processes(cursor)
    assert [one.verdict.value for one in told[:2]] == ["problem", "problem"]
    assert "This host differs" in told[0].says
    assert "wrong@two" in told[1].says
    assert ENCRYPTION_KEYS in told[1].says
    assert settings.ENCRYPTION_KEYS[0] not in str(told)
    beat = heartbeats.Process.beat()
    with connection.cursor() as cursor:
        heartbeats.report(cursor, beat, heartbeats.BeatReport(tick_ms=1, sends_chores=True), release=__version__)
        known = processes(cursor)
    head = headline(known, is_held=False, due_lag_seconds=0, claim_lag_seconds=0, troubled=[])
    assert "wrong@two takes no work" in head.text


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_differs_claims_nothing_and_continues_once_it_agrees(make_job: MakeJob) -> None:
    allowed = threading.Event()
    service = DeliveryService(
        name="w", owner="w", policy=LOOPBACK_ALLOWED, max_in_flight=10, max_per_host=10, max_per_workspace=10,
        lease_seconds=60, user_agent="test", permission=allowed.is_set,
    )  # fmt: skip
    job = make_job(request={"url": "http://127.0.0.1:9/", "timeout_seconds": 1}, retry={"max_attempts": 1})
    made = services.run_now(job_environment=job, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM)
    service.start()
    try:
        with pytest.raises(DrainingError):
            service.submit([str(made.pk)])
        assert not service.make_call("call")
        assert not eventually(_status(made, "failed"), seconds=4)
        assert Execution.objects.get(pk=made.pk).attempts == 0
        allowed.set()
        service.submit([str(made.pk)])
        assert eventually(_status(made, "failed"), seconds=20)
    finally:
        service.stop(grace_seconds=0)


def _status(made: Execution, status: str) -> Callable[[], bool]:
    return lambda: Execution.objects.get(pk=made.pk).status == status


@pytest.mark.django_db(transaction=True)
def test_a_beat_that_differs_fires_nothing_and_continues_once_it_agrees(make_job: MakeJob, monkeypatch: Any) -> None:
    from scheduler_project.celery import app

    job = make_job(schedule={"every_seconds": 3600})
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)
    type(job).objects.filter(pk=job.pk).update(next_fire_at=past)
    before = alive("right@one")
    assert ask(SettingsAgreement(shared(), process_id=before.id)) == ()
    monkeypatch.setattr("workers.beat.scheduler.heartbeats.PULSE_SECONDS", 0.0)
    beat = FiringScheduler(app=app)
    monkeypatch.setattr(beat._maintenance, "start", lambda: None)
    try:
        for _ in range(3):
            beat.tick()
        assert not Execution.objects.exists()
        gone(before)
        beat.tick()
        beat.tick()
        assert Execution.objects.filter(job=job.job).exists()
    finally:
        beat._clock.stop()
