"""A real worker with a hostile endpoint that blocks, floods or misleads it, beside a well-behaved one."""

import base64
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from runs.failures import FailureReason
from tests.support.deployment import Deployment, installed
from tests.support.deployment_databases import Template
from tests.support.hostile_target import HALF, NOT_TEXT
from tests.support.project import ROOT
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for
from workers.delivery.transfer import KEPT_BODY_BYTES, READ_BODY_BYTES

pytestmark = pytest.mark.edges
TIMEOUT_SECONDS = 2
SLACK_MS = 1000
EACH = 5
STEADY_JOBS = 5
MAX_GROWTH_BYTES = 50 * 1024 * 1024
SOME = range(1, 100)
_UNDER_WAY = "SELECT count(*) FROM runs_execution WHERE trigger = 'manual' AND finished_at IS NULL"
CUT = range(READ_BODY_BYTES, READ_BODY_BYTES + 200_000)


@dataclass(frozen=True)
class Case:
    """A behavior on a listener, and the expected record. `body_bytes` is the allowed range."""

    does: str
    reason: FailureReason | None
    error: str | None = None
    status: int | None = None
    body_bytes: range = range(1)
    truncated: bool = False
    listener: str = "plain"

    @property
    def slug(self) -> str:
        return f"{self.listener}-{self.does}".replace("_", "-")


TIMED_OUT = f"timed out after {TIMEOUT_SECONDS} s"
CASES = [
    Case("huge", None, status=200, body_bytes=CUT, truncated=True),
    Case("endless_chunks", None, status=200, body_bytes=CUT, truncated=True),
    Case("gzip_bomb", None, status=200, body_bytes=CUT, truncated=True),
    Case("many_headers", None, status=200, truncated=True),
    Case("endless_trailers", None, status=200, body_bytes=range(2, 3), truncated=True),
    Case("endless_interim", FailureReason.CONNECTION_ERROR, "header"),
    Case("slow_interim", FailureReason.TIMEOUT, TIMED_OUT),
    Case("slow_head", FailureReason.TIMEOUT, TIMED_OUT),
    Case("slow_body", FailureReason.TIMEOUT, TIMED_OUT, status=200, body_bytes=SOME, truncated=True),
    Case("silence", FailureReason.TIMEOUT, TIMED_OUT),
    Case("reset_at_once", FailureReason.CONNECTION_ERROR, "reset"),
    Case(
        "reset_in_the_middle",
        FailureReason.CONNECTION_ERROR,
        "reset",
        200,
        range(len(HALF), len(HALF) + 1),
        truncated=True,
    ),
    Case("cut_short", FailureReason.CONNECTION_ERROR, "missing", 200, range(len(HALF), len(HALF) + 1), truncated=True),
    Case("not_http", FailureReason.CONNECTION_ERROR, "not HTTP"),
    Case("nul_in_header", FailureReason.CONNECTION_ERROR, "NUL", status=200, truncated=True),
    Case("not_text", None, status=200, body_bytes=range(len(NOT_TEXT), len(NOT_TEXT) + 1)),
    Case("fine", None, status=200, body_bytes=range(2, 3), listener="trusted"),
    Case("fine", FailureReason.SSL_ERROR, "127.0.0.1", listener="wrong_name"),
    Case("fine", FailureReason.SSL_ERROR, "expired", listener="expired"),
    Case("fine", FailureReason.SSL_ERROR, "self-signed", listener="self_signed"),
]


class Target:
    """The hostile endpoint's process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.hostile_target"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._ports = json.loads(self._process.stdout.readline())

    def request(self, case: Case) -> dict[str, Any]:
        """Return the request of a job for this case."""
        scheme = "http" if case.listener == "plain" else "https"
        url = f"{scheme}://127.0.0.1:{self._ports[case.listener]}/{case.does}"
        trust = {} if case.listener == "plain" else {"ca_cert": self._ports["authority"]}
        return {"url": url, "method": "GET", "timeout_seconds": TIMEOUT_SECONDS, **trust}

    def seen(self, case: Case) -> int:
        """Return the number of requests received for this case."""
        counted = requests.get(f"http://127.0.0.1:{self._ports['plain']}/seen", timeout=10).json()
        return counted.get(f"{case.listener} /{case.does}", 0)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


class Memory:
    """The resident memory of a process, sampled from outside."""

    def __init__(self, process_id: int) -> None:
        self._status = Path(f"/proc/{process_id}/status")
        self.first_bytes = self.most_bytes = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.most_bytes = max(self.most_bytes, self._now())

    def _now(self) -> int:
        (line,) = [line for line in self._status.read_text().splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


@dataclass
class Aftermath:
    """The state after all calls have ended."""

    deployment: Deployment
    target: Target
    memory: Memory
    steady_seen: int

    def runs(self, case: Case) -> list[dict[str, Any]]:
        """Return the case's runs in full from the API."""
        listed = self.deployment.call("GET", f"/runs/?job={case.slug}")["results"]
        return [self.deployment.call("GET", f"/runs/{run['id']}/") for run in listed]


