"""Writes due occurrences as rows, in bulk: executions that fire, and skipped ones that only count.

The caller holds the locks of the job-environments; nothing here waits for another lock.
"""

import collections
import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts.usage import stopped
from jobs.definition.contract import Overlap, Timetable
from jobs.schedule import OccurrenceRange
from jobs.schedule.jitter import jitter_ms
from runs import counters
from runs.attempts.contract import AttemptKey
from runs.executions.cancel import cancel_live
from runs.executions.create import JobEnvironmentKey, NewExecution, insert_scheduled
from runs.models import Execution
from runs.overlap import Decision, LiveExecutions, decide, limiting, live_executions
from runs.states import ExecutionStatus, SkipReason, Trigger
from runs.workflows.cleanup import Cleanup

#: The error of an execution that its next occurrence canceled, before or while its request was sent.
_NOT_SENT = "Canceled: the next occurrence was due."
_IN_FLIGHT = "Canceled in flight, since the next occurrence was due; the request may have arrived."
_LAST = """
    SELECT environment.id::text, last.id::text, last.until, last.skip_reason
      FROM unnest(%s::uuid[], %s::uuid[]) AS environment (id, job_version_id)
     CROSS JOIN LATERAL (
         SELECT id, coalesce(scheduled_until, scheduled_for) AS until, skip_reason, job_version_id
           FROM runs_execution AS execution
          WHERE execution.job_environment_id = environment.id AND execution.trigger = 'schedule'
          ORDER BY execution.scheduled_for DESC LIMIT 1
     ) AS last
     WHERE last.skip_reason <> '' AND last.job_version_id = environment.job_version_id
"""
_EXTEND = """
    UPDATE runs_execution AS execution
       SET scheduled_until = longer.until, occurrences = execution.occurrences + longer.more
      FROM unnest(%s::uuid[], %s::timestamptz[], %s::int[]) AS longer (id, until, more)
     WHERE execution.id = longer.id
"""


@dataclass(slots=True)
class ScheduledJobEnvironment(JobEnvironmentKey):
    """A job in one environment, with the timetable of the version that its occurrences run in."""

    timetable: Timetable

    @classmethod
    def of(cls, timetable: Timetable, **ids: str) -> "ScheduledJobEnvironment":
        """`ids` are the fields of a JobEnvironmentKey that end in `_id`, as text."""
        return cls(
            concurrency=timetable.concurrency,
            overlap=limiting(timetable.overlap),
            callback_on=timetable.callback_on,
            timetable=timetable,
            **ids,
        )


@dataclass(frozen=True, slots=True)
class Skip:
    """Consecutive occurrences that are only counted."""

    occurrences: OccurrenceRange
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class DueJobEnvironment:
    """What was due of one job-environment: `fires` oldest first, each unless overlap forbids it, and the skipped."""

    job_environment: ScheduledJobEnvironment
    fires: tuple[datetime.datetime, ...]
    skips: tuple[Skip, ...]


@dataclass(slots=True)
class Materialized:
    """What was written: ids to enqueue, transfers to abort, and the occurrences that were only counted, by reason."""

    execution_ids: list[uuid.UUID] = field(default_factory=list)
    aborted: list[AttemptKey] = field(default_factory=list)
    skipped: collections.Counter[str] = field(default_factory=collections.Counter)
    #: Workspaces whose plan lets no more runs start this month: what was to fire there is only counted.
    stopped: frozenset[str] = frozenset()
    #: Job-environments of which nothing was written: another transaction is ending a live execution there.
    held_back: set[str] = field(default_factory=set)


