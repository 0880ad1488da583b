"""Backup and restore with PostgreSQL's own programs and real processes, as in docs/backup.md."""

import subprocess
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.embedded.postgres import postgres_binary
from tests.support.deployment import LOOPBACK_ALLOWED, Deployment
from tests.support.deployment_databases import drop_database
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

#: Longer than the polling interval of an idle worker.
_LONG_ENOUGH_TO_CLAIM = 3.0


@pytest.fixture
def restored_url(deployment: Deployment):
    """Yield the URL of a new, empty database, and drop it afterwards."""
    url = urlsplit(deployment.environment["DATABASE_URL"])
    name = f"{url.path[1:]}_restored"
    deployment.rows(f"CREATE DATABASE {name}")
    yield url._replace(path=f"/{name}").geturl()
    drop_database(deployment.environment["DATABASE_URL"], name)


def dumped(url: str, to: Path) -> None:
    subprocess.run([postgres_binary("pg_dump"), "--format=custom", f"--file={to}", f"--dbname={url}"], check=True)


def restored(dump: Path, url: str) -> None:
    words = ["--exit-on-error", "--no-owner", f"--dbname={url}", str(dump)]
    subprocess.run([postgres_binary("pg_restore"), *words], check=True)


def test_a_restored_database_waits_for_the_operator_and_fires_nothing_old(
    deployment: Deployment, receiver: Receiver, tmp_path: Path, restored_url: str
):
    deployment.start("beat")
    deployment.start("worker")
    call = {"url": f"{receiver.url}/", "method": "GET"}
    deployment.make_job("tick", schedule={"every_seconds": 1}, misfire="fire_all", request=call)
    deployment.make_job("slow", request={"url": f"{receiver.url}/slow", "method": "GET"})
    wait_for(lambda: len(receiver.seen) >= 2, "the schedule to fire")
    deployment.kill("worker")
    deployment.call("POST", "/jobs/slow/run/", json={})
    dumped(deployment.environment["DATABASE_URL"], tmp_path / "hourhand.dump")
    deployment.start("worker-again")
    wait_for(lambda: any(seen["path"] == "/slow" for seen in receiver.seen), "what the backup holds as pending")
    for name in ("beat", "worker-again"):
        deployment.kill(name)

    restored(tmp_path / "hourhand.dump", restored_url)
    lost = time.time()
    before = len(receiver.seen)
    second = Deployment(restored_url, deployment.redis_url, tmp_path, LOOPBACK_ALLOWED)
    try:
        second.start("beat-of-the-restored")
        second.start("worker-of-the-restored")
        wait_for(lambda: "clock_held" in second.log("beat-of-the-restored"), "the beat to say that it is held")
        time.sleep(_LONG_ENOUGH_TO_CLAIM)
        assert len(receiver.seen) == before, "a restored database delivers nothing unasked"

        second.manage("restored", "--release")
        wait_for(lambda: len(receiver.seen) >= before + 2, "the schedule to go on")
        after = receiver.seen[before:]
        assert not [seen for seen in after if seen["path"] == "/slow"], "what was delivered since is not done again"
        assert all(planned_at(second, seen) > lost for seen in after), "nothing old fires"
        reasons = Counter(dict(second.rows("SELECT skip_reason, count(*) FROM runs_execution GROUP BY 1")))
        assert reasons["missed"] == 1, "one row counts all that is unknown"
        assert ("canceled", 1) in second.rows(
            "SELECT status, count(*) FROM runs_execution WHERE trigger = 'manual' GROUP BY 1"
        )
    finally:
        second.close()


def planned_at(deployment: Deployment, seen: dict) -> float:
    key = seen["headers"]["x-hourhand-execution-id"]
    return deployment.rows("SELECT extract(epoch FROM scheduled_for)::float8 FROM runs_execution WHERE id = %s", key)[
        0
    ][0]


def test_a_moved_deployment_continues_where_it_stopped(
    deployment: Deployment, receiver: Receiver, tmp_path: Path, restored_url: str
):
    deployment.make_job("later", request={"url": f"{receiver.url}/", "method": "GET"})
    execution = deployment.call("POST", "/jobs/later/run/", json={})
    dumped(deployment.environment["DATABASE_URL"], tmp_path / "hourhand.dump")
    restored(tmp_path / "hourhand.dump", restored_url)
    second = Deployment(restored_url, deployment.redis_url, tmp_path, LOOPBACK_ALLOWED)
    try:
        second.manage("restored", "--moved")
        second.start("beat-of-the-moved")
        second.start("worker-of-the-moved")
        wait_for(lambda: execution["id"] in receiver.deliveries(), "what waited to be delivered")
    finally:
        second.close()
