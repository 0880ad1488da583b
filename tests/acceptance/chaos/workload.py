"""The workload during a storm: jobs of every kind, and manual runs."""

import itertools
import secrets
import threading
from collections.abc import Iterator

import psycopg2

from tests.acceptance.chaos.house import LEASE_SECONDS, House
from tests.acceptance.chaos.racing import change, definition
from tests.support.waiting import wait_for

SECRET = f"canary{secrets.token_hex(12)}"
_BY_HAND_SECONDS = 0.5
_END_SECONDS = 120.0
_PLANNING = """
    SELECT DISTINCT workspace.slug, job.slug
      FROM jobs_scheduleperiod AS period JOIN jobs_jobenvironment AS row ON row.id = period.job_environment_id
      JOIN jobs_job AS job ON job.id = row.job_id
      JOIN accounts_workspace AS workspace ON workspace.id = job.workspace_id
     WHERE period.until_at IS NULL AND period.state = 'active' AND row.next_fire_at IS NOT NULL
"""
_UNFINISHED = """
    SELECT (SELECT count(*) FROM runs_execution WHERE finished_at IS NULL)
         + (SELECT count(*) FROM jobs_scheduleperiod WHERE unsettled_from IS NOT NULL AND until_at IS NOT NULL)
"""

#: Responds after more than a lease, so that a suspended worker may resume before its call is answered.
_LASTING = f"after-{LEASE_SECONDS + 8}"

#: Jobs that measure punctuality: due every second, and answered at once.
PUNCTUAL = (*(f"default/steady-{number}" for number in range(6)), "other/other-0", "other/other-1")


def begin(house: House, *, lasting: bool = True) -> None:
    """Create the jobs, optionally with those whose calls outlast a lease. No fault is active yet."""
    answer = house.ask("POST", "/secrets/", name="CHAOS", value=SECRET)
    assert answer.ok, answer.text
    jobs = _jobs() if lasting else (job for job in _jobs() if job[2] != _LASTING)
    for workspace, slug, behaviour, fields in jobs:
        made = definition(house, workspace, slug, behaviour, **fields)
        if slug.startswith("keeper"):
            made["request"]["body"]["token"] = "{{secrets.CHAOS}}"
        answer = house.ask("PUT", f"/jobs/{slug}/", workspace=workspace, **made)
        assert answer.ok, answer.text


def _jobs() -> Iterator[tuple[str, str, str, dict[str, object]]]:
    """Yield workspace, name, behavior of the endpoint, and further fields of each job."""
    every_second, every_other = {"every_seconds": 1}, {"every_seconds": 2}
    for name in PUNCTUAL:
        workspace, slug = name.split("/")
        yield workspace, slug, "quick", {"schedule": every_second}
    for number in range(2):
        yield "default", f"all-{number}", "quick", {"schedule": every_second, "misfire": "fire_all"}
        yield "default", f"strict-{number}", "quick", {"schedule": every_second, "misfire": "skip"}
        yield "default", f"slow-{number}", "slow", {"schedule": every_other}
        yield "default", f"flaky-{number}", "flaky", {"schedule": every_other, "retry": {"delay_ms": 250}}
        yield "default", f"queue-{number}", "brief", {"schedule": every_second, "overlap": "queue"}
        yield "default", f"alone-{number}", "slow", {"schedule": every_second, "overlap": "skip"}
        yield "default", f"few-{number}", "brief", {"schedule": every_second, "concurrency": 1}
    yield "default", "line", "slow", {"schedule": every_second, "overlap": "queue"}
    yield "default", "newest", "slow", {"schedule": every_other, "overlap": "cancel_running"}
    yield "default", "two", "slow", {"schedule": every_other, "concurrency": 2}
    for attempts in (2, 5):
        fields = {"schedule": every_other, "retry": {"max_attempts": attempts, "delay_ms": 250}}
        yield "default", f"lasting-{attempts}", _LASTING, fields
        yield "default", f"by-hand-lasting-{attempts}", _LASTING, {"retry": {"max_attempts": attempts}}
    yield "default", "keeper", "quick", {"schedule": every_other}
    yield "default", "by-hand", "quick", {}
    yield "default", "deadly", "deadly", {"retry": {"max_attempts": 5}}


#: The jobs that are run manually, in turn.
_ASKED_FOR = ("by-hand",)
_ASKED_FOR_TOO = ("by-hand-lasting-2", "by-hand", "by-hand-lasting-5")


class ByHand:
    """Runs jobs manually from time to time; the house records the confirmed ones."""

    def __init__(self, house: House, *, lasting: bool = True) -> None:
        self._house = house
        self._slugs = _ASKED_FOR + _ASKED_FOR_TOO * lasting
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def _ask(self) -> None:
        for slug in itertools.cycle(self._slugs):
            if self._enough.wait(_BY_HAND_SECONDS):
                return
            self._house.run_by_hand(slug)


def end(house: House) -> bool:
    """Pause all scheduled jobs and wait for all executions to end; return whether they did."""

    def all_paused() -> bool:
        for workspace, slug in (rows := _rows(house, _PLANNING)):
            change(house, slug, "paused", "POST", "pause/", workspace=workspace, note="the end")
        return not rows

    try:
        wait_for(all_paused, "every job to be paused", seconds=_END_SECONDS)
        wait_for(lambda: _rows(house, _UNFINISHED) == [(0,)], "everything to end", seconds=_END_SECONDS)
    except AssertionError:
        return False
    return True


def _rows(house: House, query: str) -> list[tuple[object, ...]]:
    """Query a database that may still be recovering."""
    try:
        return house.services.rows(query)
    except psycopg2.Error as error:
        raise ConnectionError from error
