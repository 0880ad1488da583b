"""Reads what the ledger compares: the schedules in force in an environment, and the executions recorded there.

Schedules are read before executions: what the clock processes in between was owed and is recorded, so never seems lost.
"""

import datetime
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from jobs.models import JobEnvironment, PeriodState, SchedulePeriod
from runs.clock.schedule_cache import timetables_of
from runs.ledger.comparison import (
    MAX_PLANNED,
    Entry,
    Ledger,
    PlannedSchedule,
    TooManyPlannedError,
    compare,
    planned_count,
)
from runs.models import Execution
from runs.states import Trigger

_JUST_BEFORE = datetime.timedelta(microseconds=1)
_PLANNING = (PeriodState.ACTIVE, PeriodState.PAUSED)


@dataclass(frozen=True, slots=True)
class PlannedPeriod:
    """A schedule in force, with the number of its version and the note of its pause."""

    schedule: PlannedSchedule
    version: int
    note: str


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """A ledger, the time that it covers, and the periods in that.

    Of occurrences before `history_from` some records are pruned. None: none is.
    """

    start: datetime.datetime
    end: datetime.datetime
    ledger: Ledger
    periods: tuple[PlannedPeriod, ...]
    history_from: datetime.datetime | None


def account_of(
    job_environment: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime, now: datetime.datetime
) -> LedgerAccount:
    """Compare what was planned with what was recorded, from `start` on and before `end`, and no later than `now`.

    `start` moves to the beginning of the job's ledger, and of its history that is kept. Raises TooManyPlannedError.
    """
    account = accounts_of([job_environment], start=start, end=end, now=now)[job_environment.pk]
    if account is None:
        raise TooManyPlannedError
    return account


def accounts_of(
    job_environments: Collection[JobEnvironment],
    *,
    start: datetime.datetime,
    end: datetime.datetime,
    now: datetime.datetime,
    most: int = MAX_PLANNED,
) -> dict[uuid.UUID, LedgerAccount | None]:
    """The same for several job-environments, by their ids, in as many queries as for one.

    None if more than `most` occurrences are planned: their records are not read.
    """
    end = min(end, now + _JUST_BEFORE)
    counted: dict[uuid.UUID, tuple[datetime.datetime, tuple[PlannedPeriod, ...]]] = {}
    history_from = {job_environment.pk: job_environment.history_from for job_environment in job_environments}
    for key, periods in periods_of_each(job_environments, start=start, end=end).items():
        since = max(start, periods[0].schedule.since + _JUST_BEFORE) if periods else start
        since = _within_history(since, end, history_from[key])
        if planned_count([period.schedule for period in periods], since, end) <= most:
            counted[key] = since, periods
    entries = entries_of_each(counted, start=start, end=end)
    begins = history_begins(counted)
    accounts: dict[uuid.UUID, LedgerAccount | None] = {job_environment.pk: None for job_environment in job_environments}
    for key, (counted_from, periods) in counted.items():
        since = _within_history(counted_from, end, begins[key])
        schedules = [period.schedule for period in periods]
        recorded = [entry for entry in entries[key] if entry.last >= since]
        ledger = compare(schedules, recorded, start=since, end=end)
        accounts[key] = LedgerAccount(since, end, ledger, periods, begins[key])
    return accounts


def history_begins(job_environment_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, datetime.datetime | None]:
    """The instant since which no record of each job-environment is pruned. None: none ever was.

    Read it after the records, since it moves as they are pruned.
    """
    return dict(JobEnvironment.objects.filter(pk__in=list(job_environment_ids)).values_list("pk", "history_from"))


def _within_history(
    start: datetime.datetime, end: datetime.datetime, history_from: datetime.datetime | None
) -> datetime.datetime:
    """The start of a period without what was before `history_from`, whose records are incomplete."""
    return start if history_from is None else min(max(start, history_from), end)


def periods_of(
    job_environment: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime
) -> tuple[PlannedPeriod, ...]:
    """The periods that reach into a time, in order. The job-environment is read again, for what is owed now."""
    return periods_of_each([job_environment], start=start, end=end)[job_environment.pk]


