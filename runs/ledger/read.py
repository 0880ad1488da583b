"""Reads what the ledger compares: the plans that were in force in an environment, and what was recorded there.

Plans are read before executions: what the clock does in between is then one that was owed and is recorded, never one
that seems lost.
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
    """A plan with what people want to know of it."""

    plan: PlannedSchedule
    version: int
    note: str


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """A ledger, its span as far as it could be looked at, and the periods in it.

    `history_from` is where the records begin: of what was planned before, some are pruned. None: nothing ever was.
    """

    start: datetime.datetime
    end: datetime.datetime
    ledger: Ledger
    periods: tuple[PlannedPeriod, ...]
    history_from: datetime.datetime | None


def account_of(
    row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime, now: datetime.datetime
) -> LedgerAccount:
    """Compare what was planned with what was recorded, from `start` on and before `end`, and no later than `now`.

    A span that begins before the job's ledger does, or before what is kept of its history, is shortened. Raises
    TooManyPlannedError.
    """
    found = accounts_of([row], start=start, end=end, now=now)[row.pk]
    if found is None:
        raise TooManyPlannedError
    return found


def accounts_of(
    rows: Collection[JobEnvironment],
    *,
    start: datetime.datetime,
    end: datetime.datetime,
    now: datetime.datetime,
    most: int = MAX_PLANNED,
) -> dict[uuid.UUID, LedgerAccount | None]:
    """The same for several environments of jobs, by the id of the row, in as many queries as for one.

    None where more than `most` occurrences are planned: nothing that is recorded of those is read.
    """
    end = min(end, now + _JUST_BEFORE)
    found: dict[uuid.UUID, tuple[datetime.datetime, tuple[PlannedPeriod, ...]]] = {}
    known = {row.pk: row.history_from for row in rows}
    for key, periods in periods_of_each(rows, start=start, end=end).items():
        since = max(start, periods[0].plan.since + _JUST_BEFORE) if periods else start
        since = _kept(since, end, known[key])
        if planned_count([period.plan for period in periods], since, end) <= most:
            found[key] = since, periods
    entries = entries_of_each(found, start=start, end=end)
    begins = history_begins(found)
    accounts: dict[uuid.UUID, LedgerAccount | None] = {row.pk: None for row in rows}
    for key, (counted_from, periods) in found.items():
        since = _kept(counted_from, end, begins[key])
        plans, recorded = [period.plan for period in periods], [one for one in entries[key] if one.last >= since]
        ledger = compare(plans, recorded, start=since, end=end)
        accounts[key] = LedgerAccount(since, end, ledger, periods, begins[key])
    return accounts


def history_begins(row_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, datetime.datetime | None]:
    """From when on all that was recorded of each row is still there; None: nothing was pruned.

    To be read after the records: it moves on as they are pruned.
    """
    return dict(JobEnvironment.objects.filter(pk__in=list(row_ids)).values_list("pk", "history_from"))


def _kept(
    start: datetime.datetime, end: datetime.datetime, history_from: datetime.datetime | None
) -> datetime.datetime:
    """Where a span starts of which what was before `history_from` can't be told any more."""
    return start if history_from is None else min(max(start, history_from), end)


def periods_of(row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime) -> tuple[PlannedPeriod, ...]:
    """The periods that reach into a span, in order. `row` and its job are read afresh: they say what is owed."""
    return periods_of_each([row], start=start, end=end)[row.pk]


def periods_of_each(
    rows: Iterable[JobEnvironment], *, start: datetime.datetime, end: datetime.datetime
) -> dict[uuid.UUID, tuple[PlannedPeriod, ...]]:
    """The same for several rows, by their ids."""
    fresh = JobEnvironment.objects.select_related("job").in_bulk([row.pk for row in rows])
    found = list(period_rows(fresh, start=start, end=end))
    wanted = {
        str(period.job_version_id): fresh[period.job_environment_id].job.created_at
        for period in found
        if period.state in _PLANNING
    }
    timetables = timetables_of(wanted)
    periods: dict[uuid.UUID, list[PlannedPeriod]] = {key: [] for key in fresh}
    for period in found:
        row = fresh[period.job_environment_id]
        planned = timetables.get(str(period.job_version_id)) if period.state in _PLANNING else None
        found_there = planned.of(str(row.environment_id)) if planned else None
        plan = PlannedSchedule(
            period.state,
            found_there.schedule if found_there else None,
            period.from_at,
            period.until_at,
            _owed_after(period, row),
            found_there.unreadable if found_there else "",
        )
        periods[row.pk].append(PlannedPeriod(plan, period.job_version.number, period.note))
    return {key: tuple(found) for key, found in periods.items()}


def period_rows(
    row_ids: Iterable[uuid.UUID], *, start: datetime.datetime, end: datetime.datetime
) -> QuerySet[SchedulePeriod]:
    reaching = Q(until_at__isnull=True) | Q(until_at__gte=start)
    periods = SchedulePeriod.objects.filter(reaching, job_environment__in=list(row_ids), from_at__lt=end)
    return periods.order_by("from_at").select_related("job_version").defer("job_version__config")


def _owed_after(period: SchedulePeriod, row: JobEnvironment) -> datetime.datetime | None:
    if period.until_at is not None:
        return period.unsettled_from
    if period.state == PeriodState.PAUSED:
        return period.from_at
    return row.next_fire_at and row.next_fire_at - _JUST_BEFORE


def entries_of(row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime) -> list[Entry]:
    """What is recorded of a span, in order: with the stretch that begins before it and reaches into it, if one does."""
    return entries_of_each([row.pk], start=start, end=end)[row.pk]


def entries_of_each(
    row_ids: Iterable[uuid.UUID], *, start: datetime.datetime, end: datetime.datetime
) -> dict[uuid.UUID, list[Entry]]:
    """The same for several rows, by their ids."""
    entries: dict[uuid.UUID, list[Entry]] = {key: [] for key in row_ids}
    for rows in (stretch_rows(entries, start=start), entry_rows(entries, start=start, end=end)):
        for row_id, key, *rest in rows:
            entry = Entry(str(key), *rest)
            if entry.last >= start:
                entries[row_id].append(entry)
    return entries


def entry_rows(row_ids: Iterable[uuid.UUID], *, start: datetime.datetime, end: datetime.datetime) -> Any:
    """What is recorded of a span, but for the stretches that begin before it."""
    scheduled = Execution.objects.filter(job_environment__in=list(row_ids), trigger=Trigger.SCHEDULE)
    return _recorded(scheduled.filter(scheduled_for__gte=start, scheduled_for__lt=end))


def stretch_rows(row_ids: Iterable[uuid.UUID], *, start: datetime.datetime) -> Any:
    """The last that is recorded of each row before a span: it may be a stretch that reaches into it."""
    scheduled = Execution.objects.filter(trigger=Trigger.SCHEDULE)
    earlier = scheduled.filter(job_environment=OuterRef("pk"), scheduled_for__lt=start).order_by("-scheduled_for")
    places = JobEnvironment.objects.filter(pk__in=list(row_ids)).order_by()
    return _recorded(scheduled.filter(pk__in=places.values_list(Subquery(earlier.values("pk")[:1]), flat=True)))


def _recorded(scheduled: Any) -> Any:
    """Scheduled executions as the ledger reads them, in order, each after the id of its row."""
    reaching = scheduled.annotate(last=Coalesce("scheduled_until", F("scheduled_for"))).order_by("scheduled_for")
    return reaching.values_list("job_environment_id", "pk", "scheduled_for", "last", "occurrences", "skip_reason")
