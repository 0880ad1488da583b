"""One command, and a job fires: what a newcomer does, and a database that dies under it."""

import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from scheduler_project.embedded.locations import Locations, embedded_urls
from tests.acceptance.conftest import ROOT, Receiver, wait_for

_START_SECONDS = 90


class Installation:
    """`manage.py up` on a data directory, and the API key that its first start left there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HOURHAND_")}
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
            ours.pop(name, None)
        self.environment = {
            **ours,
            "HOURHAND_DATA_DIR": str(directory),
            "HOURHAND_PORT": "0",
            "HOURHAND_WORKERS": "1",
            "HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8",
            "HOURHAND_OUTBOUND_PORTS": "*",
        }

    def start(self) -> None:
        with (self.directory.parent / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )
        wait_for(lambda: requests.get(f"{self.url()}/readyz", timeout=5).ok, "it to be ready", seconds=_START_SECONDS)

    def url(self) -> str:
        path = self.directory / "run" / "url"
        return path.read_text().strip() if path.exists() else "http://127.0.0.1:9"

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        key = json.loads((self.directory / "first-run.json").read_text())["api_key"]
        return requests.request(
            method, f"{self.url()}/api/v1{path}", headers={"Authorization": f"Bearer {key}"}, timeout=10, **options
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.ask(method, path, **options)
        assert answer.ok, answer.text
        return answer.json()

    def problems(self) -> list[str]:
        """What the doctor finds wrong, asked in another terminal."""
        asked = [sys.executable, "manage.py", "doctor", "--json"]
        told = subprocess.run(asked, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        found = [one["says"] for one in json.loads(told.stdout)["findings"] if one["verdict"] == "problem"]
        assert told.returncode == bool(found), told.stderr
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        link = psycopg2.connect(embedded_urls(self.directory)[0])
        try:
            with link.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        finally:
            link.close()


def _tells_it(answer: requests.Response) -> bool:
    """That the database is away, and when to ask again."""
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
    return bool(answer.json()["code"] == "database_unavailable")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "var")
    made.start()
    yield made
    if made.process.poll() is None:
        made.stop()


def test_a_job_fires_outlives_a_killed_database_and_is_there_after_a_restart(
    installation: Installation, receiver: Receiver
):
    job = {"name": "Tick", "schedule": {"every_seconds": 1}, "request": {"url": f"{receiver.url}/", "method": "POST"}}
    installation.call("PUT", "/jobs/tick/", json=job)
    wait_for(lambda: len(receiver.seen) >= 3, "the first firings")

    # A call is under way when the database dies: its answer is kept until the database is back.
    receiver.delay_seconds = 2.0
    under_way = len(receiver.seen)
    wait_for(lambda: len(receiver.seen) > under_way, "a slow call to begin")
    postmaster = int((Locations.of(installation.directory).cluster / "postmaster.pid").read_text().split("\n")[0])
    os.kill(postmaster, signal.SIGQUIT)
    wait_for(lambda: not (away := installation.ask("GET", "/jobs/")).ok and _tells_it(away), "the API to say so")
    receiver.delay_seconds = 0.0
    seen = len(receiver.seen)
    wait_for(lambda: len(receiver.seen) >= seen + 5, "firings after the database came back", seconds=60)
    installation.call("POST", "/jobs/tick/pause/", json={})
    unfinished = "SELECT count(*) FROM runs_execution WHERE finished_at IS NULL"
    wait_for(lambda: installation.rows(unfinished) == [(0,)], "everything to end", seconds=60)

    assert set(receiver.deliveries().values()) == {1}
    planned: list[datetime.datetime] = []
    for status, first, occurrences in installation.rows(
        "SELECT status, scheduled_for, occurrences FROM runs_execution"
    ):
        assert status in {"succeeded", "skipped"}
        planned += [first + datetime.timedelta(seconds=index) for index in range(occurrences)]
    assert sorted(planned) == [min(planned) + datetime.timedelta(seconds=index) for index in range(len(planned))]

    assert installation.stop() == 0
    installation.start()
    executions = installation.call("GET", "/jobs/tick/executions/?status=succeeded&limit=100")["results"]
    assert len(executions) == len(receiver.deliveries())
    assert installation.problems() == []
