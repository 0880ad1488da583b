"""Recovers what a dead worker held: its run is `failed` with `worker_lost`, and the retry policy decides the rest."""

import datetime
import json
import random
from typing import Any

from django.db import connection, transaction

from accounts.ids import uuid7
from jobs.definition import JobDefinition
from runs.attempts import Attempt, Ending, FinishedAttempt, Phases
from runs.failures import FailureReason
from runs.recording import record
from runs.requests import Firing, PreparedRequest
from runs.retry import verdict

BATCH = 500
_ERROR = "The worker stopped renewing its lease; the request may have been sent."
# A row claimed before its lease could expire was due before that too: the bound keeps the scan off the fresh backlog.
_EXPIRED = """
    SELECT execution.id::text, execution.workspace_id::text, execution.job_id::text, execution.environment_id::text,
           execution.job_environment_id::text, execution.job_version_id::text, execution.trigger, execution.attempts,
           execution.lease_owner, execution.scheduled_for,
           CASE WHEN execution.attempts > 1 THEN execution.next_attempt_at ELSE execution.started_at END, job.slug,
           version.config::text
      FROM runs_execution AS execution
      JOIN jobs_job AS job ON job.id = execution.job_id
      JOIN jobs_jobversion AS version ON version.id = execution.job_version_id
     WHERE execution.finished_at IS NULL AND execution.next_attempt_at <= clock_timestamp()
       AND execution.status = 'running' AND execution.lease_expires_at < clock_timestamp()
     ORDER BY execution.id
     LIMIT %s
       FOR NO KEY UPDATE OF execution SKIP LOCKED
"""


def seconds_since_database_start() -> float:
    """How long the database has been up. After an outage no lease is judged before its worker could renew it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())")
        return float(cursor.fetchone()[0])


def reap_expired(*, user_agent: str, chance: random.Random, limit: int = BATCH) -> int:
    """End the attempts whose lease has expired, on the database's clock. Returns how many executions moved."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        cursor.execute(_EXPIRED, [limit])
        lost = [_lost_attempt(row, now=now, user_agent=user_agent, chance=chance) for row in cursor.fetchall()]
        return len(record(cursor, lost))


def _lost_attempt(
    row: tuple[Any, ...], *, now: datetime.datetime, user_agent: str, chance: random.Random
) -> FinishedAttempt:
    *held, lease_owner, scheduled_for, started_at, slug, config = row
    definition = JobDefinition.of(json.loads(config))
    attempt = Attempt(str(uuid7()), lease_owner, *held)
    firing = Firing(attempt.execution_id, slug, attempt.number, scheduled_for)
    reason = FailureReason.WORKER_LOST
    return FinishedAttempt(
        attempt=attempt,
        sent=PreparedRequest.of(definition.request, user_agent=user_agent).sent_for(firing),
        received=None,
        remote_ip=None,
        phases=Phases(),
        ending=Ending(
            verdict=verdict(definition.retry, attempt=attempt.number, reason=reason, chance=chance),
            failure_reason=reason,
            error=_ERROR,
            started_at=started_at,
            finished_at=now,
        ),
        worker=lease_owner,
    )
