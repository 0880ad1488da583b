"""Fires what is due: makes its executions, and sets when each job fires next.

Any number of beats may call this at once. Row locks that skip what another beat holds spread the work; the unique keys
of the executions elect the winner should two ever see the same occurrence.
"""

import collections
import datetime
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import connection, transaction

from core.failpoints import failpoint
from jobs.definition.contract import Timetable
from jobs.definition.reading import UnreadableError
from jobs.schedule import OccurrenceRange
from jobs.schedule.misfire import DueOccurrences, apply_misfire_policy, count_all_missed
from runs.attempts import unreadable
from runs.attempts.contract import AttemptKey
from runs.attempts.unreadable import UnreadableVersionFound
from runs.clock.materialize import DueJobEnvironment, Materialized, ScheduledJobEnvironment, Skip, materialize
from runs.clock.schedule_cache import timetables_of
from runs.postgres_text import array, sparse_array
from runs.states import SkipReason

log = structlog.get_logger(__name__)

BATCH = 1000
_DUE = """
    SELECT id::text, workspace_id::text, job_id::text, environment_id::text, next_fire_at
      FROM jobs_jobenvironment
     WHERE enabled AND next_fire_at IS NOT NULL AND next_fire_at <= %s AND NOT (id = ANY(%s::uuid[]))
     ORDER BY next_fire_at LIMIT %s
       FOR NO KEY UPDATE SKIP LOCKED
"""
# Read once the rows are locked: a new version that changes their timing waits for that lock.
_VERSIONS = "SELECT id::text, current_version_id::text, created_at FROM jobs_job WHERE id = ANY(%s::uuid[])"
_ADVANCE = """
    UPDATE jobs_jobenvironment AS row
       SET next_fire_at = moved.next_fire_at, accounted_until = %s,
           enabled = moved.next_fire_at IS NOT NULL,
           last_fired_at = CASE WHEN moved.fired THEN %s ELSE row.last_fired_at END,
           paused_at = NULL, paused_until = NULL, pause_note = ''
      FROM unnest(%s::uuid[], %s::timestamptz[], %s::boolean[]) AS moved (id, next_fire_at, fired)
     WHERE row.id = moved.id
"""
_COMPLETE = """
    WITH over AS (
        UPDATE jobs_scheduleperiod SET until_at = %(now)s, followed_by = 'ended'
         WHERE job_environment_id = ANY(%(ids)s::uuid[]) AND until_at IS NULL
     RETURNING job_environment_id, job_version_id
    )
    INSERT INTO jobs_scheduleperiod (id, job_environment_id, job_version_id, state, from_at, note, followed_by)
    SELECT gen_random_uuid(), job_environment_id, job_version_id, 'ended', %(now)s, '', '' FROM over
"""


@dataclass(frozen=True, slots=True)
class Fired:
    """What one call did: ids to enqueue, transfers to abort, and how many occurrences were only counted, by reason."""

    execution_ids: list[uuid.UUID] = field(default_factory=list)
    aborted: list[AttemptKey] = field(default_factory=list)
    skipped: collections.Counter[str] = field(default_factory=collections.Counter)
    #: How many due rows are accounted for or set aside; a full batch means that more may be due.
    due: int = 0

    @property
    def missed(self) -> int:
        return self.skipped[SkipReason.MISSED]


@dataclass(frozen=True, slots=True)
class _DueRow:
    """A due job-environment with its next firing after that."""

    due: DueJobEnvironment
    next_fire_at: datetime.datetime | None


