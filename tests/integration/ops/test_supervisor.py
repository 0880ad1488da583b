"""`manage.py up`: it starts everything, restarts what dies, refuses a second one, leaves nothing behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from ops.embedded.locations import Locations, embedded_urls
from tests.support.processes import alive, child, command_line, descendants, eventually
from tests.support.project import ROOT

# Words of the command lines of all supervised processes, with one worker.
PROGRAMS = {
    "postgres": "bin/postgres",
    "valkey": "valkey-server",
    "web": "gunicorn",
    "beat": "scheduler_project beat",
    "worker-1": "worker-1@",
}
START_SECONDS = 90.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only Linux ends orphans")


class Installation:
    """One `manage.py up` on a data directory."""

    def __init__(self, data_dir: Path, output: Path) -> None:
        self.data_dir = data_dir
        self.output = output
        with output.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "manage.py", "up"],
                env=environment(data_dir),
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.output.read_text()

    def await_ready(self) -> None:
        eventually(lambda: "Hourhand is ready" in self.said() or self.process.poll() is not None, seconds=START_SECONDS)
        assert "Hourhand is ready" in self.said(), self.said()

    def url(self) -> str:
        return (self.data_dir / "run" / "url").read_text().strip()

    def answers(self, path: str = "/readyz") -> bool:
        try:
            with urllib.request.urlopen(self.url() + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """Kill what a failed test left running."""
        for pid in [self.pid, *descendants(self.pid)]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def environment(data_dir: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HOURHAND_")}
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        ours.pop(name, None)
    return {**ours, "HOURHAND_DATA_DIR": str(data_dir), "HOURHAND_PORT": "0", "HOURHAND_WORKERS": "1"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Too long for a socket, with a space, a comma and a percent sign."""
    return tmp_path_factory.mktemp("up") / ("long, 100% " + "x" * 90) / "var"


@pytest.fixture(scope="module")
def installation(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    started = Installation(data_dir, tmp_path_factory.mktemp("output") / "first")
    try:
        started.await_ready()
        yield started
    finally:
        started.kill()


def supervised(installation: Installation) -> dict[str, int]:
    return {name: child(installation.pid, word) for name, word in PROGRAMS.items()}


def test_the_first_start_brings_everything_up_and_keeps_the_credentials_private(installation: Installation) -> None:
    first_run = installation.data_dir / "first-run.json"
    credentials = json.loads(first_run.read_text())

    assert installation.answers()
    assert all(supervised(installation).values())
    assert set(credentials) == {"url", "workspace", "admin_username", "admin_password", "api_key"}
    assert credentials["url"] == installation.url()
    assert stat.S_IMODE(first_run.stat().st_mode) == 0o600
    assert stat.S_IMODE((installation.data_dir / "secret-key").stat().st_mode) == 0o600
    assert credentials["admin_password"] in installation.said()
    assert not any(
        credentials["admin_password"] in log.read_text() for log in (installation.data_dir / "log").iterdir()
    )


def test_a_second_start_on_the_same_data_is_refused(installation: Installation) -> None:
    second = subprocess.run(
        [sys.executable, ROOT / "manage.py", "up"],
        env=environment(installation.data_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert second.returncode == 1
    assert f"already runs on {installation.data_dir} (pid {installation.pid})" in second.stderr
    assert installation.answers()


def test_a_second_terminal_finds_the_services_through_the_data_directory(installation: Installation) -> None:
    database_url, _ = embedded_urls(installation.data_dir)

    connection = psycopg2.connect(database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        role = cursor.fetchone()
    connection.close()

    assert role == ("hourhand", False)


def test_nothing_but_the_web_server_listens_on_tcp(installation: Installation) -> None:
    sockets = {link.readlink().name for link in Path(f"/proc/{supervised(installation)['valkey']}/fd").iterdir()}
    inodes = {f"socket:[{line.split()[9]}]" for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}

    assert not sockets & inodes


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_process_is_restarted(installation: Installation, name: str) -> None:
    killed = supervised(installation)[name]

    os.kill(killed, signal.SIGKILL)

    def replaced() -> bool:
        return child(installation.pid, PROGRAMS[name]) not in {0, killed}

    assert eventually(replaced, seconds=10), installation.said()
    assert eventually(lambda: f"{name} is ready again" in installation.said(), seconds=30), installation.said()
    assert eventually(installation.answers, seconds=15), installation.said()


def test_killing_the_supervisor_leaves_nothing_and_the_next_start_keeps_the_data(
    installation: Installation, data_dir: Path, tmp_path: Path
) -> None:
    before = (data_dir / "first-run.json").read_bytes()
    family = descendants(installation.pid)

    installation.process.kill()
    installation.process.wait()
    next_house = Installation(data_dir, tmp_path / "second")

    try:
        left = eventually(lambda: not [pid for pid in family if alive(pid)], seconds=20)
        assert left, [command_line(pid) for pid in family if alive(pid)]
        next_house.await_ready()
        assert (data_dir / "first-run.json").read_bytes() == before
        assert "First start" not in next_house.said()
        assert_stops_in_order(next_house)
    finally:
        next_house.kill()


def assert_stops_in_order(installation: Installation) -> None:
    """As Ctrl-C does: SIGINT to the terminal's whole foreground group."""
    family = descendants(installation.pid)

    os.killpg(installation.pid, signal.SIGINT)

    assert installation.process.wait(timeout=60) == 0, installation.said()
    stops = [line for line in installation.said().splitlines() if line.startswith(("stopping", "stopped"))]
    assert stops == ["stopping web, beat", "stopping worker-1", "stopping valkey", "stopping postgres", "stopped"]
    assert not [pid for pid in family if alive(pid)]
    assert not (installation.data_dir / "run" / "url").exists()
    assert not Locations.of(installation.data_dir).sockets.exists()


def test_a_port_in_use_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [sys.executable, ROOT / "manage.py", "up"],
            env={**environment(tmp_path / "var"), "HOURHAND_PORT": port},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "Set HOURHAND_PORT" in refused.stderr
    assert not (tmp_path / "var" / "postgres").exists()
