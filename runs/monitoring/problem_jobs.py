"""Problem jobs: those that fail again and again, that flap, are late or paused, or whose callbacks fail.

Each kind is found by an index of its own, in ranges of a bounded size: the newest failures in each environment, and the
latest executions of each suspected job. So the cost depends on the problems shown, not on the history.
"""

import datetime
import enum
import itertools
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.db import connection
from django.db.models import Q

from core.ids import first_uuid7_at
from jobs.models import JobEnvironment
from runs.outcome_codes import facets
from runs.states import ExecutionStatus

#: An occurrence that is due for longer and not fired is late; normally it fires within a second.
LATE = datetime.timedelta(seconds=15)
#: The most problem jobs of each kind.
MAX_OF_KIND = 8
#: How many of the newest failures are read, and how old they may be.
_MAX_FAILURES, _MAX_AGE = 100, datetime.timedelta(hours=24)
#: The most suspects of flapping, and how many of a job's latest executions are read to find an environment's own.
_MAX_SUSPECTS, _MAX_READ = 30, 60
#: The most outcomes of a job-environment, and how often they must have changed for it to flap.
OUTCOMES, _CHANGES = 20, 5

_FAILED = """
    SELECT newest.id, newest.job_environment_id, newest.job_id
      FROM unnest(%(environments)s::uuid[]) AS environment (id)
     CROSS JOIN unnest(%(facets)s::smallint[]) AS listed (facet)
     CROSS JOIN LATERAL (
         SELECT id, job_environment_id, job_id, due_at FROM runs_execution
          WHERE environment_id = environment.id AND facet = listed.facet AND due_at >= %(since)s AND due_at <= %(now)s
          ORDER BY due_at DESC, id DESC LIMIT %(count)s
     ) AS newest
     ORDER BY newest.due_at DESC, newest.id DESC LIMIT %(count)s
"""
_RECENT = """
    SELECT job_environment.id, array_agg(latest.status ORDER BY latest.due_at, latest.id),
           array_agg(latest.due_at ORDER BY latest.due_at, latest.id),
           (array_agg(latest.id ORDER BY latest.due_at DESC, latest.id DESC) FILTER (WHERE latest.status = 'failed'))[1]
      FROM unnest(%(job_environments)s::uuid[], %(jobs)s::uuid[]) AS job_environment (id, job_id)
     CROSS JOIN LATERAL (
         SELECT id, job_environment_id, status, due_at FROM runs_execution
          WHERE job_id = job_environment.job_id ORDER BY due_at DESC, id DESC LIMIT %(read)s
     ) AS latest
     WHERE latest.job_environment_id = job_environment.id AND latest.status IN ('succeeded', 'failed')
     GROUP BY job_environment.id
"""


# The newest failed callbacks of each workspace, of those environments.
_UNDELIVERED = """
    SELECT DISTINCT ON (newest.job_id, newest.environment_id)
           newest.job_id, newest.environment_id, newest.execution_id
      FROM (SELECT DISTINCT workspace_id FROM accounts_environment WHERE id = ANY(%(environments)s::uuid[])) AS own
     CROSS JOIN LATERAL (
         SELECT id, job_id, environment_id, execution_id FROM runs_callback AS callback
          WHERE callback.workspace_id = own.workspace_id AND callback.status = 'failed' AND callback.id >= %(since)s
          ORDER BY callback.id DESC LIMIT %(count)s
     ) AS newest
     WHERE newest.environment_id = ANY(%(environments)s::uuid[])
     ORDER BY newest.job_id, newest.environment_id, newest.id DESC
"""


#: By job and environment: the latest execution whose callback was given up.
Undelivered = Mapping[tuple[uuid.UUID, uuid.UUID], uuid.UUID]


class ProblemKind(enum.Enum):
    """The kinds of problems, the most pressing first."""

    LATE = "late"
    FAILING = "failing"
    FLAPPING = "flapping"
    CALLBACKS = "callbacks"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LatestOutcome:
    """How one execution ended, and when it was due."""

    status: str
    due_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed execution, with its job-environment and job."""

    execution_id: uuid.UUID
    job_environment_id: uuid.UUID
    job_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class LatestOutcomes:
    """How a job's latest executions in an environment ended, the oldest first, and the latest failure."""

    outcomes: Sequence[LatestOutcome] = ()
    latest_failure_id: uuid.UUID | None = None

    @property
    def is_flapping(self) -> bool:
        """Whether it succeeds and fails by turns: its outcome changed at least 5 times within its latest 20."""
        statuses = [outcome.status for outcome in self.outcomes]
        return sum(before != after for before, after in itertools.pairwise(statuses)) >= _CHANGES


@dataclass(frozen=True, slots=True)
class ProblemJob:
    """A job in an environment, with its problems and its recent outcomes.

    `undelivered_id` is the latest execution whose callback was given up.
    """

    job_environment: JobEnvironment
    kinds: tuple[ProblemKind, ...]
    recent: LatestOutcomes
    undelivered_id: uuid.UUID | None = None


