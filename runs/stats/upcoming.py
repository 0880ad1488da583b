"""Upcoming firings, with all that a job fires in the time ahead: a job-environment's row has only the first of them."""

import datetime
import heapq
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.models import JobEnvironment
from jobs.schedule import Schedule
from runs.clock.schedule_cache import timetables_of
from runs.stats.statistics import Upcoming


@dataclass(frozen=True, slots=True)
class Planned:
    """An upcoming firing of a job in an environment."""

    at: datetime.datetime
    job_environment: JobEnvironment


def firings_until(end: datetime.datetime, soonest: Iterable[Upcoming], *, most: int) -> list[Planned]:
    """The upcoming firings to `end`, in order, at most `most`. `soonest` has the first of each job-environment."""
    first = {(firing.job_id, firing.environment): firing.scheduled_for for firing in soonest}
    first = {key: scheduled_for for key, scheduled_for in first.items() if scheduled_for <= end}
    rows = JobEnvironment.objects.filter(job__in={job_id for job_id, _ in first})
    rows = rows.select_related("job", "environment", "workspace")
    by_id = {row.pk: row for row in rows if (row.job_id, row.environment.slug) in first}
    timetables = timetables_of({str(row.job.current_version_id): row.job.created_at for row in by_id.values()})
    schedules: dict[uuid.UUID, tuple[datetime.datetime, Schedule | None]] = {}
    for key, row in by_id.items():
        timetable = timetables[str(row.job.current_version_id)].of(str(row.environment_id))
        schedules[key] = first[row.job_id, row.environment.slug], timetable.schedule
    return [Planned(at, by_id[key]) for at, key in merged(schedules, end, most=most)]


def merged(
    schedules: dict[uuid.UUID, tuple[datetime.datetime, Schedule | None]], end: datetime.datetime, *, most: int
) -> Sequence[tuple[datetime.datetime, uuid.UUID]]:
    """The instants of several schedules in one order, up to `end`. Each is given with its first instant."""
    queue = [(at, key) for key, (at, _) in schedules.items()]
    heapq.heapify(queue)
    instants: list[tuple[datetime.datetime, uuid.UUID]] = []
    while queue and len(instants) < most:
        at, key = heapq.heappop(queue)
        instants.append((at, key))
        schedule = schedules[key][1]
        following = schedule.next_firing_after(at) if schedule else None
        if following is not None and following <= end:
            heapq.heappush(queue, (following, key))
    return instants