def materialize(cursor: Any, due: Sequence[DueJobEnvironment], *, now: datetime.datetime) -> Materialized:
    """Write the due occurrences of several job-environments in the caller's transaction."""
    written = Materialized()
    due = _within_plans(cursor, due, written, now)
    live = _make_way(cursor, due, written)
    new: list[NewExecution] = []
    skips: list[tuple[ScheduledJobEnvironment, Skip]] = []
    for item in due:
        job_environment = item.job_environment
        if job_environment.job_environment_id in written.held_back:
            continue
        standing = live.get(job_environment.job_environment_id, LiveExecutions())
        decision = decide(job_environment.timetable.overlap, item.fires, standing)
        new.extend(_executions(job_environment, decision, now))
        skips.extend((job_environment, skip) for skip in item.skips)
        skips.extend((job_environment, skip) for skip in _skips(decision.overlapping, item, SkipReason.OVERLAP))
    new.extend(_skipped_executions(cursor, skips, now))
    written.skipped.update(_counted(skip for _, skip in skips))
    inserted = insert_scheduled(cursor, new, now=now)
    _count_conflicts(cursor, [execution for execution in new if str(execution.id) not in inserted], now, written)
    new = [execution for execution in new if str(execution.id) in inserted]
    canceled = sum(execution.status == ExecutionStatus.CANCELED for execution in new)
    counters.add(cursor, {**counters.of_skipped(written.skipped), **counters.of_canceled(canceled)})
    written.execution_ids = [execution.id for execution in new if execution.enqueued_at is not None]
    return written


def _within_plans(
    cursor: Any, due: Sequence[DueJobEnvironment], written: Materialized, now: datetime.datetime
) -> Sequence[DueJobEnvironment]:
    """Only count what is due in a stopped workspace: an execution for each occurrence would only fail."""
    firing = {item.job_environment.workspace_id for item in due if item.fires}
    written.stopped = frozenset(stopped(cursor, firing, at=now)) if firing else frozenset()
    if not written.stopped:
        return due
    return [_only_counted(item) if item.job_environment.workspace_id in written.stopped else item for item in due]


def _only_counted(due: DueJobEnvironment) -> DueJobEnvironment:
    return DueJobEnvironment(due.job_environment, (), (*due.skips, *_skips(due.fires, due, SkipReason.QUOTA)))


def _make_way(cursor: Any, due: Iterable[DueJobEnvironment], written: Materialized) -> dict[str, LiveExecutions]:
    """Read what is live where overlap is limited and something is to fire; cancel what makes way for that."""
    policies = {
        item.job_environment.job_environment_id: item.job_environment.timetable.overlap
        for item in due
        if item.fires and item.job_environment.timetable.overlap is not Overlap.ALLOW
    }
    if not policies:
        return {}
    live = dict(live_executions(cursor, policies))
    yielding = {
        execution_id: key
        for key, executions in live.items()
        if policies[key] is Overlap.CANCEL_RUNNING
        for execution_id in executions.scheduled
    }
    if yielding:
        _cancel(yielding, written)
    return live


def _cancel(yielding: Mapping[uuid.UUID, str], written: Materialized) -> None:
    """Cancel executions, given with their job-environments.

    A worker that records one of them holds it while it waits for the job-environment, which is locked here. So this
    must not wait for the execution: it is left as it is, and its job-environment is held back.
    """
    executions = Execution.objects.filter(pk__in=yielding)
    canceled = cancel_live(
        executions,
        now=None,
        error=_NOT_SENT,
        error_in_flight=_IN_FLIGHT,
        skip_locked=True,
        abort=False,
        cleanup=Cleanup.BESIDE_THE_NEXT,
    )
    written.aborted.extend(canceled.in_flight)
    locked = executions.filter(finished_at__isnull=True).exclude(overlap="").values_list("pk", flat=True)
    written.held_back.update(yielding[execution_id] for execution_id in locked)


