"""`manage.py doctor` against real services: healthy, broken, unreachable, and hanging."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import connection, connections, transaction

from accounts.actors import SYSTEM
from accounts.encryption import new_encryption_key
from accounts.secrets import create_secret
from accounts.services import create_workspace
from ops.doctor import database
from ops.doctor.sections import sections
from ops.embedded.locations import Locations
from ops.embedded.services import embedded_programs, prepare_directories
from ops.supervisor.child import Child
from runs.monitoring import heartbeats
from tests.support.jobs import EPOCH
from tests.support.processes import eventually
from tests.support.project import ROOT

#: The tests' services skip fsync; the doctor reports that.
SPARED = {"durability"}
Found = dict[str, dict[str, Any]]


def examined(capsys: pytest.CaptureFixture[str]) -> Found:
    """Return the doctor's findings on the tests' own database, in this process."""
    with contextlib.suppress(SystemExit):
        call_command("doctor", "--json")
    return by_name(capsys.readouterr().out)


def by_name(told: str) -> Found:
    """Return the worst verdict by section and name."""
    order = ["ok", "skipped", "warning", "problem"]
    ranked = sorted(json.loads(told)["findings"], key=lambda one: order.index(one["verdict"]))
    return {f"{one['section']}/{one['name']}": one for one in ranked}


def verdicts(found: Found, *names: str) -> list[str]:
    return [found[name]["verdict"] for name in names]


@pytest.fixture
def alive(transactional_db: None, settings: Any) -> None:
    settings.SECRET_KEY = secrets.token_urlsafe(50)
    with connection.cursor() as cursor:
        heartbeats.report(cursor, heartbeats.Process.beat(), heartbeats.BeatReport(tick_ms=1.0, sends_chores=True))
        tell_worker("worker@here")


def tell_worker(name: str, *, draining: bool = False, in_flight: int = 0) -> None:
    news = heartbeats.WorkerReport(in_flight=in_flight, waiting=0, capacity=100, draining=draining)
    with connection.cursor() as cursor:
        heartbeats.report(cursor, heartbeats.Process.worker(name), news)


@pytest.mark.usefixtures("alive")
def test_a_healthy_installation_has_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    found = examined(capsys)
    wrong = {one["name"]: one["says"] for one in found.values() if one["verdict"] != "ok"}
    assert set(wrong) <= SPARED, wrong
    assert len(found) > 25
    assert all(one["says"].endswith(".") for one in found.values())


@pytest.mark.usefixtures("alive")
def test_a_problem_has_advice_in_text_too(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["elsewhere.example"]
    with pytest.raises(SystemExit, match="1"):
        call_command("doctor", "--no-color")
    told = " ".join(capsys.readouterr().out.split())
    assert "problem allowed_hosts 127.0.0.1, the host of HOURHAND_PUBLIC_URL, is not in HOURHAND_ALLOWED_HOSTS" in told
    assert "→ Add 127.0.0.1 to HOURHAND_ALLOWED_HOSTS." in told


@pytest.mark.django_db(transaction=True)
def test_no_living_process_is_a_problem_and_a_silent_one_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    found = examined(capsys)
    assert verdicts(found, "Beats and workers/beats", "Beats and workers/workers") == ["problem", "problem"]
    tell_worker("gone@here")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_heartbeat SET seen_at = seen_at - interval '10 minutes'")
    tell_worker("full@here", draining=True, in_flight=95)
    found = examined(capsys)
    assert found["Beats and workers/workers"]["verdict"] == "warning"
    assert "gone@here (10 min)" in found["Beats and workers/workers"]["says"]
    assert verdicts(found, "Beats and workers/draining", "Beats and workers/in_flight") == ["problem", "warning"]


@pytest.mark.usefixtures("alive")
def test_a_long_lag_is_a_problem(capsys: pytest.CaptureFixture[str], make_job: Any) -> None:
    make_job(schedule={"every_seconds": 60})  # due since EPOCH
    assert examined(capsys)["Beats and workers/due_lag"]["verdict"] == "problem"


@pytest.mark.usefixtures("alive")
def test_a_wrong_clock_is_reported_with_its_host(capsys: pytest.CaptureFixture[str]) -> None:
    tell_worker("late@there")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_heartbeat SET clock_ahead_seconds = -90 WHERE name = 'late@there'")
    clock = examined(capsys)["Clocks/clock"]
    assert (clock["verdict"], clock["says"]) == ("problem", "late@there: 90.00 s behind the database.")


@pytest.mark.usefixtures("alive")
def test_a_lost_key_is_noticed_by_its_secrets(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    first, second = new_encryption_key(), new_encryption_key()
    settings.ENCRYPTION_KEYS = [first]
    workspace = create_workspace(slug="acme", name="Acme")
    create_secret(workspace=workspace, environment=None, name="TOKEN", value="value", now=EPOCH, actor=SYSTEM)
    settings.ENCRYPTION_KEYS = [second, first]
    assert "manage.py rotate_encryption_keys" in examined(capsys)["Keys/kept_secrets"]["advice"]
    settings.ENCRYPTION_KEYS = [second]
    assert examined(capsys)["Keys/kept_secrets"]["verdict"] == "problem"
    settings.ENCRYPTION_KEYS = ["short"]
    found = examined(capsys)
    assert verdicts(found, "Settings/encryption_keys", "Keys/kept_secrets") == ["problem", "problem"]


@pytest.mark.usefixtures("alive")
def test_a_missing_migration_and_one_of_a_newer_release_are_problems(capsys: pytest.CaptureFixture[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('runs', '9999_later', now())")
    assert "9999_later" in examined(capsys)["PostgreSQL/migrations"]["says"]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
        cursor.execute("SELECT max(id) FROM django_migrations WHERE app = 'runs'")
        (last,) = cursor.fetchone()
        cursor.execute("UPDATE django_migrations SET name = 'not-' || name WHERE id = %s", [last])
        try:
            assert "1 not applied" in examined(capsys)["PostgreSQL/migrations"]["says"]
        finally:
            cursor.execute("UPDATE django_migrations SET name = substr(name, 5) WHERE id = %s", [last])


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[Callable[..., None]]:
    """Point the doctor at another database: it opens its own connection."""
    with pytest.MonkeyPatch.context() as patched:

        def look(**changes: Any) -> None:
            for name, value in changes.items():
                patched.setitem(connections.settings["default"], name, value)

        yield look


def test_unreachable_services_are_reported_once_and_the_rest_is_checked(
    elsewhere: Callable[..., None], capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    elsewhere(HOST="127.0.0.1", PORT="1", USER="x", PASSWORD="hidden")
    settings.REDIS_URL = "redis://:hidden@127.0.0.1:1/0"
    found = examined(capsys)
    assert verdicts(found, "PostgreSQL/database", "Redis/broker") == ["problem", "problem"]
    assert verdicts(found, "PostgreSQL/version", "Keys/kept_secrets", "Redis/memory") == ["skipped"] * 3
    assert verdicts(found, "Settings/debug", "This host/packages") == ["ok", "ok"]
    assert "hidden" not in json.dumps(found)


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_hanging_services_time_out_and_do_not_block_exit(deaf: int) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://x@127.0.0.1:{deaf}/x",
        "REDIS_URL": f"redis://127.0.0.1:{deaf}/0",
    }
    asked = [sys.executable, "manage.py", "doctor", "--json", "--patience", "1"]
    ended = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 1
    found = by_name(ended.stdout)
    assert found["PostgreSQL/database"]["says"] == "PostgreSQL did not answer within 1 seconds."
    assert verdicts(found, "PostgreSQL/database", "Redis/broker") == ["problem", "problem"]


def test_an_empty_database_only_lacks_migrations(
    elsewhere: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"empty_{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C' ENCODING SQL_ASCII")
        try:
            elsewhere(NAME=name)
            found = examined(capsys)
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    bad = {one for one, told in found.items() if told["verdict"] == "problem"} - {"PostgreSQL/durability"}
    assert bad == {"PostgreSQL/migrations", "PostgreSQL/letters"}
    assert verdicts(found, "Beats and workers/beats", "Keys/kept_secrets") == ["skipped", "skipped"]


@pytest.mark.usefixtures("alive")
def test_a_missing_privilege_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("REVOKE DELETE ON runs_run FROM CURRENT_USER")
        found = examined(capsys)["PostgreSQL/privileges"]
        cursor.execute("GRANT DELETE ON runs_run TO CURRENT_USER")
    assert (found["verdict"], found["says"]) == ("problem", "The account lacks DELETE on runs_run.")


@pytest.mark.usefixtures("alive")
def test_few_connections_and_read_only_mode_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 4")
        cursor.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        try:
            found = examined(capsys)
        finally:
            cursor.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
            cursor.execute(f"ALTER DATABASE {database} CONNECTION LIMIT -1")
    assert verdicts(found, "PostgreSQL/connections", "PostgreSQL/database") == ["problem", "problem"]
    assert "of the 4 of this database are taken" in found["PostgreSQL/connections"]["says"]


@pytest.mark.usefixtures("alive")
def test_a_locked_table_does_not_block_other_checks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_STATEMENT_MS", 200)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE accounts_secret IN ACCESS EXCLUSIVE MODE")
        found = examined(capsys)
    assert "statement timeout" in found["Keys/kept_secrets"]["says"]
    assert verdicts(found, "Keys/kept_secrets", "Beats and workers/workers") == ["problem", "ok"]


@pytest.fixture
def other_valkey(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A Valkey of this test: its URL, and its process."""
    locations = Locations.of(tmp_path / "var")
    (program,) = embedded_programs(locations, prepare_directories(locations, embedded=True), postgres=False)
    program.prepare()
    child = Child(program)
    try:
        assert eventually(lambda: program.ready(child.pid), seconds=30)
        yield f"unix://{locations.valkey_socket}?db=0", child.pid
    finally:
        child.send(signal.SIGCONT)
        child.send(program.stop_signal)
        assert eventually(child.has_exited, seconds=30)
        child.reap()
        child.close_output()


