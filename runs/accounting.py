"""Reads what the ledger compares: the plans that were in force in one environment, and what was recorded there.

Plans are read before executions: what the clock does in between is then one that was owed and is recorded, never one
that seems lost.
"""

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from jobs.models import JobEnvironment, PeriodState, SchedulePeriod
from runs.ledger import Entry, Ledger, Plan, compare
from runs.models import Execution
from runs.states import Trigger
from runs.timetables import timetables_of

_JUST_BEFORE = datetime.timedelta(microseconds=1)
_PLANNING = (PeriodState.ACTIVE, PeriodState.PAUSED)


@dataclass(frozen=True, slots=True)
class Period:
    """A plan with what people want to know of it."""

    plan: Plan
    version: int
    note: str


@dataclass(frozen=True, slots=True)
class Account:
    """A ledger, its span as far as it could be looked at, and the periods in it.

    `history_from` is where the records begin: of what was planned before, some are pruned. None: nothing ever was.
    """

    start: datetime.datetime
    end: datetime.datetime
    ledger: Ledger
    periods: tuple[Period, ...]
    history_from: datetime.datetime | None


def account_of(
    row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime, now: datetime.datetime
) -> Account:
    """Compare what was planned with what was recorded, from `start` on and before `end`, and no later than `now`.

    A span that begins before the job's ledger does, or before what is kept of its history, is shortened. Raises
    TooManyPlannedError.
    """
    end = min(end, now + _JUST_BEFORE)
    periods = periods_of(row, start=start, end=end)
    if periods:
        start = max(start, periods[0].plan.since + _JUST_BEFORE)
    entries = entries_of(row, start=start, end=end)
    history_from = history_begins(row)
    if history_from is not None:
        start = min(max(start, history_from), end)
        entries = [entry for entry in entries if entry.last >= start]
    ledger = compare([period.plan for period in periods], entries, start=start, end=end)
    return Account(start, end, ledger, periods, history_from)


def history_begins(row: JobEnvironment) -> datetime.datetime | None:
    """From when on all that was recorded is still there. To be read after the records: it moves as they are pruned."""
    found: datetime.datetime | None = JobEnvironment.objects.values_list("history_from", flat=True).get(pk=row.pk)
    return found


def periods_of(row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime) -> tuple[Period, ...]:
    """The periods that reach into a span, in order. `row` and its job are read afresh: they say what is owed."""
    row = JobEnvironment.objects.select_related("job").get(pk=row.pk)
    found = list(period_rows(row, start=start, end=end))
    wanted = {str(period.job_version_id): row.job.created_at for period in found if period.state in _PLANNING}
    timetables = timetables_of(wanted)
    periods = []
    for period in found:
        planned = timetables.get(str(period.job_version_id)) if period.state in _PLANNING else None
        schedule = planned.of(str(row.environment_id)).schedule if planned else None
        plan = Plan(period.state, schedule, period.from_at, period.until_at, _owed_after(period, row))
        periods.append(Period(plan, period.job_version.number, period.note))
    return tuple(periods)


def period_rows(row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime) -> QuerySet[SchedulePeriod]:
    reaching = Q(until_at__isnull=True) | Q(until_at__gte=start)
    periods = SchedulePeriod.objects.filter(reaching, job_environment=row, from_at__lt=end).order_by("from_at")
    return periods.select_related("job_version").defer("job_version__config")


def _owed_after(period: SchedulePeriod, row: JobEnvironment) -> datetime.datetime | None:
    if period.until_at is not None:
        return period.unsettled_from
    if period.state == PeriodState.PAUSED:
        return period.from_at
    return row.next_fire_at and row.next_fire_at - _JUST_BEFORE


def entries_of(row: JobEnvironment, *, start: datetime.datetime, end: datetime.datetime) -> list[Entry]:
    """What is recorded of a span, in order: with the stretch that begins before it and reaches into it, if one does."""
    within = list(recorded(row).filter(scheduled_for__gte=start, scheduled_for__lt=end))
    before = recorded(row).filter(scheduled_for__lt=start).order_by("-scheduled_for").first()
    found = [Entry(str(key), *rest) for key, *rest in ([before] if before else []) + within]
    return [entry for entry in found if entry.last >= start]


def recorded(row: JobEnvironment) -> Any:
    """Scheduled executions as the ledger reads them, in order."""
    scheduled = Execution.objects.filter(job_environment=row, trigger=Trigger.SCHEDULE).order_by("scheduled_for")
    reaching = scheduled.annotate(last=Coalesce("scheduled_until", F("scheduled_for")))
    return reaching.values_list("pk", "scheduled_for", "last", "occurrences", "skip_reason")