def fire_due(now: datetime.datetime, *, limit: int = BATCH, only_count: bool = False) -> Fired:
    """Make the executions of everything due at `now`, and set each job's next firing, in one transaction.

    With `only_count` nothing fires, whatever the jobs' misfire policies: what is due is counted as missed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        due, unread_count = _lock_due(cursor, now, limit, only_count=only_count)
        if not due:
            return Fired(due=unread_count)
        written = materialize(cursor, [row.due for row in due], now=now)
        handled = [row for row in due if row.due.job_environment.job_environment_id not in written.held_back]
        _advance(cursor, handled, written.stopped, now)
        failpoint("fire.written")
    failpoint("fire.committed")
    return fired_by(written, len(handled) + unread_count)


def fired_by(written: Materialized, due: int) -> Fired:
    return Fired(written.execution_ids, written.aborted, written.skipped, due)


def skips_of(due: DueOccurrences) -> tuple[Skip, ...]:
    """The occurrences that are only counted."""
    dropped = tuple(Skip(OccurrenceRange(at, at, 1), SkipReason.DST_GAP) for at in due.dropped)
    return (Skip(due.missed, SkipReason.MISSED), *dropped) if due.missed else dropped


def _lock_due(cursor: Any, now: datetime.datetime, limit: int, *, only_count: bool) -> tuple[Sequence[_DueRow], int]:
    """Lock what is due. Returns it, and how many rows more can't be read and were set aside."""
    cursor.execute(_DUE, [now, array(unreadable.firing.waiting()), limit])
    locked = cursor.fetchall()
    if not locked:
        return [], 0
    cursor.execute(_VERSIONS, [array(list({job_id for _, _, job_id, _, _ in locked}))])
    jobs = {job_id: (version_id, created_at) for job_id, version_id, created_at in cursor.fetchall()}
    timetables = timetables_of(dict(jobs.values()))
    due, unread = [], []
    for key, workspace_id, job_id, environment_id, due_at in locked:
        version_id = jobs[job_id][0]
        job_environment = ScheduledJobEnvironment.of(
            timetables[version_id].of(environment_id),
            job_environment_id=key,
            workspace_id=workspace_id,
            job_id=job_id,
            environment_id=environment_id,
            job_version_id=version_id,
        )
        try:
            due.append(_due_row(job_environment, due_at, now, only_count=only_count))
        except UnreadableError as error:
            unread.append(UnreadableVersionFound(key, version_id, str(error)))
    if unread:
        unreadable.firing.put(version.job_environment_id for version in unread)
        unreadable.mark(cursor, unread, doing="firing")
    return due, len(unread)


def _due_row(
    job_environment: ScheduledJobEnvironment, due_at: datetime.datetime, now: datetime.datetime, *, only_count: bool
) -> _DueRow:
    """Raises UnreadableError where this release can't tell what is due."""
    refuse_unread(job_environment.timetable)
    if job_environment.timetable.schedule is None:
        return _DueRow(DueJobEnvironment(job_environment, (), ()), None)
    try:
        due = due_occurrences(job_environment.timetable, due_at=due_at, now=now, only_count=only_count)
    except Exception as error:  # One job's schedule, whatever is wrong with it, must not hold up all others.
        log.exception("planning_failed", job_version_id=job_environment.job_version_id)
        raise UnreadableError(f"its schedule can't be evaluated ({type(error).__name__}).") from error
    return _DueRow(DueJobEnvironment(job_environment, due.fires, skips_of(due)), due.next_fire_at)


def refuse_unread(timetable: Timetable) -> None:
    """Raises UnreadableError for a timetable that this release could not read."""
    if timetable.unreadable:
        raise UnreadableError(timetable.unreadable)


def due_occurrences(
    timetable: Timetable,
    *,
    due_at: datetime.datetime,
    now: datetime.datetime,
    until: datetime.datetime | None = None,
    only_count: bool,
) -> DueOccurrences:
    """What is due by a timetable that has a schedule, sorted by its misfire policy."""
    assert timetable.schedule is not None
    if only_count:
        return count_all_missed(timetable.schedule, due_at=due_at, now=now, until=until)
    misfire, grace = timetable.misfire, timetable.misfire_grace
    return apply_misfire_policy(timetable.schedule, due_at=due_at, now=now, misfire=misfire, grace=grace, until=until)


def _advance(cursor: Any, due: Sequence[_DueRow], stopped: Collection[str], now: datetime.datetime) -> None:
    """Move every row on to its next firing. One that has none left (a one-off, an ended schedule) is complete."""
    keys = [row.due.job_environment.job_environment_id for row in due]
    fired = [bool(row.due.fires) and row.due.job_environment.workspace_id not in stopped for row in due]
    next_fire_at = sparse_array(row.next_fire_at for row in due)
    cursor.execute(_ADVANCE, [now, now, array(keys), next_fire_at, array(fired)])
    complete = [key for key, row in zip(keys, due, strict=True) if row.next_fire_at is None]
    if complete:
        cursor.execute(_COMPLETE, {"now": now, "ids": complete})
