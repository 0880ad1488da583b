"""The house that chaos strikes: `manage.py up` with two beats and some workers, on services that are supervised apart.

Nothing here starts a process but the installation itself: what is killed comes back by the supervisors, or not at all.
"""

import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import psycopg2
import requests

from tests.acceptance.chaos.history import Change, Disturbance, Overdue
from tests.acceptance.chaos.services import Services
from tests.acceptance.chaos.stalls import Stalls
from tests.acceptance.chaos.target import Target
from tests.acceptance.chaos.witness import Witness
from tests.support.deployment_databases import Template, copied_database
from tests.support.installation import Installation
from tests.support.project import ROOT
from tests.support.waiting import wait_for

LEASE_SECONDS = 10
HEARTBEAT_SECONDS = LEASE_SECONDS / 3
#: Maximum time from a lease's expiry to the end of its run without disturbances: a sweep, the reaper's wait, a margin.
REAP_SECONDS = 5.0 + 2 * HEARTBEAT_SECONDS + 5.0
#: Time for the supervisors to restart what was killed: back-off, and a start on a busy machine.
BACK_SECONDS = 120.0
WORKERS = 2
_OTHER_WORKSPACE = """
from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import Scope
from accounts.services import create_workspace
workspace = create_workspace(slug="other", name="Other")
print(issue_key(workspace=workspace, name="k", scopes=Scope.values, actor=SYSTEM).key)
"""


