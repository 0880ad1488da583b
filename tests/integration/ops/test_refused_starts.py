"""A start that can't succeed is refused with one line that says what to do, before anything is changed."""

import errno
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from ops.data_directory import kept_encryption_key, kept_secret_key, refused_path
from ops.embedded.locations import Locations
from ops.management.commands import prepare_database
from ops.migrated import unknown_migrations
from ops.supervisor.program import StartError
from tests.support.project import ROOT


@pytest.fixture
def newer(db: None) -> str:
    """A database that a future release has migrated."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('runs', '0999_to_come', now())")
    return "runs.0999_to_come"


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that preparing the database would run next."""
    went: list[str] = []
    monkeypatch.setattr(prepare_database, "call_command", lambda name, **_options: went.append(name))
    return went


def test_a_newer_database_is_refused_and_unchanged(newer: str, migrated: list[str]) -> None:
    assert unknown_migrations(connection) == [newer]
    with pytest.raises(CommandError) as error:
        call_command("prepare_database")
    told = str(error.value)
    assert newer in told
    assert "HOURHAND_ACCEPT_NEWER_DATABASE=1" in told
    assert "\n" not in told
    assert migrated == []


def test_the_setting_accepts_a_newer_database(newer: str, migrated: list[str], settings: Any) -> None:
    settings.ACCEPT_NEWER_DATABASE = True
    call_command("prepare_database")
    assert migrated == ["migrate", "first_run"]


def test_a_migration_of_another_app_is_ignored(db: None, migrated: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0999_to_come', now())")
    call_command("prepare_database")
    assert migrated == ["migrate", "first_run"]


def test_the_start_prints_what_the_system_checks_find_and_goes_on(
    db: None, migrated: list[str], settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ALLOWED_HOSTS = ["elsewhere.example"]
    call_command("prepare_database")
    assert "hourhand.allowed_hosts" in capsys.readouterr().err
    assert migrated == ["migrate", "first_run"]


class Recovering:
    """A PostgreSQL that accepts connections after a number of refusals."""

    def __init__(self, refusals: float) -> None:
        self.refusals = refusals

    def ensure_connection(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OperationalError("FATAL:  the database system is starting up\nmore")


def test_a_recovering_postgresql_is_awaited(
    db: None, monkeypatch: pytest.MonkeyPatch, migrated: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prepare_database, "connection", Recovering(2))
    monkeypatch.setattr(prepare_database, "unknown_migrations", lambda _: [])
    call_command("prepare_database")
    assert migrated == ["migrate", "first_run"]
    told = capsys.readouterr().err
    assert told.count("DATABASE_URL: PostgreSQL cannot be reached: FATAL:  the database system is starting up\n") == 1


def test_an_unreachable_postgresql_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, migrated: list[str]
) -> None:
    monkeypatch.setattr(prepare_database, "connection", Recovering(math.inf))
    monkeypatch.setattr(prepare_database, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(CommandError, match=r"\ADATABASE_URL: PostgreSQL cannot be reached: [^\n]+\Z"):
        call_command("prepare_database")
    assert migrated == []


@pytest.mark.parametrize("make_key", [kept_secret_key, kept_encryption_key])
@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_lost_key_of_an_existing_database_is_not_regenerated(tmp_path: Path, make_key: Any, content: Any) -> None:
    locations = Locations.of(tmp_path)
    locations.cluster.mkdir()
    name = "secret-key" if make_key is kept_secret_key else "encryption-key"
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(StartError) as error:
        make_key(locations)
    told = str(error.value)
    assert str(tmp_path / name) in told
    assert "Restore it" in told
    # The suggested command prints a valid key.
    command = f"python -c {told.partition(': python -c ')[2]}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command], check=True, env={**os.environ, "PATH": path})
    assert len(make_key(locations)) > 40


def test_a_first_start_generates_its_keys(tmp_path: Path) -> None:
    locations = Locations.of(tmp_path)
    assert kept_secret_key(locations) == kept_secret_key(locations)
    assert kept_encryption_key(locations) == kept_encryption_key(locations)


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "Free space"),
        (errno.EACCES, "chown"),
        (errno.EPERM, "chown"),
        (errno.EISDIR, "Move it away"),
        (errno.ELOOP, "Move it away"),
    ],
)
def test_an_operating_system_error_is_reported_with_a_remedy(number: int, cure: str) -> None:
    told = refused_path(OSError(number, os.strerror(number), "/srv/var/run/lock"))
    assert told.startswith("/srv/var/run/lock: ")
    assert cure in told
    assert "\n" not in told


def up(directory: Path) -> subprocess.CompletedProcess[str]:
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HOURHAND_ENCRYPTION_KEYS")
    own = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT, env={**own, "HOURHAND_DATA_DIR": str(directory), "HOURHAND_PORT": "0"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def a_file(path: Path) -> None:
    path.write_text("not a directory")


def a_key_that_is_a_directory(path: Path) -> None:
    (path / "encryption-key").mkdir(parents=True)


def a_key_that_is_no_key(path: Path) -> None:
    path.mkdir()
    (path / "encryption-key").write_text("short\n")


def a_key_of_bytes(path: Path) -> None:
    path.mkdir()
    (path / "secret-key").write_bytes(b"\xff\xfe\x00")


def a_lock_that_is_a_directory(path: Path) -> None:
    (path / "run" / "lock").mkdir(parents=True)
    for directory in (path, path / "run"):
        directory.chmod(0o700)


def world_writable(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def a_cluster_of_something_else(path: Path) -> None:
    (path / "postgres").mkdir(parents=True)
    (path / "postgres" / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    "made",
    [a_file, a_key_that_is_a_directory, a_key_that_is_no_key, a_key_of_bytes, a_lock_that_is_a_directory,
     world_writable, a_cluster_of_something_else],
)  # fmt: skip
def test_an_unsafe_data_directory_stops_the_start_with_one_line(made: Any, tmp_path: Path) -> None:
    directory = tmp_path / "var"
    made(directory)
    ended = up(directory)
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    assert ended.returncode == 1
    assert len(said) == 1, ended.stderr
    assert str(directory) in said[0]


def test_a_read_only_disk_is_reported(tmp_path: Path) -> None:
    ended = up(Path("/proc/hourhand"))
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert "HOURHAND_DATA_DIR" in ended.stderr
