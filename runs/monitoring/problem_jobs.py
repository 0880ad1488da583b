"""Jobs in trouble: what fails again and again, what flaps, what is late, and what somebody paused.

Each is found by an index of its own, in ranges of a held size: of the newest failures in each environment, and of each
suspected job's latest executions. So the cost is that of the trouble shown, whatever the history holds.
"""

import datetime
import enum
import itertools
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q

from jobs.models import JobEnvironment
from runs.outcome_codes import facets
from runs.states import ExecutionStatus

#: An occurrence that was due so long ago and is not fired is late: when all is well it is fired within a second.
LATE = datetime.timedelta(seconds=15)
#: Rows told of each kind.
SHOWN = 8
#: Failures looked at, the newest, and how old they may be.
_FAILURES, _REACH = 100, datetime.timedelta(hours=24)
#: Jobs suspected of flapping, and how many of a job's latest executions are read to find an environment's own.
_SUSPECTS, _READ = 30, 60
#: Outcomes that are told of a place, and how often they must have changed for it to flap.
OUTCOMES, _CHANGES = 20, 5

_FAILED = """
    SELECT newest.id, newest.job_environment_id, newest.job_id
      FROM unnest(%(environments)s::uuid[]) AS place (id) CROSS JOIN unnest(%(facets)s::smallint[]) AS one (facet)
     CROSS JOIN LATERAL (
         SELECT id, job_environment_id, job_id, due_at FROM runs_execution
          WHERE environment_id = place.id AND facet = one.facet AND due_at >= %(since)s AND due_at <= %(now)s
          ORDER BY due_at DESC, id DESC LIMIT %(count)s
     ) AS newest
     ORDER BY newest.due_at DESC, newest.id DESC LIMIT %(count)s
"""
_LATELY = """
    SELECT place.id, array_agg(latest.status ORDER BY latest.due_at, latest.id),
           array_agg(latest.due_at ORDER BY latest.due_at, latest.id),
           (array_agg(latest.id ORDER BY latest.due_at DESC, latest.id DESC) FILTER (WHERE latest.status = 'failed'))[1]
      FROM unnest(%(places)s::uuid[], %(jobs)s::uuid[]) AS place (id, job_id)
     CROSS JOIN LATERAL (
         SELECT id, job_environment_id, status, due_at FROM runs_execution
          WHERE job_id = place.job_id ORDER BY due_at DESC, id DESC LIMIT %(read)s
     ) AS latest
     WHERE latest.job_environment_id = place.id AND latest.status IN ('succeeded', 'failed')
     GROUP BY place.id
"""


class ProblemKind(enum.Enum):
    """In which trouble, the most pressing first."""

    LATE = "late"
    FAILING = "failing"
    FLAPPING = "flapping"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LatestOutcome:
    """How one execution ended, and when it was due."""

    status: str
    due_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed execution, and whose it is."""

    execution_id: uuid.UUID
    place_id: uuid.UUID
    job_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class RecentTotals:
    """How a job ended in an environment, the oldest first, and which execution was the latest to fail."""

    outcomes: Sequence[LatestOutcome] = ()
    latest_failure_id: uuid.UUID | None = None

    @property
    def is_flapping(self) -> bool:
        """If it goes well and fails by turns: its outcome changed at least 5 times within its latest 20."""
        statuses = [one.status for one in self.outcomes]
        return sum(one != other for one, other in itertools.pairwise(statuses)) >= _CHANGES


@dataclass(frozen=True, slots=True)
class Troubled:
    """A job in an environment, and what is wrong with it."""

    place: JobEnvironment
    kinds: tuple[ProblemKind, ...]
    lately: RecentTotals


def newest_failures(environment_ids: Collection[uuid.UUID], *, now: datetime.datetime) -> list[Failure]:
    """The newest failed executions of the last day in these environments."""
    asked: dict[str, Any] = {
        "environments": list(environment_ids),
        "facets": list(facets(statuses=[ExecutionStatus.FAILED], triggers=None)),
        "since": now - _REACH,
        "now": now,
        "count": _FAILURES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, asked)
        return [Failure(*row) for row in cursor.fetchall()]


def in_trouble(places: Any, failures: Iterable[Failure], *, now: datetime.datetime) -> list[Troubled]:
    """Those of `places`, a row set, that somebody should look at; `failures` say where to look for flapping ones."""
    there = places.filter(enabled=True, job__deleted_at__isnull=True).select_related("job", "environment", "workspace")
    paused = Q(paused_until__isnull=True) | Q(paused_until__gt=now)
    found: dict[ProblemKind, list[JobEnvironment]] = {
        ProblemKind.LATE: list(there.filter(next_fire_at__lt=now - LATE).order_by("next_fire_at")[:SHOWN]),
        ProblemKind.FAILING: list(
            there.filter(consecutive_failures__gt=0).order_by("-consecutive_failures", "pk")[:SHOWN]
        ),
        ProblemKind.PAUSED: list(there.filter(paused, paused_at__isnull=False).order_by("-paused_at", "pk")[:SHOWN]),
    }
    known = {place.pk: place for place in itertools.chain(*found.values())}
    suspects = {one.place_id: one.job_id for one in failures if one.place_id not in known}
    suspects = dict(itertools.islice(suspects.items(), _SUSPECTS))
    lately = _lately({**{place.pk: place.job_id for place in known.values()}, **suspects})
    flapping = [place_id for place_id in (*suspects, *known) if place_id in lately and lately[place_id].is_flapping]
    unread = [place_id for place_id in flapping if place_id not in known]
    found[ProblemKind.FLAPPING] = [
        *there.filter(pk__in=unread)[:SHOWN],
        *(known[one] for one in flapping if one in known),
    ]
    return _together(found, lately)


def _lately(jobs: dict[uuid.UUID, uuid.UUID]) -> dict[uuid.UUID, RecentTotals]:
    """How each of these places ended lately, given with its job; what was skipped or canceled says nothing of it."""
    with connection.cursor() as cursor:
        cursor.execute(_LATELY, {"places": list(jobs), "jobs": list(jobs.values()), "read": _READ})
        return {
            place_id: RecentTotals([*map(LatestOutcome, statuses, instants)][-OUTCOMES:], failure_id)
            for place_id, statuses, instants, failure_id in cursor.fetchall()
        }


def _together(found: dict[ProblemKind, list[JobEnvironment]], lately: dict[uuid.UUID, RecentTotals]) -> list[Troubled]:
    """Each place once, with all that is wrong with it; the most pressing first."""
    kinds: dict[uuid.UUID, list[ProblemKind]] = {}
    places: dict[uuid.UUID, JobEnvironment] = {}
    for kind in ProblemKind:
        for place in found.get(kind, ()):
            places[place.pk] = place
            kinds.setdefault(place.pk, []).append(kind)
    return [Troubled(place, tuple(kinds[key]), lately.get(key, RecentTotals())) for key, place in places.items()]
