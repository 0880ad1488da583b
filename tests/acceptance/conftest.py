"""The house with real processes: a database of its own, web, beats and workers, and a receiver that they call."""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest
import redis
import requests

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 3
LOOPBACK_ALLOWED = {"HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8", "HOURHAND_OUTBOUND_PORTS": "*"}
_READY_SECONDS = 30
_TEMPLATE = "acceptance_template"


class Receiver:
    """An endpoint that logs every request before it answers: the witness that no application code can talk over."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.delay_seconds = 0.0
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.seen.append({"at": time.time(), "path": self.path, "headers": headers, "body": body})
                time.sleep(receiver.delay_seconds)
                status = int(self.path.rsplit("/", 1)[-1]) if self.path.startswith("/status/") else 200
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = answer  # noqa: N815 - the base class's names

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_: object) -> None:
                """A caller that was killed is no error here."""

        self._server = Server(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def deliveries(self) -> Counter[str]:
        """How often each execution was seen."""
        return Counter(request["headers"]["x-hourhand-execution-id"] for request in list(self.seen))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


class House:
    """One installation: its database, its settings, its processes."""

    def __init__(self, database_url: str, redis_url: str, directory: Path, outbound: Mapping[str, str]) -> None:
        self.redis_url = redis_url
        self.directory = directory
        self.environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "HOURHAND_DATA_DIR": str(directory),
            **outbound,
            "HOURHAND_LEASE_SECONDS": str(LEASE_SECONDS),
            "HOURHAND_SHUTDOWN_GRACE_SECONDS": "5",
            "HOURHAND_API_RATE": "0",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._link = psycopg2.connect(database_url)
        self._link.autocommit = True
        self.api_key = ""

    def manage(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, check=True, capture_output=True
        )

    def start(
        self, name: str, *, until: str = "/readyz", within: Sequence[str] = (), clock_off_by_seconds: int = 0
    ) -> None:
        """Start `web`, or a beat or worker by any name that begins so; again, should it have been killed.

        The web process has started when it answers 200 to the path `until`. `within` is a command that runs another.
        The clock of a beat or worker may be wrong.
        """
        log = (self.directory / f"{name}.log").open("ab")
        if name == "web":
            return self._start_web(log, until)
        skewed = ["-m", "tests.acceptance.skewed", str(clock_off_by_seconds)]
        command = [sys.executable, *(skewed if clock_off_by_seconds else ["-m", "celery"]), "-A", "scheduler_project"]
        if name.startswith("beat"):
            command += ["beat", "--pidfile="]
        else:
            command += ["worker", "--pool", "threads", "--concurrency", "4", "--queues", "deliveries,chores"]
            command += ["-n", f"{name}@%h", "--without-gossip", "--without-mingle"]
        self.processes[name] = subprocess.Popen(
            [*within, *command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
        )
        log.close()
        return None

    def _start_web(self, log: Any, until: str) -> None:
        command = [sys.executable, "-m", "gunicorn", "scheduler_project.wsgi:application", "--bind", "127.0.0.1:0"]
        command += ["--workers", "1", "--threads", "4"]
        self.processes["web"] = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        log.close()
        text = wait_for(lambda: _listening(self.directory / "web.log"), "the web process to listen", seconds=90)
        self.url = text
        wait_for(lambda: requests.get(f"{self.url}{until}", timeout=30).ok, "the web process to be ready", seconds=90)

    def restart_web(self, **settings: str) -> None:
        """The web process anew, with these settings besides."""
        self.kill("web", signal.SIGTERM)
        (self.directory / "web.log").unlink()
        self.environment |= settings
        self.start("web")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes[name]
        process.send_signal(number)
        process.wait(30)

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """A call of the API; answers with its JSON. Raises for an error status."""
        response = requests.request(
            method,
            f"{self.url}/api/v1{path}",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=10,
            **options,
        )
        assert response.ok, response.text
        return response.json() if response.content else None

    def make_job(self, slug: str, **fields: Any) -> dict[str, Any]:
        return self.call("PUT", f"/jobs/{slug}/", json={"name": slug, **fields})

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the database says, asked without the application."""
        with self._link.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def make_pending(self, slug: str, count: int, *, enqueued: bool) -> None:
        """That many manual executions at once. Unsent ones are picked up by the clock."""
        self.rows(
            """
            INSERT INTO runs_execution (id, workspace_id, job_id, environment_id, job_environment_id, job_version_id,
                trigger, status, occurrences, skip_reason, created_at, next_attempt_at, enqueued_at, attempts,
                failure_reason, error)
            SELECT gen_random_uuid(), row.workspace_id, row.job_id, row.environment_id, row.id, job.current_version_id,
                'manual', 'pending', 1, '', now(), now(), CASE WHEN %s THEN now() END, 0, '', ''
              FROM generate_series(1, %s), jobs_jobenvironment AS row JOIN jobs_job AS job ON job.id = row.job_id
             WHERE job.slug = %s
            """,
            enqueued, count, slug,
        )  # fmt: skip

    def unfinished(self) -> int:
        return int(self.rows("SELECT count(*) FROM runs_execution WHERE finished_at IS NULL")[0][0])

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.redis_url)

    def close(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._link.close()


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = _READY_SECONDS) -> Any:
    """Wait until `condition` holds; answers with what it said. A connection refused means not yet."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except (requests.ConnectionError, OSError):
            found = None
        if found:
            return found
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def _listening(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        if "Listening at: " in line:
            return line.split("Listening at: ")[1].split(" ")[0]
    return None


class Template(NamedTuple):
    """What every house is a copy of: a database after its first run, and the directory with what that left there."""

    database: str
    directory: Path


@functools.cache
def house_template() -> Template:
    """Made when it is first asked for."""
    url, directory = os.environ["DATABASE_URL"], tempfile.mkdtemp(prefix="hourhand-template-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    _execute(url, f"DROP DATABASE IF EXISTS {_TEMPLATE}", f"CREATE DATABASE {_TEMPLATE}")
    environment = {**os.environ, "DATABASE_URL": _with_database(url, _TEMPLATE), "HOURHAND_DATA_DIR": directory}
    for command in (["migrate", "-v0"], ["first_run"]):
        subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True, capture_output=True
        )
    return Template(_TEMPLATE, Path(directory))


@pytest.fixture(scope="session")
def template() -> Template:
    return house_template()


@contextlib.contextmanager
def copied_database(template: Template) -> Iterator[str]:
    """The URL of a database after its first run, gone afterwards; nothing is on Redis before or after."""
    url = os.environ["DATABASE_URL"]
    name = f"house_{os.getpid()}_{time.monotonic_ns()}"
    _execute(url, f"CREATE DATABASE {name} TEMPLATE {template.database}")
    broker = redis.Redis.from_url(os.environ["REDIS_URL"])
    broker.flushall()
    try:
        yield _with_database(url, name)
    finally:
        broker.flushall()
        drop_database(url, name)


@contextlib.contextmanager
def installed(
    template: Template, directory: Path, *, outbound: Mapping[str, str] = LOOPBACK_ALLOWED
) -> Iterator[House]:
    """An installation with a web process and an API key, and no beat or worker yet."""
    with copied_database(template) as database_url:
        shutil.copytree(template.directory, directory, dirs_exist_ok=True)
        made = House(database_url, os.environ["REDIS_URL"], directory, outbound)
        try:
            made.api_key = json.loads((directory / "first-run.json").read_text())["api_key"]
            made.start("web")
            yield made
        finally:
            made.close()


@pytest.fixture
def house(template: Template, tmp_path: Path) -> Iterator[House]:
    """An installation of this test's own."""
    with installed(template, tmp_path) as made:
        yield made


def drop_database(url: str, name: str) -> None:
    """Drop a database, whoever uses it, once PostgreSQL itself doesn't vacuum there: that only it may end."""
    wait_for(lambda: _dropped(url, name), f"{name} to be left alone")


def _dropped(url: str, name: str) -> bool:
    try:
        _execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except psycopg2.errors.InsufficientPrivilege:
        return False
    return True


def _with_database(url: str, name: str) -> str:
    return urllib.parse.urlsplit(url)._replace(path=f"/{name}").geturl()


def _execute(url: str, *statements: str) -> None:
    link = psycopg2.connect(url)
    link.autocommit = True
    try:
        with link.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        link.close()
