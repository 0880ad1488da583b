"""Fires what is due: makes its executions and plans the next firings.

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
from jobs.schedule.misfire import FiringPlan, plan_firing, plan_without_firing
from runs.attempts import unreadable
from runs.attempts.unreadable import UnreadableVersionFound
from runs.clock.materialize import JobEnvironmentKey, Outcome, Skip, Written, write
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
    aborted: list[uuid.UUID] = field(default_factory=list)
    skipped: collections.Counter[str] = field(default_factory=collections.Counter)
    #: What was due and is dealt with, or put aside; a full batch means that more may be due.
    due: int = 0

    @property
    def missed(self) -> int:
        return self.skipped[SkipReason.MISSED]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A due job-environment with what becomes of it."""

    outcome: Outcome
    next_fire_at: datetime.datetime | None


def fire_due(now: datetime.datetime, *, limit: int = BATCH, only_count: bool = False) -> Fired:
    """Make the executions of everything due at `now`, and plan each job's next firing, in one transaction.

    With `only_count` nothing fires, whatever the jobs' misfire policies: what is due is counted as missed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        planned, unread = _planned(cursor, now, limit, only_count=only_count)
        if not planned:
            return Fired(due=unread)
        written = write(cursor, [one.outcome for one in planned], now=now)
        handled = [one for one in planned if one.outcome.place.job_environment_id not in written.held_back]
        _advance(cursor, handled, written.stopped, now)
        failpoint("fire.written")
    failpoint("fire.committed")
    return fired_by(written, len(handled) + unread)


def fired_by(written: Written, handled: int) -> Fired:
    return Fired(written.execution_ids, written.aborted, written.skipped, handled)


def skips_of(plan: FiringPlan) -> tuple[Skip, ...]:
    """What a plan only counts."""
    dropped = tuple(Skip(OccurrenceRange(at, at, 1), SkipReason.DST_GAP) for at in plan.dropped)
    return (Skip(plan.missed, SkipReason.MISSED), *dropped) if plan.missed else dropped


def _planned(cursor: Any, now: datetime.datetime, limit: int, *, only_count: bool) -> tuple[Sequence[_Planned], int]:
    """Lock what is due, and plan it. Returns besides how much of it can't be read, and was put aside."""
    cursor.execute(_DUE, [now, array(unreadable.firing.waiting()), limit])
    due = cursor.fetchall()
    if not due:
        return [], 0
    cursor.execute(_VERSIONS, [array(list({job_id for _, _, job_id, _, _ in due}))])
    jobs = {job_id: (version_id, created_at) for job_id, version_id, created_at in cursor.fetchall()}
    timetables = timetables_of(dict(jobs.values()))
    planned, unread = [], []
    for key, workspace_id, job_id, environment_id, due_at in due:
        version_id = jobs[job_id][0]
        place = JobEnvironmentKey(
            key, workspace_id, job_id, environment_id, version_id, timetables[version_id].of(environment_id)
        )
        try:
            planned.append(_planned_for(place, due_at, now, only_count=only_count))
        except UnreadableError as error:
            unread.append(UnreadableVersionFound(key, version_id, str(error)))
    if unread:
        unreadable.firing.put(one.job_environment_id for one in unread)
        unreadable.mark(cursor, unread, doing="firing")
    return planned, len(unread)


def _planned_for(
    place: JobEnvironmentKey, due_at: datetime.datetime, now: datetime.datetime, *, only_count: bool
) -> _Planned:
    """Raises UnreadableError where this release can't tell what was planned."""
    refuse_unread(place.timetable)
    if place.timetable.schedule is None:
        return _Planned(Outcome(place, (), ()), None)
    try:
        plan = planned_by(place.timetable, due_at=due_at, now=now, only_count=only_count)
    except Exception as error:  # One job's schedule, whatever is wrong with it, must not hold up all others.
        log.exception("planning_failed", job_version_id=place.job_version_id)
        raise UnreadableError(f"its schedule can't be reckoned with ({type(error).__name__}).") from error
    return _Planned(Outcome(place, plan.fires, skips_of(plan)), plan.next_fire_at)


def refuse_unread(timetable: Timetable) -> None:
    """Raises UnreadableError for one that this release could not read."""
    if timetable.unreadable:
        raise UnreadableError(timetable.unreadable)


def planned_by(
    timetable: Timetable,
    *,
    due_at: datetime.datetime,
    now: datetime.datetime,
    until: datetime.datetime | None = None,
    only_count: bool,
) -> FiringPlan:
    """What becomes of what is due by a timetable that has a schedule."""
    assert timetable.schedule is not None
    if only_count:
        return plan_without_firing(timetable.schedule, due_at=due_at, now=now, until=until)
    misfire, grace = timetable.misfire, timetable.misfire_grace
    return plan_firing(timetable.schedule, due_at=due_at, now=now, misfire=misfire, grace=grace, until=until)


def _advance(cursor: Any, planned: Sequence[_Planned], stopped: Collection[str], now: datetime.datetime) -> None:
    """Move every row on to its next firing. One that has none left (a one-off, an ended schedule) is complete."""
    keys = [one.outcome.place.job_environment_id for one in planned]
    fired = [bool(one.outcome.fires) and one.outcome.place.workspace_id not in stopped for one in planned]
    moves = sparse_array(one.next_fire_at for one in planned)
    cursor.execute(_ADVANCE, [now, now, array(keys), moves, array(fired)])
    complete = [key for key, one in zip(keys, planned, strict=True) if one.next_fire_at is None]
    if complete:
        cursor.execute(_COMPLETE, {"now": now, "ids": complete})
