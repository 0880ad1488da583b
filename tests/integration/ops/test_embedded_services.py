"""The embedded services: crash-safe first start, leftovers, foreign servers on the socket, other versions."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import redis

from ops.embedded.locations import Locations, embedded_urls
from ops.embedded.peers import answers_as
from ops.embedded.services import embedded_programs, prepare_directories
from ops.supervisor.child import Child
from ops.supervisor.program import Program, StartError
from tests.support.processes import alive, eventually
from tests.support.project import ROOT


def programs(locations: Locations) -> tuple[Program, Program]:
    account = prepare_directories(locations, embedded=True)
    postgres, valkey = embedded_programs(locations, account, durable=False)
    return postgres, valkey


@contextmanager
def running(program: Program) -> Iterator[Child]:
    program.prepare()
    child = Child(program)
    try:
        assert eventually(lambda: program.ready(child.pid), seconds=60)
        yield child
    finally:
        child.send(program.stop_signal)
        assert eventually(child.has_exited, seconds=30)
        child.reap()
        child.close_output()


def rows(locations: Locations, query: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(embedded_urls(locations.root)[0])
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.fixture(scope="module")
def locations(tmp_path_factory: pytest.TempPathFactory) -> Locations:
    return Locations.of(tmp_path_factory.mktemp("embedded") / "var")


@pytest.fixture(scope="module")
def postgres(locations: Locations) -> Program:
    return programs(locations)[0]


@pytest.fixture(scope="module")
def valkey(locations: Locations) -> Program:
    return programs(locations)[1]


def test_a_killed_first_start_is_repeated(locations: Locations, postgres: Program) -> None:
    half = locations.root / "postgres.new"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with running(postgres):
        assert rows(locations, "SHOW data_checksums") == [("on",)]

    assert not half.exists()


def test_the_database_uses_utf8_utc_and_a_stable_collation(locations: Locations, postgres: Program) -> None:
    with running(postgres):
        settings = rows(
            locations,
            "SELECT current_setting('server_encoding'), current_setting('TimeZone'),"
            " current_setting('listen_addresses'), lower('ÄÉ'), 'a' > 'B'",
        )

    assert settings == [("UTF8", "UTC", "", "äé", True)]


def test_rows_survive_a_crash(locations: Locations, postgres: Program) -> None:
    with running(postgres) as child:
        rows(locations, "CREATE TABLE kept (id int)")
        rows(locations, "INSERT INTO kept VALUES (1)")
        os.kill(child.pid, signal.SIGKILL)
        assert eventually(child.has_exited, seconds=5)

    with running(postgres):
        assert rows(locations, "SELECT id FROM kept") == [(1,)]


def test_messages_survive_a_restart(locations: Locations, valkey: Program) -> None:
    client = redis.Redis.from_url(embedded_urls(locations.root)[1])
    with running(valkey):
        client.rpush("deliveries", "1", "2")
    client.close()

    with running(valkey):
        assert client.lrange("deliveries", 0, -1) == [b"1", b"2"]
        assert client.config_get("port")["port"] == "0"
    client.close()


def test_a_stale_pid_file_of_an_unrelated_process_is_ignored(locations: Locations, postgres: Program) -> None:
    postgres.prepare()
    (locations.cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{locations.cluster}\n0\n5432\n\n\n")

    with running(postgres):
        assert rows(locations, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_an_orphaned_server_is_stopped_first(locations: Locations, name: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(name)
    program.prepare()
    orphan = Child(program)
    assert eventually(lambda: program.ready(orphan.pid), seconds=60)

    with running(program) as child:
        assert not alive(orphan.pid)
        assert child.pid != orphan.pid
    orphan.reap()
    orphan.close_output()


def test_a_foreign_server_on_the_socket_is_refused(locations: Locations, valkey: Program) -> None:
    with (
        running(valkey) as child,
        pytest.raises(StartError, match=rf"Another process \(pid {child.pid}\) answers on .*Stop that process"),
    ):
        answers_as(locations.valkey_socket, os.getpid(), service="Valkey")


def test_data_of_another_major_version_are_refused(locations: Locations, postgres: Program) -> None:
    version = locations.cluster / "PG_VERSION"
    kept = version.read_text()
    version.write_text("17\n")
    try:
        with pytest.raises(StartError, match=r"created by PostgreSQL 17, and this is PostgreSQL 18"):
            postgres.prepare()
    finally:
        version.write_text(kept)


def test_with_services_returns_the_status_and_removes_everything(tmp_path: Path) -> None:
    look = "import os, pathlib; pathlib.Path('seen').write_text(os.environ['HOURHAND_DATA_DIR']); raise SystemExit(7)"
    ended = subprocess.run(
        [sys.executable, ROOT / "manage.py", "with_services", "--no-fsync", "--", sys.executable, "-c", look],
        cwd=tmp_path,
        check=False,
        timeout=90,
    )

    assert ended.returncode == 7
    assert not Path((tmp_path / "seen").read_text()).exists()


SLEEPER = """
import os, pathlib, time
data = pathlib.Path(os.environ["HOURHAND_DATA_DIR"])
pathlib.Path("new").write_text((data / "postgres/postmaster.pid").read_text().split()[0] + " " + str(data))
pathlib.Path("new").rename("seen")
time.sleep(600)
"""


def start_sleeping(directory: Path) -> tuple[subprocess.Popen[bytes], int, Path]:
    """`with_services` around a command that sleeps: the process, its PostgreSQL's pid, its directory."""
    outer = subprocess.Popen(
        [sys.executable, ROOT / "manage.py", "with_services", "--no-fsync", "--", sys.executable, "-c", SLEEPER],
        cwd=directory,
    )
    assert eventually((directory / "seen").exists, seconds=60)
    postmaster, data_dir = (directory / "seen").read_text().split(" ", 1)
    return outer, int(postmaster), Path(data_dir)


def test_stopping_with_services_stops_its_command_and_its_services(tmp_path: Path) -> None:
    outer, postmaster, data_dir = start_sleeping(tmp_path)

    outer.terminate()

    assert outer.wait(timeout=30) == 128 + signal.SIGTERM
    assert not alive(postmaster)
    assert not data_dir.exists()


def test_the_next_with_services_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    outer, postmaster, data_dir = start_sleeping(tmp_path)

    outer.kill()
    outer.wait()
    assert eventually(lambda: not alive(postmaster), seconds=20)
    assert data_dir.exists()
    subprocess.run(
        [sys.executable, ROOT / "manage.py", "with_services", "--no-fsync", "--", "true"], check=True, timeout=90
    )

    assert not data_dir.exists()
