"""The first start with one command, a killed database, and a restart."""

import datetime
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ops.embedded.locations import Locations
from tests.support.installation import Installation
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for


def _reports_outage(answer: requests.Response) -> bool:
    """Check that the response says that the database is unavailable, with Retry-After."""
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5"), answer.text
    return bool(answer.json()["code"] == "database_unavailable")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path / "var")
    installation.start()
    yield installation
    if installation.process.poll() is None:
        installation.stop()


def test_a_job_survives_a_killed_database_and_a_restart(installation: Installation, receiver: Receiver):
    job = {"name": "Tick", "schedule": {"every_seconds": 1}, "request": {"url": f"{receiver.url}/", "method": "POST"}}
    installation.call("PUT", "/jobs/tick/", json=job)
    wait_for(lambda: len(receiver.seen) >= 3, "the first firings")

    # A call is in flight when the database dies: its result is kept until the database is back.
    receiver.delay_seconds = 2.0
    under_way = len(receiver.seen)
    wait_for(lambda: len(receiver.seen) > under_way, "a slow call to begin")
    postmaster = int((Locations.of(installation.directory).cluster / "postmaster.pid").read_text().split("\n")[0])
    os.kill(postmaster, signal.SIGQUIT)
    wait_for(lambda: not (away := installation.ask("GET", "/jobs/")).ok and _reports_outage(away), "the API to say so")
    receiver.delay_seconds = 0.0
    seen = len(receiver.seen)
    wait_for(lambda: len(receiver.seen) >= seen + 5, "firings after the database came back")
    installation.call("POST", "/jobs/tick/pause/", json={})
    unfinished = "SELECT count(*) FROM runs_execution WHERE finished_at IS NULL"
    wait_for(lambda: installation.rows(unfinished) == [(0,)], "everything to end")

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
