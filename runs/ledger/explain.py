"""Explains why a job ran, or did not, at an instant: a verdict and a sentence from the ledger."""

import datetime
import enum
from dataclasses import dataclass

from core.words import SKIP_REASONS, duration_words, instant_words
from jobs.definition.contract import Overlap
from jobs.definition.overrides import effective
from jobs.models import JobEnvironment, PeriodState
from jobs.schedule.misfire import FIRE_ALL_LIMIT, Misfire
from runs.ledger.comparison import PlannedSchedule
from runs.ledger.read import PlannedPeriod, entries_of, history_begins, periods_of
from runs.models import Execution
from runs.states import ExecutionStatus, SkipReason, Trigger

#: Shorter waits, in milliseconds, are not mentioned.
_MIN_WAIT_MS = 1000
_SECOND = datetime.timedelta(seconds=1)
_JUST_BEFORE = datetime.timedelta(microseconds=1)
#: How far to look for the occurrence before an instant, step by step.
_LOOK_BACK = tuple(datetime.timedelta(days=days) for days in (1 / 24, 1, 31, 366, 5 * 366))


class LedgerVerdict(enum.StrEnum):
    """The ledger's verdict on an instant."""

    FIRED = "fired"
    SKIPPED = "skipped"
    DUE = "due"
    LOST = "lost"
    PRUNED = "pruned"
    TO_COME = "to_come"
    NOT_PLANNED = "not_planned"
    MANUAL = "manual"
    DISABLED = "disabled"
    ENDED = "ended"
    DELETED = "deleted"
    NOT_YET = "not_yet"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`occurrence` is the planned one at that instant; without one, `previous` and `next` are the nearest."""

    verdict: LedgerVerdict
    detail: str
    occurrence: datetime.datetime | None = None
    execution: Execution | None = None
    lateness_ms: int | None = None
    previous: datetime.datetime | None = None
    next: datetime.datetime | None = None
    period: PlannedPeriod | None = None


def explain(job_environment: JobEnvironment, *, at: datetime.datetime, now: datetime.datetime) -> Explanation:
    """Explain what happened in a job-environment, which comes with its job, at `at`, to the second."""
    second = at.replace(microsecond=0)
    periods = periods_of(job_environment, start=second, end=second + _SECOND)
    for period in periods:
        occurrence = period.schedule.next_after(second - _JUST_BEFORE)
        if occurrence is not None and occurrence < second + _SECOND:
            return _of_planned(job_environment, period, occurrence, now)
    # Of two periods within this second, the later one was in force after the change.
    return _of_unplanned(job_environment, periods[-1], second) if periods else _before_all(job_environment)


def why_late(execution: Execution, *, now: datetime.datetime) -> list[str]:
    """What an execution waited for before its first attempt, a sentence each. Waits under a second are left out."""
    due, started = execution.scheduled_for, execution.started_at or execution.finished_at or now
    if execution.status == ExecutionStatus.SKIPPED:
        return []
    reasons = []
    if execution.jitter_ms:
        reasons.append(f"The job's jitter puts it {duration_words(execution.jitter_ms)} after its time.")
    if due and _milliseconds(execution.created_at - due) >= _MIN_WAIT_MS:
        late = duration_words(_milliseconds(execution.created_at - due))
        reasons.append(f"The clock processed it {late} after its time: it was stopped, or catching up.")
    ready = max(execution.created_at, execution.planned_start or execution.created_at)
    if _milliseconds(started - ready) >= _MIN_WAIT_MS:
        reasons.append(_wait_reason(execution, duration_words(_milliseconds(started - ready))))
    return reasons


def _wait_reason(execution: Execution, waited: str) -> str:
    if execution.queued or execution.overlap == Overlap.QUEUE:
        return f"It waited {waited}: executions of this job run one after the other."
    if execution.concurrency is not None:
        return f"It waited {waited}: at most {execution.concurrency} of this job's executions run at once."
    return f"It waited {waited} for a worker with room for it."


def _of_planned(
    job_environment: JobEnvironment, period: PlannedPeriod, occurrence: datetime.datetime, now: datetime.datetime
) -> Explanation:
    entry = next(iter(entries_of(job_environment, start=occurrence, end=occurrence + _JUST_BEFORE)), None)
    execution = Execution.objects.light().filter(pk=entry.execution_id).first() if entry else None
    if execution is not None:
        return _of_recorded(execution, period, occurrence)
    history_from = history_begins([job_environment.pk])[job_environment.pk]
    if history_from is not None and occurrence < history_from:
        since = instant_words(history_from)
        detail = f"It was planned, but its history is pruned: the history here begins at {since} UTC."
        return Explanation(LedgerVerdict.PRUNED, detail, occurrence, period=period)
    if occurrence > now:
        verdict, detail = LedgerVerdict.TO_COME, "It is planned for then, which is in the future."
        if period.schedule.state == PeriodState.PAUSED:
            detail = f"It is planned for then, but will be skipped: {_pause(period)}."
    elif not period.schedule.owes(occurrence):
        verdict, detail = LedgerVerdict.LOST, "It was planned, but no execution records it. This should never happen."
    elif period.schedule.state == PeriodState.PAUSED:
        verdict, detail = LedgerVerdict.SKIPPED, f"It was skipped: {_pause(period)}."
    else:
        late = duration_words(_milliseconds(now - occurrence))
        verdict, detail = LedgerVerdict.DUE, f"It is due, and late by {late}: the clock has not processed it yet."
    return Explanation(verdict, detail, occurrence, period=period)


def _of_recorded(execution: Execution, period: PlannedPeriod, occurrence: datetime.datetime) -> Explanation:
    if execution.status == ExecutionStatus.SKIPPED:
        why = SKIP_REASONS.get(execution.skip_reason, execution.skip_reason)
        if period.schedule.state == PeriodState.PAUSED:
            why = _pause(period)
        elif execution.skip_reason == SkipReason.MISSED:
            why = _why_missed(execution)
        among = f", one of {execution.occurrences:,} in a row {_span(execution)}" if execution.occurrences > 1 else ""
        return Explanation(
            LedgerVerdict.SKIPPED, f"It was skipped{among}: {why}.", occurrence, execution, period=period
        )
    started, planned = execution.started_at, execution.planned_start
    lateness = _milliseconds(started - planned) if started and planned else None
    detail = f"It fired{_how_late(lateness)}, and {_status_words(execution)}."
    return Explanation(LedgerVerdict.FIRED, detail, occurrence, execution, lateness, period=period)


def _span(execution: Execution) -> str:
    first, last = execution.scheduled_for, execution.scheduled_until or execution.scheduled_for
    return f"from {instant_words(first)} to {instant_words(last)} UTC" if first and last else ""


def _why_missed(execution: Execution) -> str:
    """Why the clock, which was late, only counted it: by what it fired of the same occurrences."""
    config = effective(execution.job_version.config, str(execution.environment_id))
    at = f"the clock processed it at {instant_words(execution.created_at)} UTC"
    fired = Execution.objects.filter(
        job_environment=execution.job_environment_id,
        trigger=Trigger.SCHEDULE,
        scheduled_for__gt=execution.scheduled_for,
        created_at=execution.created_at,
    ).exclude(status=ExecutionStatus.SKIPPED)
    count = fired.count()
    match config["misfire"]:
        case Misfire.FIRE_ONCE if count:
            return f"missed; only the latest of {execution.occurrences + count:,} is fired ({at})"
        case Misfire.FIRE_ALL if count >= FIRE_ALL_LIMIT:
            return f"missed; only the latest {FIRE_ALL_LIMIT} of {execution.occurrences + count:,} are fired ({at})"
        case Misfire.SKIP:
            return f"missed; the job's misfire policy skips late occurrences ({at})"
    grace = duration_words(config["misfire_grace_seconds"] * 1000)
    return f"missed; {at}, which is later than the job's grace of {grace}"


def _how_late(lateness_ms: int | None) -> str:
    return "" if lateness_ms is None else f", {duration_words(lateness_ms)} after it was due"


def _status_words(execution: Execution) -> str:
    match execution.status:
        case ExecutionStatus.SUCCEEDED:
            return "succeeded"
        case ExecutionStatus.FAILED:
            return f"failed: {execution.error or execution.failure_reason}"
        case ExecutionStatus.CANCELED:
            return "was canceled"
        case ExecutionStatus.PENDING if execution.queued:
            return "waits for the previous one to end"
        case ExecutionStatus.PENDING if execution.attempts:
            return "waits for its next attempt"
        case ExecutionStatus.PENDING:
            return "waits for a worker"
    return f"is {execution.status}"


def _of_unplanned(job_environment: JobEnvironment, period: PlannedPeriod, second: datetime.datetime) -> Explanation:
    schedule = period.schedule
    since = f"{instant_words(schedule.since)} UTC"
    if schedule.unreadable:
        return _of_unreadable(job_environment, period, second)
    if schedule.state == PeriodState.DISABLED:
        return Explanation(LedgerVerdict.DISABLED, f"It was disabled here, since {since}.", period=period)
    if (
        job_environment.job.deleted_at is not None
        and schedule.state == PeriodState.ENDED
        and job_environment.job.deleted_at <= second + _SECOND
    ):
        return Explanation(LedgerVerdict.DELETED, f"The job was deleted at {since}.", period=period)
    if schedule.state == PeriodState.ENDED:
        return Explanation(
            LedgerVerdict.ENDED, f"The job had completed at {since}: nothing more was planned.", period=period
        )
    if schedule.schedule is None:
        return Explanation(LedgerVerdict.MANUAL, "The job was manual: it had no schedule.", period=period)
    return Explanation(
        LedgerVerdict.NOT_PLANNED,
        f"Version {period.version} of the job, in force since {since}, has no occurrence in that second.",
        previous=_last_before(schedule, second),
        next=schedule.next_after(second),
        period=period,
    )


def _of_unreadable(job_environment: JobEnvironment, period: PlannedPeriod, second: datetime.datetime) -> Explanation:
    """Explain what is recorded; whether anything else was planned is unknown until the version can be read."""
    for entry in entries_of(job_environment, start=second, end=second + _SECOND):
        execution = Execution.objects.light().filter(pk=entry.execution_id).first()
        if execution is not None:
            return _of_recorded(execution, period, entry.first)
    detail = (
        f"Version {period.version} of the job can't be read by this release of Hourhand, so the job waits: "
        f"{period.schedule.unreadable}"
    )
    return Explanation(LedgerVerdict.UNREADABLE, detail, period=period)


def _before_all(job_environment: JobEnvironment) -> Explanation:
    first = job_environment.periods.order_by("from_at").first()
    if first is None:
        return Explanation(LedgerVerdict.NOT_YET, "The job has no ledger in this environment.")
    since = instant_words(first.from_at)
    return Explanation(LedgerVerdict.NOT_YET, f"The job did not exist yet: its ledger here begins at {since} UTC.")


def _last_before(schedule: PlannedSchedule, instant: datetime.datetime) -> datetime.datetime | None:
    for span in _LOOK_BACK:
        after = max(instant - span, schedule.since)
        occurrences = (
            schedule.schedule.occurrences_between(after, instant - _JUST_BEFORE) if schedule.schedule else None
        )
        if occurrences is not None:
            return occurrences.last
        if after == schedule.since:
            break
    return None


def _pause(period: PlannedPeriod) -> str:
    note = f" ({period.note})" if period.note else ""
    return f"the job was paused at {instant_words(period.schedule.since)} UTC{note}"


def _milliseconds(duration: datetime.timedelta) -> int:
    return max(0, round(duration / datetime.timedelta(milliseconds=1)))
