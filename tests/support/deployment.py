"""A deployment of separate processes (web, beats, workers) on its own database."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg2
import redis
import requests

from tests.support.deployment_databases import Template, copied_database
from tests.support.project import ROOT
from tests.support.waiting import wait_for

LEASE_SECONDS = 3
LOOPBACK_ALLOWED = {"HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8", "HOURHAND_OUTBOUND_PORTS": "*"}


class Deployment:
    """One deployment: its database, its settings, its processes."""

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
        self.reconnect()
        self.api_key = ""

    def manage(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, check=True, capture_output=True
        )

    def start(
        self, name: str, *, until: str = "/readyz", within: Sequence[str] = (), clock_off_by_seconds: int = 0
    ) -> None:
        """Start or restart a process: `web`, `beat...` or `worker...`.

        Wait until the web process answers 200 at the path `until`. `within` is a command that wraps the process.
        `clock_off_by_seconds` shifts the clock of a beat or worker.
        """
        log = (self.directory / f"{name}.log").open("ab")
        if name == "web":
            return self._start_web(log, until)
        skewed = ["-m", "tests.support.skewed_celery", str(clock_off_by_seconds)]
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
        self.url = wait_for(lambda: listening_url(self.directory / "web.log"), "the web process to listen")
        wait_for(lambda: requests.get(f"{self.url}{until}", timeout=30).ok, "the web process to be ready")

    def restart_web(self, **settings: str) -> None:
        """Restart the web process with additional settings."""
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
        """Call the API and return the JSON. Fails on an error status."""
        response = requests.request(
            method,
            f"{self.url}/api/v1{path}",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=60,
            **options,
        )
        assert response.ok, response.text
        return response.json() if response.content else None

    def make_job(self, slug: str, **fields: Any) -> dict[str, Any]:
        return self.call("PUT", f"/jobs/{slug}/", json={"name": slug, **fields})

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Query the database directly."""
        with self._link.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def reconnect(self) -> None:
        """Connect to the database, again after its restart. Raises psycopg2.Error while it is down."""
        self._link = psycopg2.connect(self.environment["DATABASE_URL"])
        self._link.autocommit = True

    def make_pending(self, slug: str, count: int, *, enqueued: bool) -> None:
        """Insert `count` pending manual executions. Beat sends those that are not `enqueued`."""
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


@contextlib.contextmanager
def installed(
    template: Template, directory: Path, *, outbound: Mapping[str, str] = LOOPBACK_ALLOWED
) -> Iterator[Deployment]:
    """Yield a deployment with a web process and an API key, and no beat or worker."""
    with copied_database(template) as database_url:
        shutil.copytree(template.directory, directory, dirs_exist_ok=True)
        deployment = Deployment(database_url, os.environ["REDIS_URL"], directory, outbound)
        try:
            deployment.api_key = json.loads((directory / "first-run.json").read_text())["api_key"]
            deployment.start("web")
            yield deployment
        finally:
            deployment.close()


def listening_url(log: Path) -> str | None:
    """Return the URL at which a web process listens, from its log; None until it does."""
    for line in log.read_text().splitlines():
        if "Listening at: " in line:
            return line.split("Listening at: ")[1].split(" ")[0]
    return None
