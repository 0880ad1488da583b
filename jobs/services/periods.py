"""Changes of plan: which schedule is in force from when on, in one environment.

Whoever changes a plan holds the lock of its job-environment. The period in force is closed, and what it still owes is
left to the clock: an occurrence that was due and is not fired yet is neither lost nor fired twice. The next firing is
planned after the instant of the change, so that no change fires anything at once, or catches up.
"""

import datetime
from collections.abc import Sequence

from django.db.models import Q

from jobs.definition.overrides import effective
from jobs.definition.reading import UnreadableError, timetable_of
from jobs.errors import VersionUnreadableError
from jobs.models import JobEnvironment, JobVersion, PeriodState, SchedulePeriod
from jobs.schedule import Schedule

_JUST_BEFORE = datetime.timedelta(microseconds=1)


def begin_plan(row: JobEnvironment, *, version: JobVersion, now: datetime.datetime) -> None:
    """Save a new job-environment with its first period."""
    periods = first_periods(row, version=version, now=now)
    row.save(force_insert=True)
    SchedulePeriod.objects.bulk_create(periods)


def first_periods(row: JobEnvironment, *, version: JobVersion, now: datetime.datetime) -> Sequence[SchedulePeriod]:
    """The periods of a new job-environment, which is planned with them. Nothing is saved."""
    schedule = _schedule_of(row, version)
    start = _start_of_new(schedule, now, now)
    periods = _periods(row, version, schedule, start)
    _plan_next(row, schedule, start, periods[-1])
    return periods


def change_plan(
    row: JobEnvironment,
    *,
    before: JobVersion,
    version: JobVersion,
    now: datetime.datetime,
    completes: bool = False,
) -> None:
    """Follow what `row`, which is locked, says now of being enabled and paused, in `version` from now on.

    `before` is the version in force so far. A change never reaches back before what is accounted for already, however
    late the clock is of whoever makes it. With `completes`, a job with nothing more to plan is disabled.
    """
    schedule = _schedule_of(row, version)
    start = max(now, row.accounted_until or now)
    if version.pk != before.pk:
        start = _start_of_new(schedule, now, start)
    periods = _periods(row, version, schedule, start)
    if completes and periods[0].state == PeriodState.ENDED:
        row.enabled = False
    _close(row, version=before, at=start, state=periods[0].state)
    _plan_next(row, schedule, start, periods[-1])
    row.save(update_fields=["enabled", "paused_at", "paused_until", "pause_note", "next_fire_at", "accounted_until"])
    SchedulePeriod.objects.bulk_create(periods)


def has_ended(row: JobEnvironment) -> bool:
    """Whether the job completed here by itself: its schedule has nothing more to plan."""
    return SchedulePeriod.objects.filter(job_environment=row, until_at__isnull=True, state=PeriodState.ENDED).exists()


def _schedule_of(row: JobEnvironment, version: JobVersion) -> Schedule | None:
    """Raises VersionUnreadableError, except where the schedule decides nothing: the job is to fire no more for now."""
    try:
        return timetable_of(effective(version.config, str(row.environment_id)), anchor=row.job.created_at).schedule
    except UnreadableError as error:
        paused_for_good = row.paused_at is not None and row.paused_until is None
        if row.job.deleted_at is not None or not row.enabled or paused_for_good:
            return None
        raise VersionUnreadableError(row.job.slug, version.number, str(error)) from error


def _start_of_new(schedule: Schedule | None, now: datetime.datetime, earliest: datetime.datetime) -> datetime.datetime:
    """From when on a new schedule holds. A one-off that is asked for this very instant ("now") is within it."""
    if schedule is not None and schedule.type == "one_off":
        at = schedule.next_after(now - _JUST_BEFORE)
        if at is not None and at <= earliest:
            return at - _JUST_BEFORE
    return earliest


def _close(row: JobEnvironment, *, version: JobVersion, at: datetime.datetime, state: str) -> None:
    """End the periods in force at `at`. Those that had not begun yet will never have been."""
    ends_later = Q(until_at__isnull=True) | Q(until_at__gt=at)
    for period in SchedulePeriod.objects.filter(ends_later, job_environment=row):
        if period.from_at >= at:
            period.delete()
            continue
        if period.state == PeriodState.PAUSED:
            period.unsettled_from = period.from_at
        elif period.state == PeriodState.ACTIVE and row.next_fire_at is not None and row.next_fire_at <= at:
            period.unsettled_from = row.next_fire_at - _JUST_BEFORE
        period.until_at, period.followed_by, period.job_version = at, state, version
        period.save(update_fields=["until_at", "followed_by", "job_version", "unsettled_from"])


def _periods(
    row: JobEnvironment, version: JobVersion, schedule: Schedule | None, start: datetime.datetime
) -> Sequence[SchedulePeriod]:
    """The periods that begin with a change: one, or a pause and what follows it when its end is known."""

    def period(state: PeriodState, from_at: datetime.datetime) -> SchedulePeriod:
        return SchedulePeriod(job_environment=row, job_version=version, state=state, from_at=from_at)

    def active(from_at: datetime.datetime) -> SchedulePeriod:
        over = row.enabled and schedule is not None and schedule.next_after(from_at) is None
        return period(PeriodState.ENDED if over else PeriodState.ACTIVE, from_at)

    if row.job.deleted_at is not None:
        return [period(PeriodState.ENDED, start)]
    if not row.enabled:
        return [period(PeriodState.DISABLED, start)]
    if row.paused_at is None or (row.paused_until is not None and row.paused_until <= start):
        return [active(start)]
    pause = period(PeriodState.PAUSED, start)
    pause.note = row.pause_note
    if row.paused_until is None:
        return [pause]
    then = active(row.paused_until)
    pause.until_at, pause.unsettled_from, pause.followed_by = row.paused_until, start, then.state
    return [pause, then]


def _plan_next(row: JobEnvironment, schedule: Schedule | None, start: datetime.datetime, last: SchedulePeriod) -> None:
    row.accounted_until = start
    row.next_fire_at = None
    if schedule is not None and last.state == PeriodState.ACTIVE:
        row.next_fire_at = schedule.next_after(last.from_at)
