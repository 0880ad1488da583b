"""Statistics of executions: how they ended, how long they took, how late they were, and when. Exact at any moment.

All is counted by when an execution was due, else made, as lists filter it. A skipped stretch counts all of its
occurrences where it begins. Durations, from the first attempt's start to the end, are those of what succeeded or
failed. Lateness is that of what was planned, was started and has ended, in whatever way. What has ended comes from
digests and the slips that are yet to be folded into them (`runs.stats.rollups`), what lives from its own rows, all in
one statement: it sees one moment.
"""

import collections
import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connection

from accounts.models import Workspace
from jobs.models import Job, JobEnvironment
from runs.outcome_codes import OUTCOMES
from runs.states import LIVE, ExecutionStatus
from runs.stats import histograms
from runs.stats.histograms import FAMILY, MINUTE, percentile
from runs.stats.periods import Period
from runs.stats.rollups import TOLD

#: How many firings to come are told.
UPCOMING = 20
_COUNTS = f"""
    WITH entry AS (
        SELECT digest.hour + (told.code / {MINUTE}) * interval '1 minute' AS due_at, told.code %% {MINUTE} AS code,
               told.amount
          FROM runs_digest AS digest
         CROSS JOIN LATERAL unnest(digest.codes[:%(first)s], digest.amounts[:%(first)s]) AS told (code, amount)
         WHERE digest.subject_id = ANY(%(subjects)s::uuid[]) AND digest.detailed = %(detailed)s
           AND digest.hour >= date_trunc('hour', %(since)s, 'UTC') AND digest.hour < %(until)s
         UNION ALL
        SELECT slip.hour + ended.minute * interval '1 minute', told.code, told.amount
          FROM runs_endedslip AS slip CROSS JOIN {TOLD}
         WHERE slip.environment_id = ANY(%(environments)s::uuid[]) AND told.code IS NOT NULL
           AND slip.hour >= date_trunc('hour', %(since)s, 'UTC') AND slip.hour < %(until)s
           AND (%(states)s::uuid[] IS NULL OR ended.job_environment_id = ANY(%(states)s::uuid[]))
         UNION ALL
        SELECT due_at, {histograms.LIVE * FAMILY} + array_position(%(live)s, status::text), 1
          FROM runs_execution
         WHERE finished_at IS NULL AND environment_id = ANY(%(environments)s::uuid[])
           AND (%(states)s::uuid[] IS NULL OR job_environment_id = ANY(%(states)s::uuid[]))
    )
    SELECT floor(extract(epoch FROM due_at - %(since)s) / %(width)s)::int, code, sum(amount)::bigint
      FROM entry WHERE due_at >= %(since)s AND due_at < %(until)s AND code < %(below)s
     GROUP BY 1, 2
"""  # noqa: S608 - our own text
_UPCOMING = """
    SELECT job.slug, job.id, job.name, environment.slug, next.next_fire_at
      FROM unnest(%(environments)s::uuid[]) AS wanted (id)
     CROSS JOIN LATERAL (
         SELECT job_id, next_fire_at FROM jobs_jobenvironment
          WHERE environment_id = wanted.id AND next_fire_at IS NOT NULL AND enabled
            AND (%(states)s::uuid[] IS NULL OR id = ANY(%(states)s::uuid[]))
          ORDER BY next_fire_at LIMIT %(count)s
     ) AS next
      JOIN accounts_environment AS environment ON environment.id = wanted.id
      JOIN jobs_job AS job ON job.id = next.job_id
     ORDER BY next.next_fire_at, job.id LIMIT %(count)s
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose statistics: all of some environments, or a job's in them (`state_ids`, its job-environments)."""

    environment_ids: tuple[uuid.UUID, ...]
    state_ids: tuple[uuid.UUID, ...] | None = None

    @classmethod
    def of(cls, workspace: Workspace, environment_ids: Iterable[uuid.UUID] | None, job: Job | None = None) -> "Subject":
        """A workspace's, narrowed to these of its environments and to a job."""
        if job is None:
            places = workspace.environments.all()
            if environment_ids is not None:
                places = places.filter(pk__in=environment_ids)
            return cls(tuple(places.values_list("pk", flat=True)))
        states = JobEnvironment.objects.filter(workspace=workspace, job=job)
        if environment_ids is not None:
            states = states.filter(environment__in=environment_ids)
        found = list(states.values_list("environment_id", "pk"))
        return cls(tuple(place for place, _ in found), tuple(state for _, state in found))


