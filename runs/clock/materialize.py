"""Writes what became of planned occurrences: executions that fire, and skipped ones that count. All in bulk.

The caller holds the locks of the job-environments; nothing here waits for another's lock.
"""

import collections
import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts.usage import stopped
from core.ids import uuid7
from jobs.definition.contract import Overlap, Timetable
from jobs.schedule import OccurrenceRange
from jobs.schedule.jitter import jitter_ms
from runs import counters
from runs.executions.cancel import cancel_live
from runs.live_tail.publish import tell_on_commit
from runs.models import Execution
from runs.overlap import Decision, Standing, decide, limiting, what_stands
from runs.postgres_text import sparse_array
from runs.states import ExecutionStatus, SkipReason

#: What an execution says that was canceled before its request was sent, or while.
NEVER_STARTED = "Canceled: the next occurrence was due."
_IN_FLIGHT = "Canceled in flight, since the next occurrence was due; the request may have arrived."
_COLUMNS = {
    "id": "uuid", "workspace_id": "uuid", "job_id": "uuid", "environment_id": "uuid", "job_environment_id": "uuid",
    "job_version_id": "uuid", "status": "text", "scheduled_for": "timestamptz", "scheduled_until": "timestamptz",
    "occurrences": "int", "skip_reason": "text", "enqueued_at": "timestamptz", "finished_at": "timestamptz",
    "next_attempt_at": "timestamptz", "concurrency": "smallint", "overlap": "text", "queued": "boolean",
    "jitter_ms": "int", "error": "text",
}  # fmt: skip
_INSERT = f"""
    INSERT INTO runs_execution ({", ".join(_COLUMNS)}, trigger, created_at, attempts, failure_reason)
    SELECT *, 'schedule', %s::timestamptz, 0, ''
      FROM unnest({", ".join(f"%s::{kind}[]" for kind in _COLUMNS.values())})
    ON CONFLICT DO NOTHING
 RETURNING id::text
"""  # noqa: S608 - our own text
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


@dataclass(frozen=True, slots=True)
class JobEnvironmentKey:
    """Where and in which version executions are made. Ids are text, as Postgres gives and takes them."""

    job_environment_id: str
    workspace_id: str
    job_id: str
    environment_id: str
    job_version_id: str
    timetable: Timetable


@dataclass(frozen=True, slots=True)
class Skip:
    """A stretch that is only counted."""

    stretch: OccurrenceRange
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to become of what was due in one place: `fires` oldest first, unless overlap says otherwise."""

    place: JobEnvironmentKey
    fires: tuple[datetime.datetime, ...]
    skips: tuple[Skip, ...]


@dataclass(slots=True)
class Written:
    """What was done: ids to enqueue, transfers to abort, occurrences counted by reason, and who must wait a moment."""

    execution_ids: list[uuid.UUID] = field(default_factory=list)
    aborted: list[uuid.UUID] = field(default_factory=list)
    skipped: collections.Counter[str] = field(default_factory=collections.Counter)
    #: Workspaces whose plan lets no more runs start this month: what was to be fired there is only counted.
    stopped: frozenset[str] = frozenset()
    #: Job-environments of which nothing was written: what stands there is just being ended by somebody else.
    held_back: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _New:
    """An execution to be inserted."""

    place: JobEnvironmentKey
    status: ExecutionStatus
    scheduled_for: datetime.datetime
    scheduled_until: datetime.datetime | None = None
    occurrences: int = 1
    skip_reason: str = ""
    enqueued_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    next_attempt_at: datetime.datetime | None = None
    queued: bool = False
    jitter_ms: int = 0
    error: str = ""
    id: uuid.UUID = field(default_factory=uuid7)

    def row(self) -> tuple[Any, ...]:
        """In the order of the columns."""
        place = self.place
        return (
            str(self.id), place.workspace_id, place.job_id, place.environment_id, place.job_environment_id,
            place.job_version_id, self.status.value, self.scheduled_for, self.scheduled_until,
            self.occurrences, self.skip_reason, self.enqueued_at, self.finished_at,
            self.next_attempt_at, place.timetable.concurrency, limiting(place.timetable.overlap), self.queued,
            self.jitter_ms, self.error,
        )  # fmt: skip


def write(cursor: Any, outcomes: Sequence[Outcome], *, now: datetime.datetime) -> Written:
    """Write the outcomes of several job-environments in the caller's transaction."""
    written = Written()
    outcomes = _as_plans_allow(cursor, outcomes, written, now)
    standing = _standing(cursor, outcomes, written)
    new: list[_New] = []
    skips: list[tuple[JobEnvironmentKey, Skip]] = []
    for outcome in outcomes:
        place = outcome.place
        if place.job_environment_id in written.held_back:
            continue
        policy = place.timetable.overlap
        decision = decide(policy, outcome.fires, standing.get(place.job_environment_id, Standing()))
        new.extend(_executions(place, decision, now))
        skips.extend((place, skip) for skip in outcome.skips)
        skips.extend((place, skip) for skip in _apart(decision.overlapped, outcome, SkipReason.OVERLAP))
    new.extend(_stretches(cursor, skips, now))
    written.skipped.update(_counted(skips))
    made = _insert(cursor, new, now)
    _count_beaten(cursor, [one for one in new if str(one.id) not in made], now, written)
    canceled = sum(one.status == ExecutionStatus.CANCELED and str(one.id) in made for one in new)
    counters.add(cursor, {**counters.of_skipped(written.skipped), **counters.of_canceled(canceled)})
    written.execution_ids = [one.id for one in new if one.enqueued_at is not None and str(one.id) in made]
    return written


