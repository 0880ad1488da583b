"""The rows that interleavings act on: a workspace and a job for each rule, reset before each interleaving."""

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection

from accounts.actors import SYSTEM
from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from jobs.services.save import save_job
from proof.turnstile import trace
from workers.worker.claim import Claimer

LEASE_SECONDS = 60
USER_AGENT = "Hourhand/turnstile"
#: The interval of jobs with a schedule; their first occurrence is one interval after their creation.
EVERY = datetime.timedelta(seconds=60)
_AGE = datetime.timedelta(minutes=30)
_LIMITS = {"plain": {}, "one": {"concurrency": 1}, "two": {"concurrency": 2}}
_OVERLAPS = ("skip", "queue", "cancel_running")
#: Dead rows slow everything down, so tables are truncated after this many interleavings.
_TRUNCATE_AFTER = 150
_COUNTED = ("runs_run", "runs_execution", "runs_tallyslip", "runs_tally", "runs_endedslip", "runs_digest")
_TABLES = (*_COUNTED, "accounts_usage", "accounts_auditentry", "runs_bulkoperation", "proof_change")
_EMPTY = "".join(f"DELETE FROM {table};" for table in _TABLES)
_TRUNCATE = f"TRUNCATE {', '.join(_TABLES)} CASCADE"
_SCHEDULE_JOBS = """
    UPDATE jobs_jobenvironment
       SET next_fire_at = CASE WHEN id = ANY(%s::uuid[]) THEN %s::timestamptz END, accounted_until = %s, enabled = true,
           last_fired_at = NULL, last_status = '', consecutive_failures = 0
     WHERE workspace_id = %s
"""
_INSERT_EXECUTIONS = """
    INSERT INTO runs_execution (id, workspace_id, job_id, environment_id, job_environment_id, job_version_id, trigger,
                                status, occurrences, skip_reason, created_at, enqueued_at, next_attempt_at, attempts,
                                concurrency, overlap, failure_reason, error)
    SELECT made.id, %s, made.job_id, made.environment_id, made.job_environment_id, made.version_id, 'manual', 'pending',
           1, '', made.at, made.at, made.at, 0, made.concurrency, made.overlap, '', ''
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[], %s::smallint[],
                  %s::text[])
           AS made (id, job_id, environment_id, job_environment_id, version_id, at, concurrency, overlap)
"""


class FixtureJob(NamedTuple):
    """A job in its environment, with what its executions copy."""

    job_environment: JobEnvironment
    concurrency: int | None
    overlap: str


@dataclass(slots=True)
class Fixture:
    """Created once for a search. `began` is when its jobs were created."""

    workspace: Workspace
    jobs_by_name: dict[str, FixtureJob]
    began: datetime.datetime
    _claimers: dict[str, Claimer] = field(default_factory=dict)
    _resets: int = 0

    def claimer(self, owner: str) -> Claimer:
        """The claimer of a worker; kept, so that it has the versions cached."""
        if owner not in self._claimers:
            self._claimers[owner] = Claimer(owner=owner, lease_seconds=LEASE_SECONDS, user_agent=USER_AGENT)
        return self._claimers[owner]

    def reset(self, jobs: Sequence[str], scheduled: Sequence[str]) -> list[str]:
        """Empty the tables, create a pending, due execution of each of `jobs`, and make `scheduled` jobs due.

        Returns the executions' ids, the same each time.
        """
        self._resets += 1
        ids = [str(uuid.UUID(int=0x7000_8000_0000_0000_0000 + number)) for number in range(1, len(jobs) + 1)]
        due = [str(self.jobs_by_name[name].job_environment.pk) for name in scheduled]
        with connection.cursor() as cursor:
            cursor.execute(_TRUNCATE if self._resets % _TRUNCATE_AFTER == 0 else _EMPTY)
            cursor.execute(_SCHEDULE_JOBS, [due, self.began + EVERY, self.began, self.workspace.pk])
            if jobs:
                fixture_jobs = [self.jobs_by_name[name] for name in jobs]
                at = [self.began + datetime.timedelta(seconds=number) for number in range(len(jobs))]
                job_environments = [fixture_job.job_environment for fixture_job in fixture_jobs]
                columns: list[Any] = [
                    ids,
                    [str(job_environment.job_id) for job_environment in job_environments],
                    [str(job_environment.environment_id) for job_environment in job_environments],
                    [str(job_environment.pk) for job_environment in job_environments],
                    [str(job_environment.job.current_version_id) for job_environment in job_environments],
                    at,
                    [fixture_job.concurrency for fixture_job in fixture_jobs],
                    [fixture_job.overlap for fixture_job in fixture_jobs],
                ]
                cursor.execute(_INSERT_EXECUTIONS, [self.workspace.pk, *columns])
        return ids


def make_fixture(now: datetime.datetime) -> Fixture:
    """Create the rows, and the trigger that logs changes."""
    trace.install()
    began = now - _AGE
    workspace = create_workspace(slug="turnstile", name="Turnstile")
    jobs_by_name = {name: _make_job(workspace, name, began, **changes) for name, changes in _LIMITS.items()}
    schedule = {"every_seconds": int(EVERY.total_seconds())}
    for policy in _OVERLAPS:
        jobs_by_name[policy] = _make_job(workspace, policy.replace("_", "-"), began, overlap=policy, schedule=schedule)
    return Fixture(workspace, jobs_by_name, began)


def _make_job(workspace: Workspace, slug: str, now: datetime.datetime, **changes: Any) -> FixtureJob:
    config = _config(name=slug, **changes)
    job = save_job(workspace=workspace, job=None, slug=slug, config=config, environments=None, now=now, actor=SYSTEM)
    job_environment = JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)
    overlap = config["overlap"]
    return FixtureJob(job_environment, config["concurrency"], "" if overlap == "allow" else overlap)


def _config(**changes: Any) -> dict[str, Any]:
    """A definition that retries a failed attempt at once, twice."""
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
