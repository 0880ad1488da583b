"""docker-compose.yml without Docker: its commands, environment, health checks and signals.

Only what a container provides is replaced: paths of programs, host names, ports and directories.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from ops.embedded.directories import private_directory
from ops.embedded.locations import Locations
from ops.embedded.postgres import postgres_binary
from ops.embedded.services import embedded_programs, prepare_directories, remove_directories
from ops.embedded.valkey import valkey_binary
from ops.supervisor.launch import launch_command
from ops.supervisor.program import RunAs
from tests.support.containers import ENV, compose, image, seconds
from tests.support.project import ROOT
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Host:
    """One machine instead of containers."""

    directory: Path
    data: Path
    services_run_as: RunAs | None
    services: dict[str, Any] = field(default_factory=lambda: compose(ENV)["services"])
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in ("postgres", "valkey", "web")})
    running: list[tuple[str, "subprocess.Popen[bytes]"]] = field(default_factory=list)

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service and its image, plus this machine's program and library paths."""
        own = {key: str(value) for key, value in self.services[name].get("environment", {}).items()}
        kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
        if name in ("postgres", "valkey"):
            return {**kept, **own, "PGPORT": str(self.ports["postgres"])}
        made = {key: value for key, value in image().environment.items() if key != "PATH"}
        here = {"HOURHAND_DATA_DIR": str(self.data / "app"), "PYTHONPATH": str(ROOT)}
        return {**kept, **made, **{key: self.local(value) for key, value in own.items()}, **here}

    def local(self, text: str) -> str:
        """Replace host names and ports by this machine's."""
        for there, service in (("postgres:5432", "postgres"), ("valkey:6379", "valkey"), ("127.0.0.1:8000", "web")):
            text = text.replace(there, f"127.0.0.1:{self.ports[service]}")
        return text.replace("0.0.0.0:8000", f"127.0.0.1:{self.ports['web']}")

    def command(self, name: str) -> list[str]:
        """Return the service's command; for PostgreSQL, that of its image's script."""
        if name == "postgres":
            return self._postgres()
        words = [self.local(word) for word in self.services[name].get("command", image().command)]
        if name == "valkey":
            assert words[0] == "valkey-server"
            directory = private_directory(self.data / "valkey", owner=self.services_run_as)
            return self._as_service(
                [valkey_binary(), *words[1:], "--port", str(self.ports["valkey"]), "--dir", str(directory)]
            )
        return self._python(words)

    def _python(self, words: Sequence[str]) -> list[str]:
        program, *rest = words
        return [sys.executable, *([] if program == "python" else ["-m", program]), *rest]

    def _as_service(self, words: Sequence[str]) -> list[str]:
        return launch_command(words, run_as=self.services_run_as)

    def _postgres(self) -> list[str]:
        given = self.environment("postgres")
        cluster = private_directory(self.data / "postgres", owner=self.services_run_as)
        password = self.data / "password"
        password.write_text(given["POSTGRES_PASSWORD"] + "\n")
        password.chmod(0o644)
        made = [postgres_binary("initdb"), "--pgdata", str(cluster), "--no-sync", "--auth", "scram-sha-256"]
        made += ["--username", given["POSTGRES_USER"], "--pwfile", str(password)]
        self.run(self._as_service([*made, *given["POSTGRES_INITDB_ARGS"].split()]), "postgres")
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        return self._as_service([postgres_binary(), "-D", str(cluster), "-p", str(self.ports["postgres"]), *settings])

    def run(self, command: Sequence[str], name: str) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder(name),
            env=self.environment(name),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    def folder(self, name: str) -> Path:
        """Return the working directory. The account of PostgreSQL and Valkey may not enter the project."""
        return Path("/") if name in ("postgres", "valkey") else ROOT

    def start(self, *names: str) -> None:
        for name in names:
            for replica in range(self.services[name].get("deploy", {}).get("replicas", 1)):
                with (self.directory / f"{name}-{replica}.log").open("wb") as log:
                    process = subprocess.Popen(
                        self.command(name),
                        cwd=self.folder(name),
                        env=self.environment(name),
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                self.running.append((name, process))

    def wait_until_healthy(self, *names: str) -> None:
        for name in names:
            until = time.monotonic() + 240
            while not self.is_healthy(name):
                assert time.monotonic() < until, f"{name} is not healthy"
                time.sleep(0.5)  # each check is a process that competes for the processor

    def is_healthy(self, name: str) -> bool:
        """Run the service's own health check."""
        if name == "valkey":
            return self._pong()
        check = self.services[name].get("healthcheck", {}).get("test") or ["CMD", *image().healthcheck]
        assert check[0] == "CMD", "health checks run without a shell"
        words = [self.local(word) for word in check[1:]]
        words = [postgres_binary(words[0]), *words[1:]] if name == "postgres" else self._python(words)
        patience = seconds(self.services[name].get("healthcheck", {}).get("timeout", "5s"))
        return (
            subprocess.run(
                words, cwd=ROOT, env=self.environment(name), capture_output=True, check=False, timeout=3 * patience
            ).returncode
            == 0
        )

    def _pong(self) -> bool:
        """Send PING, because the embedded Valkey has no `valkey-cli`."""
        assert self.services["valkey"]["healthcheck"]["test"] == ["CMD", "valkey-cli", "ping"]
        try:
            with socket.create_connection(("127.0.0.1", self.ports["valkey"]), 5) as link:
                link.sendall(b"PING\r\n")
                return link.recv(10) == b"+PONG\r\n"
        except ConnectionRefusedError:  # it does not listen yet
            return False

    def create_database(self) -> None:
        """Create the database, as PostgreSQL's image does on its first start."""
        given = self.environment("postgres")
        link = psycopg2.connect(
            host="127.0.0.1", port=self.ports["postgres"], dbname="postgres",
            user=given["POSTGRES_USER"], password=given["POSTGRES_PASSWORD"],
        )  # fmt: skip
        link.autocommit = True
        link.cursor().execute(f"CREATE DATABASE {given['POSTGRES_DB']}")
        link.close()

    def stop(self, *names: str) -> None:
        """Stop these services at once, as Docker does with independent ones. All must exit in time."""
        own = [(self.services[name], name, process) for name, process in self.running if name in names]
        for service, _, process in own:
            process.send_signal(signal.Signals[service.get("stop_signal", "SIGTERM")])
        for service, name, process in own:
            patience = seconds(service.get("stop_grace_period", "10s"))
            assert process.wait(patience) == 0, f"{name} ended in order"

    def close(self) -> None:
        for _, process in reversed(self.running):
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    locations = Locations.of(tmp_path / "var")
    account = prepare_directories(locations, embedded=True)
    made = Host(tmp_path, locations.root, embedded_programs(locations, account)[0].run_as)
    private_directory(made.data / "app")
    yield made
    made.close()
    remove_directories(locations)
    shutil.rmtree(locations.root, ignore_errors=True)


def test_the_compose_services_fire_a_job_and_stop_cleanly(host: Host, receiver: Receiver):
    host.start("postgres", "valkey")
    host.wait_until_healthy("postgres", "valkey")
    host.create_database()
    host.run(host.command("migrate"), "migrate")
    host.start("web", "beat", "worker")
    host.wait_until_healthy("web", "beat", "worker")

    key = json.loads((host.data / "app" / "first-run.json").read_text())["api_key"]
    made = requests.put(
        f"http://127.0.0.1:{host.ports['web']}/api/v1/jobs/tick/",
        headers={"Authorization": f"Bearer {key}"},
        json={"name": "Tick", "schedule": {"every_seconds": 1}, "request": {"url": f"{receiver.url}/"}},
        timeout=10,
    )
    assert made.status_code == 201, made.text
    wait_for(lambda: len(receiver.seen) >= 2, "the job to fire")
    assert max(receiver.deliveries().values()) == 1, "two beats fire each occurrence once"

    host.stop("web", "beat", "worker")
    host.stop("postgres", "valkey")