def _executions(
    job_environment: ScheduledJobEnvironment, decision: Decision, now: datetime.datetime
) -> Iterable[NewExecution]:
    for at in decision.canceled:
        yield NewExecution(
            job_environment=job_environment,
            trigger=Trigger.SCHEDULE,
            created_at=now,
            status=ExecutionStatus.CANCELED,
            scheduled_for=at,
            finished_at=now,
            error=_NOT_SENT,
        )
    key, jitter_seconds = job_environment.job_environment_id, job_environment.timetable.jitter_seconds
    for at, queued in [(at, False) for at in decision.starts] + [(at, True) for at in decision.queued]:
        jitter = jitter_ms(key, at, jitter_seconds=jitter_seconds)
        yield NewExecution.pending(
            job_environment,
            trigger=Trigger.SCHEDULE,
            now=now,
            starts_at=at + datetime.timedelta(milliseconds=jitter),
            queued=queued,
            scheduled_for=at,
            jitter_ms=jitter,
        )


def _skips(instants: Iterable[datetime.datetime], due: DueJobEnvironment, reason: SkipReason) -> Iterable[Skip]:
    """Occurrences that do not fire after all, as ranges that no other skip of `due` lies within."""
    occurrences: OccurrenceRange | None = None
    for at in instants:
        between = occurrences and any(occurrences.last < skip.occurrences.first < at for skip in due.skips)
        if occurrences is not None and not between:
            occurrences = OccurrenceRange(occurrences.first, at, occurrences.count + 1)
            continue
        if occurrences is not None:
            yield Skip(occurrences, reason)
        occurrences = OccurrenceRange(at, at, 1)
    if occurrences is not None:
        yield Skip(occurrences, reason)


def _skipped_executions(
    cursor: Any, skips: Sequence[tuple[ScheduledJobEnvironment, Skip]], now: datetime.datetime
) -> Iterable[NewExecution]:
    """Rows for skips. One that directly follows the last row, for the same reason, extends that row instead."""
    if not skips:
        return []
    versions = {job_environment.job_environment_id: job_environment.job_version_id for job_environment, _ in skips}
    cursor.execute(_LAST, [list(versions), list(versions.values())])
    last = {key: (row_id, until, reason) for key, row_id, until, reason in cursor.fetchall()}
    new, longer = [], []
    for job_environment, skip in skips:
        row_id, until, reason = last.get(job_environment.job_environment_id, (None, None, None))
        if reason == skip.reason and _follows(job_environment.timetable, until, skip.occurrences):
            longer.append((row_id, skip.occurrences.last, skip.occurrences.count))
        else:
            new.append(_skipped(job_environment, skip, now))
    if longer:
        cursor.execute(_EXTEND, [list(column) for column in zip(*longer, strict=True)])
    return new


def _follows(timetable: Timetable, until: datetime.datetime, occurrences: OccurrenceRange) -> bool:
    return timetable.schedule is not None and timetable.schedule.next_after(until) == occurrences.first


def _skipped(job_environment: JobEnvironmentKey, skip: Skip, now: datetime.datetime) -> NewExecution:
    occurrences = skip.occurrences
    return NewExecution(
        job_environment=job_environment,
        trigger=Trigger.SCHEDULE,
        created_at=now,
        status=ExecutionStatus.SKIPPED,
        scheduled_for=occurrences.first,
        scheduled_until=occurrences.last if occurrences.count > 1 else None,
        occurrences=occurrences.count,
        skip_reason=skip.reason.value,
        finished_at=now,
    )


def _counted(skips: Iterable[Skip]) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    for skip in skips:
        counts[skip.reason.value] += skip.occurrences.count
    return counts


def _count_conflicts(
    cursor: Any, refused: Sequence[NewExecution], now: datetime.datetime, written: Materialized
) -> None:
    """Count occurrences that a unique key forbade to fire as overlapping; one that is recorded already stays so."""
    skips = [
        (
            execution.job_environment,
            Skip(OccurrenceRange(execution.scheduled_for, execution.scheduled_for, 1), SkipReason.OVERLAP),
        )
        for execution in refused
        if execution.status == ExecutionStatus.PENDING and execution.job_environment.overlap and execution.scheduled_for
    ]
    if skips:
        insert_scheduled(cursor, [_skipped(job_environment, skip, now) for job_environment, skip in skips], now=now)
        written.skipped.update(_counted(skip for _, skip in skips))
