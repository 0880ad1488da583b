"""Settles what closed periods left: occurrences that a change of plan came before the clock could deal with.

What was due when its schedule was edited fires as it would have, in the version of then. What was due when its job was
paused, disabled or deleted fires no more: it is counted, as all that a pause covers is.
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
from runs.clock.fire import Fired, fired_by, planned_by, refuse_unread, skips_of
from runs.clock.materialize import JobEnvironmentKey, Outcome, Skip, write
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
class _Settled:
    """A period with what becomes of what it left, and from when on something is left still."""

    period: SchedulePeriod
    outcome: Outcome
    unsettled_from: datetime.datetime | None


def settle_due(now: datetime.datetime, *, limit: int = BATCH, only_count: bool = False) -> Fired:
    """Account for what periods left that were over at `now`, in one transaction. Call again until nothing is due.

    With `only_count` nothing fires: what would have is counted as missed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        planned, unread = _planned(now, limit, only_count=only_count)
        if not planned:
            return Fired(due=unread)
        written = write(cursor, [one.outcome for one in planned], now=now)
        settled = [one for one in planned if str(one.period.job_environment_id) not in written.held_back]
        _move_on(cursor, settled)
        failpoint("settle.written")
    failpoint("settle.committed")
    return fired_by(written, len(settled) + unread)


def _planned(now: datetime.datetime, limit: int, *, only_count: bool) -> tuple[Sequence[_Settled], int]:
    """Lock what is to be settled, and plan it: of each job-environment the oldest period, so that order is kept.

    Returns besides how many can't be read, and were put aside.

    The job-environments are locked with it, so that nobody fires there, or changes the plan, meanwhile.
    """
    oldest: dict[Any, SchedulePeriod] = {}
    aside = [uuid.UUID(key) for key in unreadable.settling.waiting()]
    for period in unsettled(now).exclude(job_environment__in=aside)[:limit]:
        oldest.setdefault(period.job_environment_id, period)
    versions = {str(period.job_version_id): period.job_environment.job.created_at for period in oldest.values()}
    timetables = timetables_of(versions)
    settled, unread = [], []
    for period in oldest.values():
        place = _place(period, timetables[str(period.job_version_id)])
        try:
            refuse_unread(place.timetable)
            settled.append(_settled(period, place, now, only_count=only_count))
        except UnreadableError as error:
            unread.append(UnreadableVersionFound(place.job_environment_id, place.job_version_id, str(error)))
    if unread:
        unreadable.settling.put(one.job_environment_id for one in unread)
        with connection.cursor() as cursor:
            unreadable.mark(cursor, unread, doing="settling")
    return settled, len(unread)


def unsettled(now: datetime.datetime) -> QuerySet[SchedulePeriod]:
    """Periods that are over and left something, the longest over first, locked with their job-environments."""
    over = SchedulePeriod.objects.filter(unsettled_from__isnull=False, until_at__lte=now).order_by("until_at")
    locked = over.select_for_update(skip_locked=True, no_key=True, of=("self", "job_environment"))
    return locked.select_related("job_environment__job")


def _place(period: SchedulePeriod, timetables: PerEnvironment[Timetable]) -> JobEnvironmentKey:
    row = period.job_environment
    return JobEnvironmentKey(
        job_environment_id=str(row.pk),
        workspace_id=str(row.workspace_id),
        job_id=str(row.job_id),
        environment_id=str(row.environment_id),
        job_version_id=str(period.job_version_id),
        timetable=timetables.of(str(row.environment_id)),
    )


def _settled(period: SchedulePeriod, place: JobEnvironmentKey, now: datetime.datetime, *, only_count: bool) -> _Settled:
    schedule, since, until = place.timetable.schedule, period.unsettled_from, period.until_at
    assert since is not None
    assert until is not None
    if schedule is None:
        return _Settled(period, Outcome(place, (), ()), None)
    if period.state == PeriodState.ACTIVE and period.followed_by == PeriodState.ACTIVE:
        return _Settled(period, _fired(place, since, until, now, only_count=only_count), None)
    reason = SkipReason.PAUSED if PeriodState.PAUSED in (period.state, period.followed_by) else SkipReason.ENDED
    part_until = min(until, since + PART)
    stretch = schedule.stretch(since, part_until)
    outcome = Outcome(place, (), (Skip(stretch, reason),) if stretch else ())
    return _Settled(period, outcome, part_until if part_until < until else None)


def _fired(
    place: JobEnvironmentKey,
    since: datetime.datetime,
    until: datetime.datetime,
    now: datetime.datetime,
    *,
    only_count: bool,
) -> Outcome:
    """What was due when a new schedule took over, as the old one would have had it."""
    timetable = place.timetable
    assert timetable.schedule is not None
    due_at = timetable.schedule.next_after(since)
    if due_at is None or due_at > until:
        return Outcome(place, (), ())
    plan = planned_by(timetable, due_at=due_at, now=now, until=until, only_count=only_count)
    return Outcome(place, plan.fires, skips_of(plan))


def _move_on(cursor: Any, settled: Sequence[_Settled]) -> None:
    """Note what is settled. A job whose pause outlasted its schedule is complete."""
    columns = [[str(one.period.pk) for one in settled], [one.unsettled_from for one in settled]]
    cursor.execute(_SETTLED, columns)