def newest_failures(environment_ids: Collection[uuid.UUID], *, now: datetime.datetime) -> list[Failure]:
    """The newest failed executions of the last day in these environments."""
    parameters: dict[str, Any] = {
        "environments": list(environment_ids),
        "facets": list(facets(statuses=[ExecutionStatus.FAILED], triggers=None)),
        "since": now - _MAX_AGE,
        "now": now,
        "count": _MAX_FAILURES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, parameters)
        return [Failure(*row) for row in cursor.fetchall()]


def undelivered_callbacks(environment_ids: Collection[uuid.UUID], *, now: datetime.datetime) -> Undelivered:
    """The newest callbacks of the last day that were given up."""
    parameters: dict[str, Any] = {
        "environments": [str(key) for key in environment_ids],
        "since": first_uuid7_at(now - _MAX_AGE),
        "count": _MAX_FAILURES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_UNDELIVERED, parameters)
        return {(job_id, environment_id): execution_id for job_id, environment_id, execution_id in cursor.fetchall()}


def find_problem_jobs(
    job_environments: Any,
    failures: Iterable[Failure],
    *,
    undelivered: Undelivered = MappingProxyType({}),
    now: datetime.datetime,
) -> list[ProblemJob]:
    """The problem jobs among `job_environments`, a queryset; those of `failures` are suspected of flapping.

    `undelivered` is the result of `undelivered_callbacks`.
    """
    enabled = job_environments.filter(enabled=True, job__deleted_at__isnull=True)
    enabled = enabled.select_related("job", "environment", "workspace")
    paused = Q(paused_until__isnull=True) | Q(paused_until__gt=now)
    by_kind: dict[ProblemKind, list[JobEnvironment]] = {
        ProblemKind.LATE: list(enabled.filter(next_fire_at__lt=now - LATE).order_by("next_fire_at")[:MAX_OF_KIND]),
        ProblemKind.FAILING: list(
            enabled.filter(consecutive_failures__gt=0).order_by("-consecutive_failures", "pk")[:MAX_OF_KIND]
        ),
        ProblemKind.CALLBACKS: _of_pairs(enabled, undelivered),
        ProblemKind.PAUSED: list(
            enabled.filter(paused, paused_at__isnull=False).order_by("-paused_at", "pk")[:MAX_OF_KIND]
        ),
    }
    rows = {row.pk: row for row in itertools.chain(*by_kind.values())}
    suspects = {item.job_environment_id: item.job_id for item in failures if item.job_environment_id not in rows}
    suspects = dict(itertools.islice(suspects.items(), _MAX_SUSPECTS))
    recent = _recent_outcomes({**{key: row.job_id for key, row in rows.items()}, **suspects})
    flapping = [key for key in (*suspects, *rows) if key in recent and recent[key].is_flapping]
    by_kind[ProblemKind.FLAPPING] = [
        *enabled.filter(pk__in=[key for key in flapping if key not in rows])[:MAX_OF_KIND],
        *(rows[key] for key in flapping if key in rows),
    ]
    return _problem_jobs(by_kind, recent, undelivered)


def _of_pairs(enabled: Any, pairs: Undelivered) -> list[JobEnvironment]:
    """The rows of some pairs of a job and an environment. No query without any."""
    if not pairs:
        return []
    rows = enabled.filter(job__in={job_id for job_id, _ in pairs}).order_by("pk")
    return [row for row in rows if (row.job_id, row.environment_id) in pairs][:MAX_OF_KIND]


def _recent_outcomes(jobs: dict[uuid.UUID, uuid.UUID]) -> dict[uuid.UUID, LatestOutcomes]:
    """The recent outcomes of job-environments, given with their jobs. Skipped and canceled executions don't count."""
    with connection.cursor() as cursor:
        cursor.execute(_RECENT, {"job_environments": list(jobs), "jobs": list(jobs.values()), "read": _MAX_READ})
        return {
            key: LatestOutcomes([*map(LatestOutcome, statuses, instants)][-OUTCOMES:], failure_id)
            for key, statuses, instants, failure_id in cursor.fetchall()
        }


def _problem_jobs(
    by_kind: dict[ProblemKind, list[JobEnvironment]],
    recent: dict[uuid.UUID, LatestOutcomes],
    undelivered: Undelivered,
) -> list[ProblemJob]:
    """Each job-environment once, with all of its problems; the most pressing first."""
    kinds: dict[uuid.UUID, list[ProblemKind]] = {}
    rows: dict[uuid.UUID, JobEnvironment] = {}
    for kind in ProblemKind:
        for row in by_kind.get(kind, ()):
            rows[row.pk] = row
            kinds.setdefault(row.pk, []).append(kind)
    return [
        ProblemJob(
            row,
            tuple(kinds[key]),
            recent.get(key, LatestOutcomes()),
            undelivered.get((row.job_id, row.environment_id)),
        )
        for key, row in rows.items()
    ]
