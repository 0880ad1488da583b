"""Settles closed periods: accounts for occurrences that were due before a schedule changed, and not fired by then.

What was due when its schedule was edited fires as it would have, in the version of that time. What was due when its job
was paused, disabled or deleted fires no more: it is counted, like every occurrence within a pause.
"""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from core.failpoints import failpoint
from jobs.definition.contract import Timetable
from jobs.definition.overrides import PerEnvironment
from jobs.definition.reading import UnreadableError
from jobs.models import PeriodState, SchedulePeriod
from runs.attempts import unreadable
from runs.attempts.unreadable import UnreadableVersionFound
from runs.clock.fire import Fired, due_occurrences, fired_by, refuse_unread, skips_of
from runs.clock.materialize import DueJobEnvironment, ScheduledJobEnvironment, Skip, materialize
from runs.clock.schedule_cache import timetables_of
from runs.states import SkipReason

BATCH = 1000
#: A pause may cover years: it is counted in parts, so that no part holds up the clock.
PART = datetime.timedelta(days=31)
_SETTLED = """
    WITH settled AS (
        UPDATE jobs_scheduleperiod AS period SET unsettled_from = settled.unsettled_from
          FROM unnest(%s::uuid[], %s::timestamptz[]) AS settled (id, unsettled_from)
         WHERE period.id = settled.id
     RETURNING period.job_environment_id, period.until_at, settled.unsettled_from, period.followed_by
    )
    UPDATE jobs_jobenvironment AS row
       SET accounted_until = greatest(row.accounted_until, settled.until_at),
           enabled = row.enabled AND NOT (settled.followed_by = 'ended' AND row.next_fire_at IS NULL)
      FROM settled WHERE row.id = settled.job_environment_id AND settled.unsettled_from IS NULL
"""


@dataclass(frozen=True, slots=True)
class _ClosedPeriod:
    """A closed period, its unprocessed occurrences, and the instant after which some remain (None: all done)."""

    period: SchedulePeriod
    due: DueJobEnvironment
    unsettled_from: datetime.datetime | None


def settle_due(now: datetime.datetime, *, limit: int = BATCH, only_count: bool = False) -> Fired:
    """Account for what periods left that were over at `now`, in one transaction. Call again until nothing is due.

    With `only_count` nothing fires: what would have is counted as missed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        closed, unread_count = _lock_closed(now, limit, only_count=only_count)
        if not closed:
            return Fired(due=unread_count)
        written = materialize(cursor, [item.due for item in closed], now=now)
        settled = [item for item in closed if str(item.period.job_environment_id) not in written.held_back]
        _mark_settled(cursor, settled)
        failpoint("settle.written")
    failpoint("settle.committed")
    return fired_by(written, len(settled) + unread_count)


def _lock_closed(now: datetime.datetime, limit: int, *, only_count: bool) -> tuple[Sequence[_ClosedPeriod], int]:
    """Lock what is to be settled: the oldest period of each job-environment, so that order is kept.

    Returns it, and how many periods can't be read and were set aside. The job-environments are locked too, so that
    nothing fires there and no schedule changes meanwhile.
    """
    oldest: dict[Any, SchedulePeriod] = {}
    aside = [uuid.UUID(key) for key in unreadable.settling.waiting()]
    for period in unsettled(now).exclude(job_environment__in=aside)[:limit]:
        oldest.setdefault(period.job_environment_id, period)
    versions = {str(period.job_version_id): period.job_environment.job.created_at for period in oldest.values()}
    timetables = timetables_of(versions)
    closed, unread = [], []
    for period in oldest.values():
        job_environment = _job_environment(period, timetables[str(period.job_version_id)])
        try:
            refuse_unread(job_environment.timetable)
            closed.append(_closed_period(period, job_environment, now, only_count=only_count))
        except UnreadableError as error:
            version = UnreadableVersionFound(
                job_environment.job_environment_id, job_environment.job_version_id, str(error)
            )
            unread.append(version)
    if unread:
        unreadable.settling.put(version.job_environment_id for version in unread)
        with connection.cursor() as cursor:
            unreadable.mark(cursor, unread, doing="settling")
    return closed, len(unread)


def unsettled(now: datetime.datetime) -> QuerySet[SchedulePeriod]:
    """Periods that are over with occurrences left, the longest over first, locked with their job-environments."""
    over = SchedulePeriod.objects.filter(unsettled_from__isnull=False, until_at__lte=now).order_by("until_at")
    locked = over.select_for_update(skip_locked=True, no_key=True, of=("self", "job_environment"))
    return locked.select_related("job_environment__job")


def _job_environment(period: SchedulePeriod, timetables: PerEnvironment[Timetable]) -> ScheduledJobEnvironment:
    job_environment = period.job_environment
    environment_id = str(job_environment.environment_id)
    return ScheduledJobEnvironment.of(
        timetables.of(environment_id),
        job_environment_id=str(job_environment.pk),
        workspace_id=str(job_environment.workspace_id),
        job_id=str(job_environment.job_id),
        environment_id=environment_id,
        job_version_id=str(period.job_version_id),
    )


def _closed_period(
    period: SchedulePeriod, job_environment: ScheduledJobEnvironment, now: datetime.datetime, *, only_count: bool
) -> _ClosedPeriod:
    schedule, since, until = job_environment.timetable.schedule, period.unsettled_from, period.until_at
    assert since is not None
    assert until is not None
    if schedule is None:
        return _ClosedPeriod(period, DueJobEnvironment(job_environment, (), ()), None)
    if period.state == PeriodState.ACTIVE and period.followed_by == PeriodState.ACTIVE:
        return _ClosedPeriod(period, _to_fire(job_environment, since, until, now, only_count=only_count), None)
    reason = SkipReason.PAUSED if PeriodState.PAUSED in (period.state, period.followed_by) else SkipReason.ENDED
    part_until = min(until, since + PART)
    counted = schedule.occurrences_between(since, part_until)
    due = DueJobEnvironment(job_environment, (), (Skip(counted, reason),) if counted else ())
    return _ClosedPeriod(period, due, part_until if part_until < until else None)


def _to_fire(
    job_environment: ScheduledJobEnvironment,
    since: datetime.datetime,
    until: datetime.datetime,
    now: datetime.datetime,
    *,
    only_count: bool,
) -> DueJobEnvironment:
    """What was due when a new schedule took over, as the old one would have fired it."""
    timetable = job_environment.timetable
    assert timetable.schedule is not None
    due_at = timetable.schedule.next_after(since)
    if due_at is None or due_at > until:
        return DueJobEnvironment(job_environment, (), ())
    due = due_occurrences(timetable, due_at=due_at, now=now, until=until, only_count=only_count)
    return DueJobEnvironment(job_environment, due.fires, skips_of(due))


def _mark_settled(cursor: Any, settled: Sequence[_ClosedPeriod]) -> None:
    """Note what is settled. A job whose pause outlasted its schedule is complete."""
    columns = [[str(item.period.pk) for item in settled], [item.unsettled_from for item in settled]]
    cursor.execute(_SETTLED, columns)