def _as_plans_allow(
    cursor: Any, outcomes: Sequence[Outcome], written: Written, now: datetime.datetime
) -> Sequence[Outcome]:
    """Where a workspace is stopped nothing fires: one execution each would only fail, so they are counted instead."""
    firing = {outcome.place.workspace_id for outcome in outcomes if outcome.fires}
    written.stopped = frozenset(stopped(cursor, firing, at=now)) if firing else frozenset()
    if not written.stopped:
        return outcomes
    return [_unfired(one) if one.place.workspace_id in written.stopped else one for one in outcomes]


def _unfired(outcome: Outcome) -> Outcome:
    return Outcome(outcome.place, (), (*outcome.skips, *_apart(outcome.fires, outcome, SkipReason.QUOTA)))


def _standing(cursor: Any, outcomes: Iterable[Outcome], written: Written) -> dict[str, Standing]:
    """What lives where overlap is limited and something is to be fired; with way made for it where that is wanted."""
    limited = {
        outcome.place.job_environment_id: outcome.place.timetable.overlap
        for outcome in outcomes
        if outcome.fires and outcome.place.timetable.overlap is not Overlap.ALLOW
    }
    if not limited:
        return {}
    standing = dict(what_stands(cursor, limited))
    yielding = {
        execution_id: key
        for key, stands in standing.items()
        if limited[key] is Overlap.CANCEL_RUNNING
        for execution_id in stands.scheduled
    }
    if yielding:
        _cancel_yielding(yielding, written)
    return standing


def _cancel_yielding(yielding: Mapping[uuid.UUID, str], written: Written) -> None:
    """Cancel what makes way for the next occurrence: executions with their job-environments, which the caller holds.

    A worker that records one of them waits for that lock while it holds the execution. So this must not wait for it:
    such an execution is left, and its job-environment is held back.
    """
    executions = Execution.objects.filter(pk__in=yielding)
    canceled = cancel_live(
        executions, now=None, error=NEVER_STARTED, error_in_flight=_IN_FLIGHT, skip_locked=True, abort=False
    )
    written.aborted.extend(canceled.in_flight)
    busy = executions.filter(finished_at__isnull=True).values_list("pk", flat=True)
    written.held_back.update(yielding[execution_id] for execution_id in busy)


