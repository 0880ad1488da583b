"""The clock's three verbs: fire what is due, requeue what waits, reap what a dead worker left.

Any number of beats may call these at once. Row locks that skip what another beat holds spread the work; the unique key
on (job_environment, scheduled_for) elects the winner should two ever see the same occurrence.
"""

import datetime
import functools
import uuid
from dataclasses import dataclass

from django.db import connection, transaction

from accounts.ids import uuid7
from jobs.definition import Timetable
from jobs.misfire import FiringPlan, plan_firing
from jobs.models import JobEnvironment, JobVersion
from runs import tallies
from runs.models import Execution
from runs.states import ExecutionStatus, SkipReason, Trigger

BATCH = 1000
REQUEUE_BATCH = 10_000
#: An id that was put on Redis this long ago and is still not claimed may be lost, so it is sent again.
RESEND_AFTER = datetime.timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Fired:
    """What one call of `fire_due` did: ids to enqueue, and how many occurrences were only counted."""

    execution_ids: list[uuid.UUID]
    missed: int
    #: Job-environments that were due and locked by this call; a full batch means that more may be due.
    due: int


def fire_due(now: datetime.datetime, *, limit: int = BATCH) -> Fired:
    """Make the executions of everything due at `now`, and plan each job's next firing, in one transaction."""
    with transaction.atomic():
        due = list(
            JobEnvironment.objects.due(now)
            .select_related("job")
            .select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit]
        )
        if not due:
            return Fired([], 0, 0)
        timetables = _timetables(due)
        plans = [(row, _plan(row, timetables, now)) for row in due]
        executions = [execution for row, plan in plans for execution in _executions(row, plan, timetables, now)]
        made = Execution.objects.bulk_create(executions, ignore_conflicts=True)
        _advance(plans, now)
        missed = sum(plan.missed.count for _, plan in plans if plan.missed)
        with connection.cursor() as cursor:
            tallies.add(cursor, tallies.of_skipped({SkipReason.MISSED.value: missed}))
    ids = [execution.pk for execution in made if execution.status == ExecutionStatus.PENDING]
    return Fired(ids, missed, len(due))


def _timetables(due: list[JobEnvironment]) -> dict[uuid.UUID, Timetable]:
    """The timetable of each job's current version, by version id. Versions never change, so they are remembered."""
    wanted = {row.job.current_version_id: row.job.created_at for row in due if row.job.current_version_id}
    found = {key: timetable for key in wanted if (timetable := _REMEMBERED.get(key))}
    missing = wanted.keys() - found.keys()
    if missing:
        for key, config in JobVersion.objects.filter(pk__in=missing).values_list("pk", "config"):
            found[key] = _REMEMBERED[key] = Timetable.of(config, anchor=wanted[key])
        while len(_REMEMBERED) > _REMEMBER:
            _REMEMBERED.pop(next(iter(_REMEMBERED)))
    return found


_REMEMBER = 50_000
_REMEMBERED: dict[uuid.UUID, Timetable] = {}


def _plan(row: JobEnvironment, timetables: dict[uuid.UUID, Timetable], now: datetime.datetime) -> FiringPlan:
    assert row.next_fire_at is not None
    timetable = timetables.get(row.job.current_version_id) if row.job.current_version_id else None
    if timetable is None or timetable.schedule is None:
        return FiringPlan(None, None, None)
    return plan_firing(timetable.schedule, due_at=row.next_fire_at, now=now, grace=timetable.misfire_grace)


def _executions(
    row: JobEnvironment, plan: FiringPlan, timetables: dict[uuid.UUID, Timetable], now: datetime.datetime
) -> list[Execution]:
    assert row.job.current_version_id is not None
    timetable = timetables.get(row.job.current_version_id)
    common = functools.partial(
        Execution,
        workspace_id=row.workspace_id,
        job_id=row.job_id,
        environment_id=row.environment_id,
        job_environment_id=row.pk,
        job_version_id=row.job.current_version_id,
        trigger=Trigger.SCHEDULE,
        created_at=now,
        concurrency=timetable.concurrency if timetable else None,
    )
    made = []
    if plan.missed is not None:
        made.append(
            common(
                id=uuid7(),
                status=ExecutionStatus.SKIPPED,
                skip_reason=SkipReason.MISSED,
                scheduled_for=plan.missed.first,
                occurrences=plan.missed.count,
                finished_at=now,
            )
        )
    if plan.fire_at is not None:
        made.append(common(id=uuid7(), scheduled_for=plan.fire_at, next_attempt_at=plan.fire_at, enqueued_at=now))
    return made


def _advance(plans: list[tuple[JobEnvironment, FiringPlan]], now: datetime.datetime) -> None:
    """Move every row on to its next firing. One that has none left (a one-off, an ended schedule) is disabled."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE jobs_jobenvironment AS row
               SET next_fire_at = moved.next_fire_at,
                   enabled = moved.next_fire_at IS NOT NULL,
                   last_fired_at = CASE WHEN moved.fired THEN %s ELSE row.last_fired_at END,
                   paused_at = NULL, paused_until = NULL, pause_note = ''
              FROM unnest(%s::uuid[], %s::timestamptz[], %s::boolean[]) AS moved (id, next_fire_at, fired)
             WHERE row.id = moved.id
            """,
            [
                now,
                [row.pk for row, _ in plans],
                [plan.next_fire_at for _, plan in plans],
                [plan.fire_at is not None for _, plan in plans],
            ],
        )


def requeue_due(now: datetime.datetime, *, limit: int = REQUEUE_BATCH) -> list[uuid.UUID]:
    """Claim for sending: retries and delayed executions that have come due. Returns the ids to enqueue."""
    with transaction.atomic():
        rows = Execution.objects.due_unsent(now).select_for_update(skip_locked=True, no_key=True)
        ids = list(rows.values_list("pk", flat=True)[:limit])
        if ids:
            Execution.objects.mark_enqueued(ids, now)
    return ids


def requeue_lost(now: datetime.datetime, *, limit: int = REQUEUE_BATCH) -> list[uuid.UUID]:
    """Claim for sending again: pending rows whose message may be lost. Sending one twice is harmless."""
    with transaction.atomic():
        rows = Execution.objects.due_unclaimed(now, sent_before=now - RESEND_AFTER).select_for_update(
            skip_locked=True, no_key=True
        )
        ids = list(rows.values_list("pk", flat=True)[:limit])
        if ids:
            Execution.objects.mark_enqueued(ids, now)
    return ids


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look at the database tells the clock. Instants are the database's."""

    now: datetime.datetime
    next_fire_at: datetime.datetime | None
    next_retry_at: datetime.datetime | None

    @property
    def firing_due(self) -> bool:
        return self.next_fire_at is not None and self.next_fire_at <= self.now

    @property
    def retry_due(self) -> bool:
        return self.next_retry_at is not None and self.next_retry_at <= self.now

    @property
    def seconds_to_next(self) -> float:
        """Infinite when nothing is planned; negative when something is due."""
        instants = [instant for instant in (self.next_fire_at, self.next_retry_at) if instant is not None]
        return (min(instants) - self.now).total_seconds() if instants else float("inf")


def glance() -> Glance:
    """The whole cost of an idle tick: two reads of the first entry of a partial index."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT clock_timestamp(),
                   (SELECT min(next_fire_at) FROM jobs_jobenvironment WHERE enabled AND next_fire_at IS NOT NULL),
                   (SELECT min(next_attempt_at) FROM runs_execution WHERE finished_at IS NULL AND enqueued_at IS NULL)
            """
        )
        return Glance(*cursor.fetchone())