class House:
    """One installation under test and the events of its processes. `keys` are API keys by workspace."""

    def __init__(self, directory: Path, database_url: str, *, workers: int = WORKERS) -> None:
        self.directory = directory
        self.workers = workers
        self._expected = {"web": 1, "beat": 2, "worker": workers}
        self.services = Services(database_url, os.environ["REDIS_URL"])
        self.failpoints, self.clocks = directory / "failpoints", directory / "clocks"
        for made in (self.failpoints, self.clocks):
            made.mkdir()
        kept = ("SECRET_KEY", "HOURHAND_ENCRYPTION_KEYS")
        self.installation = Installation(
            directory / "var",
            **{name: os.environ[name] for name in kept},
            DATABASE_URL=database_url,
            REDIS_URL=os.environ["REDIS_URL"],
            HOURHAND_BEATS=str(self._expected["beat"]),
            HOURHAND_WORKERS=str(self._expected["worker"]),
            HOURHAND_LEASE_SECONDS=str(LEASE_SECONDS),
            HOURHAND_API_RATE="0",
            HOURHAND_FAILPOINTS=str(self.failpoints),
            CHAOS_CLOCKS=str(self.clocks),
            PYTHONPATH=str(Path(__file__).parent / "clocks"),
        )
        self.keys: dict[str, str] = {}
        self.target = Target(directory / "target.jsonl", on_deadly=self._kill_holder)
        self.struck: dict[int, str] = {}
        self.stalls = Stalls()
        self.asked: set[str] = set()
        self.unsure: Counter[str] = Counter()
        self._gone: dict[int, str] = {}
        self.overdue: dict[str, Overdue] = {}
        self.changes: list[Change] = []
        self.races = 0
        self.deploys = 0
        self.longest_overdue_seconds = 0.0
        self._fire: list[tuple[float, float]] = []
        self._struck_in: list[Disturbance] = []
        self._witness = Witness(database_url)
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    # -- start and stop ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        making = self._manage("shell", "--no-imports", "-c", _OTHER_WORKSPACE)
        self.installation.start()
        self.keys["default"] = json.loads((self.installation.directory / "first-run.json").read_text())["api_key"]
        self.keys["other"] = making.communicate()[0].strip()
        wait_for(self.is_whole, "every process", seconds=BACK_SECONDS)
        self._watcher.start()
        self._witness.start()

    def close(self) -> None:
        self._watching.set()
        self._witness.stop()
        if self.installation.process.poll() is None:
            self.installation.stop()
        self.target.close()

    def _manage(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.installation.environment, stdout=subprocess.PIPE, text=True)

    def ask(self, method: str, path: str, *, workspace: str = "default", **fields: object) -> requests.Response:
        """Call the API. Raises requests.RequestException if there is no response."""
        return requests.request(
            method,
            f"{self.installation.url()}/api/v1{path}",
            headers={"Authorization": f"Bearer {self.keys[workspace]}"},
            json=fields or None,
            timeout=10,
        )

    def run_by_hand(self, slug: str) -> str | None:
        """Run a job and return the confirmed execution's id. None: it is unknown whether there is one."""
        self.unsure[slug] += 1
        with contextlib.suppress(requests.RequestException):
            answer = self.ask("POST", f"/jobs/{slug}/run/")
            if answer.ok:
                self.asked.add(made := str(answer.json()["id"]))
            if answer.status_code < 500:
                self.unsure[slug] -= 1
            return made if answer.ok else None
        return None

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    # -- processes -----------------------------------------------------------------------------------------------------

    def processes(self, kind: str | None = None) -> list[psutil.Process]:
        """Return the supervisor's children of a kind (`web`, `beat`, `worker`; None: all), the oldest first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.installation.process.pid).children()
            found = [child for child in children if (own := kind_of(child)) and kind in {None, own}]
            return sorted(found, key=lambda child: child.pid)
        return []

    def is_whole(self) -> bool:
        """Return whether every process works: web is ready, and each beat and worker has a heartbeat."""
        with contextlib.suppress(requests.RequestException, psycopg2.Error):
            there = len(self.processes("web")) == self._expected["web"]
            return there and self._at_work("beat") and self._at_work("worker") and self._is_ready()
        return False

    def _is_ready(self) -> bool:
        return requests.get(f"{self.installation.url()}/readyz", timeout=5).ok

    def _at_work(self, kind: str) -> bool:
        """Return whether each process of a kind has sent a heartbeat since its start."""
        heard = self.services.rows(
            "SELECT extract(epoch FROM started_at)::float8 FROM runs_heartbeat WHERE kind = %s"
            " ORDER BY started_at DESC LIMIT %s",
            *(kind, self._expected[kind]),
        )
        with contextlib.suppress(psutil.NoSuchProcess):
            started = sorted((process.create_time() for process in self.processes(kind)), reverse=True)
            if len(started) == len(heard) == self._expected[kind]:
                return all(told > begun for (told,), begun in zip(heard, started, strict=True))
        return False

    def kill(self, process: psutil.Process, why: str) -> None:
        """Send SIGKILL and record it."""
        self.died(process.pid, why)
        send(process, signal.SIGKILL)

    def died(self, pid: int, why: str) -> None:
        """Record that a process is dead; a worker's attempts are lost."""
        self.struck[pid] = why
        self.stalls.killed(pid, why)

    def stop(self, processes: Iterable[psutil.Process], why: str) -> None:
        """Send SIGSTOP and record it; parents first, so that none forks meanwhile."""
        for process in processes:
            self.stood(process.pid, why)
            send(process, signal.SIGSTOP)

    def stood(self, pid: int, why: str) -> None:
        """Record that a process is suspended; its leases may expire meanwhile."""
        self.struck[pid] = why
        self.stalls.stopped(pid, why)

    def resume(self, processes: Iterable[psutil.Process]) -> None:
        """Send SIGCONT and record it."""
        for process in processes:
            send(process, signal.SIGCONT)
            self.stalls.resumed(process.pid)

    def _kill_holder(self, execution: str) -> None:
        """Kill the worker that holds an execution according to its row."""
        with contextlib.suppress(psycopg2.Error, psutil.NoSuchProcess):
            ((owner,),) = self.services.rows("SELECT lease_owner FROM runs_execution WHERE id = %s", execution)
            if owner:
                self.kill(psutil.Process(int(owner.split("/")[1])), "its target")

    # -- monitoring ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def under_fire(self, what: str) -> Iterator[None]:
        """Record a disturbance, during which lateness and expired leases are allowed."""
        self._fire.append((begun := time.monotonic(), float("inf")))
        since = time.time()
        yield
        self._fire[-1] = (begun, time.monotonic())
        self._struck_in.append(Disturbance(since, time.time(), what))

    def disturbances(self) -> list[Disturbance]:
        """Return all disturbances: the faults, and what the witness measured."""
        return [*self._struck_in, *self._witness.seen()]

    def _quiet_seconds(self, since: float, until: float) -> float:
        """Return how much of a span was without faults."""
        return until - since - sum(max(0.0, min(until, end) - max(since, begun)) for begun, end in self._fire)

    def _watch(self) -> None:
        """Detect processes that die without a fault, and expired leases that are not reaped."""
        known: dict[int, str] = {}
        while not self._watching.wait(1.0):
            present = {child.pid: kind_of(child) for child in self.processes()}
            self._gone.update((pid, kind) for pid, kind in known.items() if pid not in present)
            known = {pid: kind for pid, kind in present.items() if kind}
            with contextlib.suppress(psycopg2.Error):
                self._look_at_leases()

    def died_alone(self) -> list[str]:
        """Return processes that ended without a fault."""
        return [f"{kind} {pid}" for pid, kind in self._gone.items() if pid not in self.struck]

    def _look_at_leases(self) -> None:
        expired = self.services.rows(
            "SELECT id::text, extract(epoch FROM clock_timestamp() - lease_expires_at)::float8 FROM runs_execution"
            " WHERE status = 'running' AND lease_expires_at < clock_timestamp()"
        )
        now = time.monotonic()
        for execution, seconds in expired:
            self.longest_overdue_seconds = max(self.longest_overdue_seconds, seconds)
            quiet_seconds = self._quiet_seconds(now - seconds, now)
            if quiet_seconds > REAP_SECONDS:
                self.overdue[execution] = Overdue(execution, quiet_seconds)


def kind_of(process: psutil.Process) -> str:
    """Return the kind of a supervisor's child; empty for others and for ended ones."""
    with contextlib.suppress(psutil.NoSuchProcess):
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return next((kind for kind, word in _MARKS.items() if word in words), "")
    return ""


_MARKS = {"web": "gunicorn", "beat": "beat", "worker": "worker"}


def send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def stop_all(processes: list[psutil.Process]) -> None:
    """Send SIGSTOP, parents first, so that none forks meanwhile."""
    for process in processes:
        send(process, signal.SIGSTOP)


def resume_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        send(process, signal.SIGCONT)


@contextlib.contextmanager
def standing(template: Template, directory: Path, *, workers: int = WORKERS) -> Iterator[House]:
    """Start a house without jobs."""
    with copied_database(template) as database_url:
        shutil.copytree(template.directory, directory / "var")
        house = House(directory, database_url, workers=workers)
        try:
            house.start()
            yield house
        finally:
            house.close()