@dataclass(frozen=True)
class Figures:
    """What was counted of a time. `by_code` says how often each code was (`runs.stats.histograms`)."""

    by_code: Mapping[int, int]

    @cached_property
    def counts(self) -> dict[str, int]:
        """By status, in the order of the states."""
        live = {status: histograms.LIVE * FAMILY + place for place, status in enumerate(LIVE, start=1)}
        ended = {status: histograms.OUTCOMES * FAMILY + place for place, status in enumerate(OUTCOMES)}
        return {status.value: self.by_code.get({**live, **ended}[status], 0) for status in ExecutionStatus}

    @property
    def success_rate(self) -> float | None:
        """The share of what succeeded in what succeeded or failed."""
        succeeded, failed = (self.counts[status] for status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED))
        return succeeded / (succeeded + failed) if succeeded + failed else None

    def duration_ms(self, percent: int) -> int | None:
        return percentile(self._bins(histograms.DURATIONS), percent)

    def lateness_ms(self, percent: int) -> int | None:
        return percentile(self._bins(histograms.LATENESS), percent)

    def _bins(self, family: int) -> dict[int, int]:
        return {code % FAMILY: count for code, count in self.by_code.items() if code // FAMILY == family}


@dataclass(frozen=True, slots=True)
class Statistics:
    """A period's figures, and those of each of its buckets, empty ones included."""

    period: Period
    total: Figures
    buckets: Sequence[Figures]


@dataclass(frozen=True, slots=True)
class _Codes:
    """Which codes are asked for: the `first` ones of a digest, which are in order, and those `below` a number."""

    first: int
    below: int


_ALL = _Codes(first=2**31 - 1, below=MINUTE)
#: Of a digest that tells no minutes apart.
_OUTCOMES = _Codes(first=len(OUTCOMES), below=FAMILY)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next firing of a job in an environment."""

    job: str
    job_id: uuid.UUID
    job_name: str
    environment: str
    scheduled_for: datetime.datetime


def statistics(subject: Subject, period: Period) -> Statistics:
    """What became of all that was due in a period, as of this moment."""
    found: list[dict[int, int]] = [{} for _ in range(period.count)]
    total: collections.Counter[int] = collections.Counter()
    for place, code, amount in _asked(subject, period, _ALL):
        found[place][code] = amount
        total[code] += amount
    return Statistics(period, Figures(total), [Figures(by_code) for by_code in found])


def outcomes(subject: Subject, period: Period) -> list[Figures]:
    """How what was due in a period ended, and no more, in each of its buckets: hours, or wider.

    That is the head of each digest, so months of it are read in the time that days of `statistics` take.
    """
    assert not period.bucket.is_detailed
    found: list[dict[int, int]] = [{} for _ in range(period.count)]
    for place, code, amount in _asked(subject, period, _OUTCOMES):
        found[place][code] = amount
    return [Figures(by_code) for by_code in found]


def upcoming(subject: Subject, *, count: int = UPCOMING) -> list[Upcoming]:
    """The soonest of the next firings, one for each job in each environment."""
    with connection.cursor() as cursor:
        cursor.execute(_UPCOMING, {**_places(subject), "count": count})
        return [Upcoming(*row) for row in cursor.fetchall()]


def _asked(subject: Subject, period: Period, codes: _Codes) -> list[tuple[int, int, int]]:
    """How often each code was in each bucket: (bucket, code, amount)."""
    places = _places(subject)
    asked = {
        **places,
        "subjects": places["environments"] if subject.state_ids is None else places["states"],
        "detailed": period.bucket.is_detailed,
        "since": period.since,
        "until": period.until,
        "width": period.bucket.width.total_seconds(),
        "live": [status.value for status in LIVE],
        "first": codes.first,
        "below": codes.below,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, asked)
        rows: list[tuple[int, int, int]] = cursor.fetchall()
    return rows


def _places(subject: Subject) -> dict[str, Any]:
    states = subject.state_ids
    return {"environments": list(subject.environment_ids), "states": None if states is None else list(states)}
