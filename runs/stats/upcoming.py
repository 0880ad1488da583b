"""What fires next, with all that a job fires in the time ahead: its row knows the first of its firings only."""

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
    """A firing to come, of a job in an environment."""

    at: datetime.datetime
    place: JobEnvironment


def firings_until(end: datetime.datetime, soonest: Iterable[Upcoming], *, most: int) -> list[Planned]:
    """The firings to come up to `end`, in order, at most `most` of them; `soonest` says the first of each place."""
    first = {(one.job_id, one.environment): one.scheduled_for for one in soonest if one.scheduled_for <= end}
    rows = JobEnvironment.objects.filter(job__in={job_id for job_id, _ in first})
    rows = rows.select_related("job", "environment", "workspace")
    places = {row.pk: row for row in rows if (row.job_id, row.environment.slug) in first}
    timetables = timetables_of({str(row.job.current_version_id): row.job.created_at for row in places.values()})
    plans: dict[uuid.UUID, tuple[datetime.datetime, Schedule | None]] = {}
    for key, row in places.items():
        timetable = timetables[str(row.job.current_version_id)].of(str(row.environment_id))
        plans[key] = first[row.job_id, row.environment.slug], timetable.schedule
    return [Planned(at, places[key]) for at, key in merged(plans, end, most=most)]


def merged(
    plans: dict[uuid.UUID, tuple[datetime.datetime, Schedule | None]], end: datetime.datetime, *, most: int
) -> Sequence[tuple[datetime.datetime, uuid.UUID]]:
    """The instants of several schedules in one order, up to `end`. Each is given with its first instant."""
    queue = [(at, key) for key, (at, _) in plans.items()]
    heapq.heapify(queue)
    found: list[tuple[datetime.datetime, uuid.UUID]] = []
    while queue and len(found) < most:
        at, key = heapq.heappop(queue)
        found.append((at, key))
        schedule = plans[key][1]
        following = schedule.next_firing_after(at) if schedule else None
        if following is not None and following <= end:
            heapq.heappush(queue, (following, key))
    return found