def periods_of_each(
    job_environments: Iterable[JobEnvironment], *, start: datetime.datetime, end: datetime.datetime
) -> dict[uuid.UUID, tuple[PlannedPeriod, ...]]:
    """The same for several job-environments, by their ids."""
    fresh = JobEnvironment.objects.select_related("job").in_bulk([row.pk for row in job_environments])
    rows = list(period_rows(fresh, start=start, end=end))
    versions = {
        str(period.job_version_id): fresh[period.job_environment_id].job.created_at
        for period in rows
        if period.state in _PLANNING
    }
    timetables = timetables_of(versions)
    periods: dict[uuid.UUID, list[PlannedPeriod]] = {key: [] for key in fresh}
    for period in rows:
        job_environment = fresh[period.job_environment_id]
        per_environment = timetables.get(str(period.job_version_id)) if period.state in _PLANNING else None
        timetable = per_environment.of(str(job_environment.environment_id)) if per_environment else None
        schedule = PlannedSchedule(
            period.state,
            timetable.schedule if timetable else None,
            period.from_at,
            period.until_at,
            _owed_after(period, job_environment),
            timetable.unreadable if timetable else "",
        )
        periods[job_environment.pk].append(PlannedPeriod(schedule, period.job_version.number, period.note))
    return {key: tuple(listed) for key, listed in periods.items()}


def period_rows(
    job_environment_ids: Iterable[uuid.UUID], *, start: datetime.datetime, end: datetime.datetime
) -> QuerySet[SchedulePeriod]:
    reaching = Q(until_at__isnull=True) | Q(until_at__gte=start)
    periods = SchedulePeriod.objects.filter(reaching, job_environment__in=list(job_environment_ids), from_at__lt=end)
    return periods.order_by("from_at").select_related("job_version").defer("job_version__config")


def _owed_after(period: SchedulePeriod, job_environment: JobEnvironment) -> datetime.datetime | None:
    if period.until_at is not None:
        return period.unsettled_from
    if period.state == PeriodState.PAUSED:
        return period.from_at
    return job_environment.next_fire_at and job_environment.next_fire_at - _JUST_BEFORE


def entries_of(job_environment: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime) -> list[Entry]:
    """What is recorded in a time, in order, including a skipped execution that begins before it and reaches into it."""
    return entries_of_each([job_environment.pk], start=start, end=end)[job_environment.pk]


def entries_of_each(
    job_environment_ids: Iterable[uuid.UUID], *, start: datetime.datetime, end: datetime.datetime
) -> dict[uuid.UUID, list[Entry]]:
    """The same for several job-environments, by their ids."""
    entries: dict[uuid.UUID, list[Entry]] = {key: [] for key in job_environment_ids}
    for rows in (earlier_rows(entries, start=start), entry_rows(entries, start=start, end=end)):
        for job_environment_id, execution_id, *columns in rows:
            entry = Entry(str(execution_id), *columns)
            if entry.last >= start:
                entries[job_environment_id].append(entry)
    return entries


def entry_rows(job_environment_ids: Iterable[uuid.UUID], *, start: datetime.datetime, end: datetime.datetime) -> Any:
    """What is recorded in a time, except executions that begin before it."""
    scheduled = Execution.objects.filter(job_environment__in=list(job_environment_ids), trigger=Trigger.SCHEDULE)
    return _recorded(scheduled.filter(scheduled_for__gte=start, scheduled_for__lt=end))


def earlier_rows(job_environment_ids: Iterable[uuid.UUID], *, start: datetime.datetime) -> Any:
    """The last execution of each job-environment before a time: it may have skipped occurrences that reach into it."""
    scheduled = Execution.objects.filter(trigger=Trigger.SCHEDULE)
    earlier = scheduled.filter(job_environment=OuterRef("pk"), scheduled_for__lt=start).order_by("-scheduled_for")
    job_environments = JobEnvironment.objects.filter(pk__in=list(job_environment_ids)).order_by()
    return _recorded(
        scheduled.filter(pk__in=job_environments.values_list(Subquery(earlier.values("pk")[:1]), flat=True))
    )


def _recorded(scheduled: Any) -> Any:
    """The columns of an entry, in order, each after the id of its job-environment."""
    reaching = scheduled.annotate(last=Coalesce("scheduled_until", F("scheduled_for"))).order_by("scheduled_for")
    return reaching.values_list("job_environment_id", "pk", "scheduled_for", "last", "occurrences", "skip_reason")
