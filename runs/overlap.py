"""Decides what an occurrence does while an earlier execution of its job is live, and when a queued one starts.

The caller holds the lock of the job-environment, so what is live there can only end meanwhile. The unique keys of the
executions hold the rule even against a writer without that lock.
"""

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from jobs.definition.contract import Overlap
from runs.states import Trigger

_BATCH = 1000
_LIVE_EXECUTIONS = """
    SELECT job_environment_id::text, id, trigger, queued FROM runs_execution
     WHERE job_environment_id = ANY(%s::uuid[]) AND finished_at IS NULL AND overlap <> ''
"""
_LOCK_ENVIRONMENTS = "SELECT id FROM jobs_jobenvironment WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# What a foreign key would do for a new execution; besides, the job must not be purged.
_HOLD_ENVIRONMENTS = """
    SELECT row.id::text FROM jobs_jobenvironment AS row JOIN jobs_job AS job ON job.id = row.job_id
     WHERE row.id = ANY(%s::uuid[]) AND job.purged_at IS NULL ORDER BY row.id FOR KEY SHARE OF row
"""
_NOTHING_LIVES = """
    NOT EXISTS (
        SELECT FROM runs_execution AS live
         WHERE live.job_environment_id = waiting.job_environment_id
           AND live.finished_at IS NULL AND live.overlap <> '' AND NOT live.queued
    )
"""
_RELEASE = f"""
    UPDATE runs_execution AS waiting
       SET queued = false, enqueued_at = NULL,
           next_attempt_at = greatest(clock_timestamp(),
                                      waiting.scheduled_for + waiting.jitter_ms * interval '1 millisecond')
     WHERE waiting.job_environment_id = ANY(%s::uuid[]) AND waiting.finished_at IS NULL AND waiting.queued
       AND {_NOTHING_LIVES}
"""  # noqa: S608 - our own text
_FORGOTTEN = f"""
    SELECT environment.id::text
      FROM runs_execution AS waiting JOIN jobs_jobenvironment AS environment
        ON environment.id = waiting.job_environment_id
     WHERE waiting.finished_at IS NULL AND waiting.queued AND {_NOTHING_LIVES}
     LIMIT %s FOR NO KEY UPDATE OF environment SKIP LOCKED
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class LiveExecutions:
    """What is live in a job-environment: `started` says if any does not queue, `queued` if one does."""

    started: bool = False
    queued: bool = False
    #: Those that the schedule made, queued or not.
    scheduled: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the occurrences to be fired: each is in one of these."""

    starts: tuple[datetime.datetime, ...] = ()
    queued: tuple[datetime.datetime, ...] = ()
    #: Fired, and canceled at once by the next one.
    canceled: tuple[datetime.datetime, ...] = ()
    #: Skipped.
    overlapping: tuple[datetime.datetime, ...] = ()


def limiting(policy: str) -> str:
    """An overlap policy as executions store it: empty where it limits nothing."""
    return "" if policy == Overlap.ALLOW else str(policy)


def decide(policy: Overlap, fires: Sequence[datetime.datetime], live: LiveExecutions) -> Decision:
    """Take the occurrences of one job in order, as if each had come by itself. Pure.

    With `cancel_running` the caller cancels the scheduled executions that are live, if there is anything to fire.
    """
    fires = tuple(fires)
    if policy is Overlap.ALLOW:
        return Decision(starts=fires)
    if policy is Overlap.CANCEL_RUNNING:
        return Decision(starts=fires[-1:], canceled=fires[:-1])
    starts = 0 if live.started or live.queued else 1
    queued = 0 if policy is Overlap.SKIP or live.queued else 1
    return Decision(starts=fires[:starts], queued=fires[starts:][:queued], overlapping=fires[starts + queued :])


def live_executions(cursor: Any, job_environment_ids: Collection[str]) -> Mapping[str, LiveExecutions]:
    """What is live, by job-environment. Executions of versions that allow overlap don't count."""
    cursor.execute(_LIVE_EXECUTIONS, [list(job_environment_ids)])
    live: dict[str, LiveExecutions] = {}
    for key, execution_id, trigger, queued in cursor.fetchall():
        others = live.get(key, LiveExecutions())
        scheduled = (*others.scheduled, execution_id) if trigger == Trigger.SCHEDULE else others.scheduled
        live[key] = LiveExecutions(others.started or not queued, others.queued or queued, scheduled)
    return live


def lock_environments(cursor: Any, job_environment_ids: Collection[str]) -> None:
    """Lock in the one order: others that decide about overlap there wait for the end of this transaction."""
    cursor.execute(_LOCK_ENVIRONMENTS, [sorted(job_environment_ids)])


def hold_environments(cursor: Any, job_environment_ids: Collection[str]) -> set[str]:
    """Keep these from being removed until the end of this transaction, to make executions there. Returns those left.

    Only a transaction that removes one waits for this.
    """
    cursor.execute(_HOLD_ENVIRONMENTS, [sorted(job_environment_ids)])
    return {row[0] for row in cursor.fetchall()}


def release_queued(cursor: Any, job_environment_ids: Collection[str]) -> None:
    """Start the queued executions that nothing is before, in job-environments that the caller has locked."""
    cursor.execute(_RELEASE, [list(job_environment_ids)])


def release_forgotten() -> int:
    """Start the queued executions that a fault left behind. Returns how many job-environments had such."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FORGOTTEN, [_BATCH])
        forgotten = [row[0] for row in cursor.fetchall()]
        if forgotten:
            release_queued(cursor, forgotten)
    return len(forgotten)
