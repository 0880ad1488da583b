"""Schedule periods: which version's schedule is in force in one environment, and from when.

A caller holds the lock of the job-environment. A change closes the period in force and leaves its unprocessed
occurrences to the clock: an occurrence that was due but has not fired is neither lost nor fired twice. The next firing
is later than the change, so that no change fires at once or catches up.
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


def add_job_environment(job_environment: JobEnvironment, *, version: JobVersion, now: datetime.datetime) -> None:
    """Save a new job-environment with its first periods."""
    periods = first_periods(job_environment, version=version, now=now)
    job_environment.save(force_insert=True)
    SchedulePeriod.objects.bulk_create(periods)


def first_periods(
    job_environment: JobEnvironment, *, version: JobVersion, now: datetime.datetime
) -> Sequence[SchedulePeriod]:
    """Return the first periods of a new job-environment, and set its `next_fire_at`. Nothing is saved."""
    schedule = _schedule_of(job_environment, version)
    start = _start_of_new(schedule, now, now)
    periods = _periods(job_environment, version, schedule, start)
    _set_next_fire(job_environment, schedule, start, periods[-1])
    return periods


def change_periods(
    job_environment: JobEnvironment,
    *,
    before: JobVersion,
    version: JobVersion,
    now: datetime.datetime,
    completes: bool = False,
) -> None:
    """Close the periods in force and open those of `version` and of the locked row's `enabled` and `paused_at`.

    `before` is the version so far. No change reaches back before `accounted_until`, even if `now` does. With
    `completes`, a job without further occurrences is disabled.
    """
    schedule = _schedule_of(job_environment, version)
    start = max(now, job_environment.accounted_until or now)
    if version.pk != before.pk:
        start = _start_of_new(schedule, now, start)
    periods = _periods(job_environment, version, schedule, start)
    if completes and periods[0].state == PeriodState.ENDED:
        job_environment.enabled = False
    _close(job_environment, version=before, at=start, state=periods[0].state)
    _set_next_fire(job_environment, schedule, start, periods[-1])
    job_environment.save(
        update_fields=["enabled", "paused_at", "paused_until", "pause_note", "next_fire_at", "accounted_until"]
    )
    SchedulePeriod.objects.bulk_create(periods)


def has_completed(job_environment: JobEnvironment) -> bool:
    """Return whether the job has completed here: its schedule has no further occurrences."""
    return SchedulePeriod.objects.filter(
        job_environment=job_environment, until_at__isnull=True, state=PeriodState.ENDED
    ).exists()


def _schedule_of(job_environment: JobEnvironment, version: JobVersion) -> Schedule | None:
    """Raises VersionUnreadableError, unless the schedule does not matter because the job fires no more for now."""
    try:
        return timetable_of(
            effective(version.config, str(job_environment.environment_id)), anchor=job_environment.job.created_at
        ).schedule
    except UnreadableError as error:
        paused_for_good = job_environment.paused_at is not None and job_environment.paused_until is None
        if job_environment.job.deleted_at is not None or not job_environment.enabled or paused_for_good:
            return None
        raise VersionUnreadableError(job_environment.job.slug, version.number, str(error)) from error


def _start_of_new(schedule: Schedule | None, now: datetime.datetime, earliest: datetime.datetime) -> datetime.datetime:
    """Return when a new schedule takes effect: for a one-off at this very instant ("now"), just before."""
    if schedule is not None and schedule.type == "one_off":
        at = schedule.next_after(now - _JUST_BEFORE)
        if at is not None and at <= earliest:
            return at - _JUST_BEFORE
    return earliest


def _close(job_environment: JobEnvironment, *, version: JobVersion, at: datetime.datetime, state: str) -> None:
    """Close the periods in force at `at`, and delete those that have not begun."""
    ends_later = Q(until_at__isnull=True) | Q(until_at__gt=at)
    for period in SchedulePeriod.objects.filter(ends_later, job_environment=job_environment):
        if period.from_at >= at:
            period.delete()
            continue
        if period.state == PeriodState.PAUSED:
            period.unsettled_from = period.from_at
        elif (
            period.state == PeriodState.ACTIVE
            and job_environment.next_fire_at is not None
            and job_environment.next_fire_at <= at
        ):
            period.unsettled_from = job_environment.next_fire_at - _JUST_BEFORE
        period.until_at, period.followed_by, period.job_version = at, state, version
        period.save(update_fields=["until_at", "followed_by", "job_version", "unsettled_from"])


def _periods(
    job_environment: JobEnvironment, version: JobVersion, schedule: Schedule | None, start: datetime.datetime
) -> Sequence[SchedulePeriod]:
    """Return the periods that begin with a change: one, or a pause with a known end and the period after it."""

    def period(state: PeriodState, from_at: datetime.datetime) -> SchedulePeriod:
        return SchedulePeriod(job_environment=job_environment, job_version=version, state=state, from_at=from_at)

    def active(from_at: datetime.datetime) -> SchedulePeriod:
        ended = job_environment.enabled and schedule is not None and schedule.next_after(from_at) is None
        return period(PeriodState.ENDED if ended else PeriodState.ACTIVE, from_at)

    if job_environment.job.deleted_at is not None:
        return [period(PeriodState.ENDED, start)]
    if not job_environment.enabled:
        return [period(PeriodState.DISABLED, start)]
    if job_environment.paused_at is None or (
        job_environment.paused_until is not None and job_environment.paused_until <= start
    ):
        return [active(start)]
    pause = period(PeriodState.PAUSED, start)
    pause.note = job_environment.pause_note
    if job_environment.paused_until is None:
        return [pause]
    then = active(job_environment.paused_until)
    pause.until_at, pause.unsettled_from, pause.followed_by = job_environment.paused_until, start, then.state
    return [pause, then]


def _set_next_fire(
    job_environment: JobEnvironment, schedule: Schedule | None, start: datetime.datetime, last: SchedulePeriod
) -> None:
    job_environment.accounted_until = start
    job_environment.next_fire_at = None
    if schedule is not None and last.state == PeriodState.ACTIVE:
        job_environment.next_fire_at = schedule.next_after(last.from_at)
