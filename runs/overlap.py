"""What becomes of an occurrence whose job is still going, and when the one that waits may go.

Whoever decides holds the lock of the job-environment, so what stands can only end meanwhile. The unique keys of the
executions hold the rule even against somebody who does not.
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
_STANDING = """
    SELECT job_environment_id::text, id, trigger, queued FROM runs_execution
     WHERE job_environment_id = ANY(%s::uuid[]) AND finished_at IS NULL AND overlap <> ''
"""
_LOCK_ENVIRONMENTS = "SELECT id FROM jobs_jobenvironment WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# What a foreign key would do for a new execution, and only while there is a job to be read.
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
class Standing:
    """What lives of a job in one environment: whether anything does, whether one waits, and the scheduled ones."""

    live: bool = False
    queued: bool = False
    scheduled: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the occurrences to be fired: each is in one of these."""

    starts: tuple[datetime.datetime, ...] = ()
    waits: tuple[datetime.datetime, ...] = ()
    #: Begun, and canceled at once by the one after it.
    canceled: tuple[datetime.datetime, ...] = ()
    overlapped: tuple[datetime.datetime, ...] = ()


def limiting(policy: str) -> str:
    """An overlap policy as executions have it: empty where it limits nothing."""
    return "" if policy == Overlap.ALLOW else str(policy)


def decide(policy: Overlap, fires: Sequence[datetime.datetime], standing: Standing) -> Decision:
    """Take the occurrences of one job in order, as if each had come by itself. Pure.

    With `cancel_running`, what stands of the schedule is to be canceled if there is anything to fire.
    """
    fires = tuple(fires)
    if policy is Overlap.ALLOW:
        return Decision(starts=fires)
    if policy is Overlap.CANCEL_RUNNING:
        return Decision(starts=fires[-1:], canceled=fires[:-1])
    free = 0 if standing.live or standing.queued else 1
    places = 0 if policy is Overlap.SKIP or standing.queued else 1
    return Decision(starts=fires[:free], waits=fires[free : free + places], overlapped=fires[free + places :])


def what_stands(cursor: Any, job_environment_ids: Collection[str]) -> Mapping[str, Standing]:
    """What lives of these jobs, by job-environment. Executions of versions that allow overlap don't count."""
    cursor.execute(_STANDING, [list(job_environment_ids)])
    found: dict[str, Standing] = {}
    for key, execution_id, trigger, queued in cursor.fetchall():
        known = found.get(key, Standing())
        scheduled = (*known.scheduled, execution_id) if trigger == Trigger.SCHEDULE else known.scheduled
        found[key] = Standing(known.live or not queued, known.queued or queued, scheduled)
    return found


def lock_environments(cursor: Any, job_environment_ids: Collection[str]) -> None:
    """Lock in the one order: whoever decides about overlap there waits for the end of this transaction."""
    cursor.execute(_LOCK_ENVIRONMENTS, [sorted(job_environment_ids)])


def hold_environments(cursor: Any, job_environment_ids: Collection[str]) -> set[str]:
    """Keep these from being removed until the end of this transaction, to make executions there. Returns those left.

    Nobody waits for it but who removes one.
    """
    cursor.execute(_HOLD_ENVIRONMENTS, [sorted(job_environment_ids)])
    return {row[0] for row in cursor.fetchall()}


def release_queued(cursor: Any, job_environment_ids: Collection[str]) -> None:
    """Let those go that wait for nothing any more, in job-environments that the caller has locked."""
    cursor.execute(_RELEASE, [list(job_environment_ids)])


def release_forgotten() -> int:
    """The net below: let those go that wait though nothing lives. Returns how many job-environments had such."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FORGOTTEN, [_BATCH])
        forgotten = [row[0] for row in cursor.fetchall()]
        if forgotten:
            release_queued(cursor, forgotten)
    return len(forgotten)