def _executions(place: JobEnvironmentKey, decision: Decision, now: datetime.datetime) -> Iterable[_New]:
    for at in decision.canceled:
        yield _New(place, ExecutionStatus.CANCELED, at, finished_at=now, error=NEVER_STARTED)
    for at, queued in [(at, False) for at in decision.starts] + [(at, True) for at in decision.waits]:
        jitter = jitter_ms(place.job_environment_id, at, jitter_seconds=place.timetable.jitter_seconds)
        starts_at = at + datetime.timedelta(milliseconds=jitter)
        yield _New(
            place,
            ExecutionStatus.PENDING,
            at,
            enqueued_at=None if queued or starts_at > now else now,
            next_attempt_at=None if queued else starts_at,
            queued=queued,
            jitter_ms=jitter,
        )


def _apart(instants: Iterable[datetime.datetime], outcome: Outcome, reason: SkipReason) -> Iterable[Skip]:
    """Occurrences that are not fired after all, as stretches that nothing else of this outcome lies within."""
    stretch: OccurrenceRange | None = None
    for at in instants:
        between = stretch and any(stretch.last < skip.stretch.first < at for skip in outcome.skips)
        if stretch is not None and not between:
            stretch = OccurrenceRange(stretch.first, at, stretch.count + 1)
            continue
        if stretch is not None:
            yield Skip(stretch, reason)
        stretch = OccurrenceRange(at, at, 1)
    if stretch is not None:
        yield Skip(stretch, reason)


def _stretches(cursor: Any, skips: Sequence[tuple[JobEnvironmentKey, Skip]], now: datetime.datetime) -> Iterable[_New]:
    """Skipped rows to be made. A stretch that directly follows another of its kind makes that one longer instead."""
    if not skips:
        return []
    places = {place.job_environment_id: place for place, _ in skips}
    cursor.execute(_LAST, [list(places), [place.job_version_id for place in places.values()]])
    last = {key: (row_id, until, reason) for key, row_id, until, reason in cursor.fetchall()}
    new, longer = [], []
    for place, skip in skips:
        row_id, until, reason = last.get(place.job_environment_id, (None, None, None))
        if reason == skip.reason and _follows(place.timetable, until, skip.stretch):
            longer.append((row_id, skip.stretch.last, skip.stretch.count))
        else:
            new.append(_skipped(place, skip, now))
    if longer:
        cursor.execute(_EXTEND, [list(column) for column in zip(*longer, strict=True)])
    return new


def _follows(timetable: Timetable, until: datetime.datetime, stretch: OccurrenceRange) -> bool:
    return timetable.schedule is not None and timetable.schedule.next_after(until) == stretch.first


def _skipped(place: JobEnvironmentKey, skip: Skip, now: datetime.datetime) -> _New:
    stretch = skip.stretch
    return _New(
        place,
        ExecutionStatus.SKIPPED,
        stretch.first,
        scheduled_until=stretch.last if stretch.count > 1 else None,
        occurrences=stretch.count,
        skip_reason=skip.reason.value,
        finished_at=now,
    )


def _counted(skips: Iterable[tuple[JobEnvironmentKey, Skip]]) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    for _, skip in skips:
        counts[skip.reason.value] += skip.stretch.count
    return counts


def _insert(cursor: Any, new: Sequence[_New], now: datetime.datetime) -> set[str]:
    """Insert executions. Returns the ids of those that no unique key forbids."""
    if not new:
        return set()
    columns = zip(*(one.row() for one in new), strict=True)
    cursor.execute(_INSERT, [now, *(sparse_array(column) for column in columns)])
    made = {row[0] for row in cursor.fetchall()}
    tell_on_commit((one.place.workspace_id, str(one.id)) for one in new if str(one.id) in made)
    return made


def _count_beaten(cursor: Any, beaten: Sequence[_New], now: datetime.datetime, written: Written) -> None:
    """Occurrences that a unique key forbade to fire: another lives, so they overlap; or they are recorded already."""
    skips = [
        (one.place, Skip(OccurrenceRange(one.scheduled_for, one.scheduled_for, 1), SkipReason.OVERLAP))
        for one in beaten
        if one.status == ExecutionStatus.PENDING and one.place.timetable.overlap is not Overlap.ALLOW
    ]
    if skips:
        _insert(cursor, [_skipped(place, skip, now) for place, skip in skips], now)
        written.skipped.update(_counted(skips))
