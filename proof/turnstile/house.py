"""The rows that interleavings are about: a workspace, a job for each rule, and how all of it is made new each time."""

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection

from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from jobs.services.save import save_job
from proof.turnstile import trace
from workers.worker.claim import Claimer

LEASE_SECONDS = 60
USER_AGENT = "Hourhand/turnstile"
#: The occurrences of jobs with a schedule are so far apart; the first comes so long after the jobs were made.
EVERY = datetime.timedelta(seconds=60)
_AGE = datetime.timedelta(minutes=30)
_LIMITS = {"plain": {}, "one": {"concurrency": 1}, "two": {"concurrency": 2}}
_OVERLAPS = ("skip", "queue", "cancel_running")
#: Dead rows slow everything down, so tables are emptied for good after so many interleavings.
_TRUNCATE_AFTER = 150
_COUNTED = ("runs_run", "runs_execution", "runs_tallyslip", "runs_tally", "runs_endedslip", "runs_digest")
_TABLES = (*_COUNTED, "accounts_usage", "accounts_auditentry", "runs_bulkoperation", "proof_change")
_EMPTY = "".join(f"DELETE FROM {table};" for table in _TABLES)
_TRUNCATE = f"TRUNCATE {', '.join(_TABLES)} CASCADE"
_PLAN = """
    UPDATE jobs_jobenvironment
       SET next_fire_at = CASE WHEN id = ANY(%s::uuid[]) THEN %s::timestamptz END, accounted_until = %s, enabled = true,
           last_fired_at = NULL, last_status = '', consecutive_failures = 0
     WHERE workspace_id = %s
"""
_MAKE = """
    INSERT INTO runs_execution (id, workspace_id, job_id, environment_id, job_environment_id, job_version_id, trigger,
                                status, occurrences, skip_reason, created_at, enqueued_at, next_attempt_at, attempts,
                                concurrency, overlap, failure_reason, error)
    SELECT made.id, %s, made.job_id, made.environment_id, made.job_environment_id, made.version_id, 'manual', 'pending',
           1, '', made.at, made.at, made.at, 0, made.concurrency, made.overlap, '', ''
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[], %s::smallint[],
                  %s::text[])
           AS made (id, job_id, environment_id, job_environment_id, version_id, at, concurrency, overlap)
"""


class Place(NamedTuple):
    """A job in its environment, as executions are made there."""

    row: JobEnvironment
    concurrency: int | None
    overlap: str


@dataclass(slots=True)
class House:
    """Made once for a search. `began` is when its jobs were made."""

    workspace: Workspace
    places: dict[str, Place]
    began: datetime.datetime
    _claimers: dict[str, Claimer] = field(default_factory=dict)
    _resets: int = 0

    def claimer(self, owner: str) -> Claimer:
        """A worker's; kept, since it knows the versions then."""
        if owner not in self._claimers:
            self._claimers[owner] = Claimer(owner=owner, lease_seconds=LEASE_SECONDS, user_agent=USER_AGENT)
        return self._claimers[owner]

    def reset(self, jobs: Sequence[str], scheduled: Sequence[str]) -> list[str]:
        """Empty the tables, and make a pending, due execution of each of `jobs`; those of `scheduled` are due.

        Returns the executions' ids, which are the same each time.
        """
        self._resets += 1
        ids = [str(uuid.UUID(int=0x7000_8000_0000_0000_0000 + number)) for number in range(1, len(jobs) + 1)]
        due = [str(self.places[name].row.pk) for name in scheduled]
        with connection.cursor() as cursor:
            cursor.execute(_TRUNCATE if self._resets % _TRUNCATE_AFTER == 0 else _EMPTY)
            cursor.execute(_PLAN, [due, self.began + EVERY, self.began, self.workspace.pk])
            if jobs:
                places = [self.places[name] for name in jobs]
                at = [self.began + datetime.timedelta(seconds=number) for number in range(len(jobs))]
                rows = [place.row for place in places]
                columns: list[Any] = [
                    ids,
                    [str(row.job_id) for row in rows],
                    [str(row.environment_id) for row in rows],
                    [str(row.pk) for row in rows],
                    [str(row.job.current_version_id) for row in rows],
                    at,
                    [place.concurrency for place in places],
                    [place.overlap for place in places],
                ]
                cursor.execute(_MAKE, [self.workspace.pk, *columns])
        return ids


def make_house(now: datetime.datetime) -> House:
    """Make the rows, and the trigger that keeps what changes."""
    trace.install()
    began = now - _AGE
    workspace = create_workspace(slug="turnstile", name="Turnstile")
    places = {name: _place(workspace, name, began, **changes) for name, changes in _LIMITS.items()}
    schedule = {"every_seconds": int(EVERY.total_seconds())}
    for policy in _OVERLAPS:
        places[policy] = _place(workspace, policy.replace("_", "-"), began, overlap=policy, schedule=schedule)
    return House(workspace, places, began)


def _place(workspace: Workspace, slug: str, now: datetime.datetime, **changes: Any) -> Place:
    config = _config(name=slug, **changes)
    job = save_job(workspace=workspace, job=None, slug=slug, config=config, environments=None, now=now)
    row = JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)
    overlap = config["overlap"]
    return Place(row, config["concurrency"], "" if overlap == "allow" else overlap)


def _config(**changes: Any) -> dict[str, Any]:
    """A definition whose failed attempts are tried again at once, twice."""
    return {**json.loads(_DEFINITION), **changes}


_DEFINITION = """{
    "name": "", "description": "", "tags": [], "kind": "http", "schedule": null, "timezone": "UTC", "starts_at": null,
    "ends_at": null, "jitter_seconds": 0, "dst_gap": "shift", "dst_fold": "first", "overlap": "allow",
    "misfire": "fire_once", "misfire_grace_seconds": 3600,
    "request": {"url": "http://receiver.test/", "method": "POST", "headers": {}, "body": null, "timeout_seconds": 30,
                "tls_verify": true, "ca_cert": null},
    "success": {"statuses": ["2xx"], "assertions": []},
    "retry": {"policy": null, "max_attempts": 3, "backoff": "fixed", "delay_ms": 0, "max_delay_ms": 0,
              "delays_ms": null, "jitter": false, "on_statuses": [503], "except_statuses": [], "on_timeout": true,
              "on_connection_error": true, "on_assertion": false, "on_worker_lost": true, "honor_retry_after": false},
    "callback_url": null, "concurrency": null, "command": null, "workflow": null,
    "retention": {"keep_last": 100, "keep_days": null}
}"""