@pytest.fixture(scope="module")
def aftermath(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Run every case several times at once, beside jobs that call a well-behaved endpoint every second."""
    with (
        contextlib.closing(Target()) as target,
        contextlib.closing(Receiver()) as receiver,
        installed(template, tmp_path_factory.mktemp("deployment")) as deployment,
    ):
        for case in CASES:
            deployment.make_job(case.slug, request=target.request(case), retry={"max_attempts": 1})
        for number in range(STEADY_JOBS):
            wanted = {"url": f"{receiver.url}/", "method": "GET"}
            deployment.make_job(f"steady-{number}", schedule={"every_seconds": 1}, request=wanted)
        deployment.start("beat")
        deployment.start("worker")
        wait_for(lambda: len(receiver.seen) >= 4 * STEADY_JOBS, "the worker to be warm")
        memory = Memory(deployment.processes["worker"].pid)
        for case in CASES:
            deployment.make_pending(case.slug, EACH, enqueued=False)
        wait_for(lambda: deployment.rows(_UNDER_WAY) == [(0,)], "every hostile call to end")
        seen = len(receiver.seen)
        wait_for(lambda: len(receiver.seen) >= seen + 2 * STEADY_JOBS, "the others to go on")
        for number in range(STEADY_JOBS):
            deployment.call("POST", f"/jobs/steady-{number}/pause/", json={})
        wait_for(lambda: deployment.unfinished() == 0, "everything to end")
        memory.stop()
        yield Aftermath(deployment, target, memory, len(receiver.seen))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_each_call_ends_in_time_with_the_right_reason_and_record(aftermath: Aftermath, case: Case) -> None:
    runs = aftermath.runs(case)
    assert len(runs) == EACH
    for run in runs:
        response = run["response"]
        told = f"{run['error']!r}, {response}"[:500]
        assert run["failure_reason"] == (case.reason.value if case.reason else None), told
        assert run["status"] == ("failed" if case.reason else "succeeded")
        assert run["duration_ms"] <= TIMEOUT_SECONDS * 1000 + SLACK_MS
        if case.reason is FailureReason.TIMEOUT:
            assert run["duration_ms"] >= TIMEOUT_SECONDS * 1000
        assert (case.error or "") in (run["error"] or ""), told
        assert bool(run["error"]) == bool(case.reason)
        if case.status is None:
            assert response is None, told
            continue
        assert response["status_code"] == case.status
        assert response["body_bytes"] in case.body_bytes, told
        assert response["body_truncated"] == case.truncated
        assert response["remote_ip"] == "127.0.0.1"


def test_stored_bodies_equal_what_was_sent(aftermath: Aftermath) -> None:
    kept = {case.slug: aftermath.runs(case)[0]["response"] for case in CASES if case.status is not None}
    for slug in ("plain-huge", "plain-endless-chunks"):
        assert kept[slug]["body"] == "x" * KEPT_BODY_BYTES
    bomb = kept["plain-gzip-bomb"]
    assert (bomb["body_encoding"], base64.b64decode(bomb["body"])) == ("base64", bytes(KEPT_BODY_BYTES))
    binary = kept["plain-not-text"]
    assert (binary["body_encoding"], base64.b64decode(binary["body"])) == ("base64", NOT_TEXT)
    assert binary["headers"]["x-name"] == "caf\xe9 \xff"
    for slug in ("plain-reset-in-the-middle", "plain-cut-short"):
        assert kept[slug]["body"] == HALF.decode()
    assert set(kept["plain-slow-body"]["body"]) == {"x"}
    assert kept["plain-endless-trailers"]["body"] == "ok"
    assert 100 < len(kept["plain-many-headers"]["headers"]) <= 200


@pytest.mark.parametrize("listener", ["wrong_name", "expired", "self_signed"])
def test_an_endpoint_with_an_untrusted_certificate_receives_no_request(aftermath: Aftermath, listener: str) -> None:
    assert aftermath.target.seen(Case("fine", None, listener="trusted")) == EACH
    assert aftermath.target.seen(Case("fine", None, listener=listener)) == 0


def test_other_jobs_are_unaffected(aftermath: Aftermath) -> None:
    steady = aftermath.deployment.rows(
        "SELECT run.status, started_at, finished_at FROM runs_run AS run JOIN jobs_job AS job ON job.id = job_id"
        " WHERE job.slug LIKE 'steady-%%'"
    )
    assert len(steady) == aftermath.steady_seen
    assert {status for status, _, _ in steady} == {"succeeded"}
    timed_out = aftermath.deployment.rows(
        "SELECT started_at, finished_at FROM runs_run WHERE failure_reason = 'timeout'"
    )
    assert len(timed_out) == EACH * sum(case.reason is FailureReason.TIMEOUT for case in CASES)
    for began, ended in timed_out:  # others started and finished meanwhile
        assert any(began < started and finished < ended for _, started, finished in steady)
    assert aftermath.deployment.rows("SELECT count(*) FROM runs_run WHERE number > 1") == [(0,)]


def test_the_workers_memory_grows_little(aftermath: Aftermath) -> None:
    assert aftermath.memory.most_bytes - aftermath.memory.first_bytes < MAX_GROWTH_BYTES


def test_the_worker_logs_no_errors(aftermath: Aftermath) -> None:
    log = aftermath.deployment.log("worker")
    for event in (
        "Traceback",
        "delivery_fenced",
        "attempt_not_storable",
        "delivery_turn_failed",
        "recorder_turn_failed",
    ):
        assert event not in log