@pytest.mark.usefixtures("alive")
def test_a_broker_without_persistence_or_memory_is_warned_of(
    capsys: pytest.CaptureFixture[str], other_valkey: tuple[str, int], settings: Any
) -> None:
    url, pid = other_valkey
    settings.REDIS_URL = url
    client = redis.Redis.from_url(url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", "100mb")
    client.config_set("appendonly", "no")
    client.rpush("deliveries", *range(1500))
    found = examined(capsys)
    assert verdicts(found, "Redis/memory", "Redis/persistence", "Redis/queues") == ["warning"] * 3
    client.config_set("maxmemory-policy", "noeviction")
    client.replicaof("127.0.0.1", 1)
    found = examined(capsys)
    assert verdicts(found, "Redis/memory", "Redis/broker") == ["ok", "problem"]
    os.kill(pid, signal.SIGSTOP)
    assert examined(capsys)["Redis/broker"]["verdict"] == "problem"
    os.kill(pid, signal.SIGCONT)
    client.close()


def test_the_documentation_lists_exactly_the_checks() -> None:
    source = "".join(path.read_text() for path in (ROOT / "ops/doctor").glob("*.py"))
    named = re.findall(r'(?:\b(?:ok|warning|problem)\(\s*|\bname(?:, \w+)* = )"(\w+)"', source)
    probes = {name for section in sections() for name in section.probes}
    checks = "".join(path.read_text() for path in (ROOT / "ops/checks").glob("*.py"))
    assert set(re.findall(r'id="hourhand\.(\w+)"', checks)) <= probes
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == probes | set(named)
