"""Statistics of executions: how they ended, how long they took, how late they were, and when. Exact at any moment.

An execution counts where it was due, or else created, as lists filter it. A skipped one counts all of its occurrences
where the first of them was due. Durations, from the first attempt's start to the end, are those of executions that
succeeded or failed. Lateness is that of scheduled executions that started and have ended, in any way. Ended executions
come from rollups and the deltas that are not folded yet (`runs.stats.rollups`), live ones from their own rows, all in
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
from runs.stats.rollups import DELTA_ENTRIES

#: How many upcoming firings are listed.
UPCOMING = 20
_COUNTS = f"""
    WITH entry AS (
        SELECT digest.hour + (counted.code / {MINUTE}) * interval '1 minute' AS due_at,
               counted.code %% {MINUTE} AS code, counted.amount
          FROM runs_digest AS digest
         CROSS JOIN LATERAL unnest(digest.codes[:%(first)s], digest.amounts[:%(first)s]) AS counted (code, amount)
         WHERE digest.subject_id = ANY(%(subjects)s::uuid[]) AND digest.detailed = %(detailed)s
           AND digest.hour >= date_trunc('hour', %(since)s, 'UTC') AND digest.hour < %(until)s
         UNION ALL
        SELECT slip.hour + ended.minute * interval '1 minute', counted.code, counted.amount
          FROM runs_endedslip AS slip CROSS JOIN {DELTA_ENTRIES}
         WHERE slip.environment_id = ANY(%(environments)s::uuid[]) AND counted.code IS NOT NULL
           AND slip.hour >= date_trunc('hour', %(since)s, 'UTC') AND slip.hour < %(until)s
           AND (%(job_environments)s::uuid[] IS NULL OR ended.job_environment_id = ANY(%(job_environments)s::uuid[]))
         UNION ALL
        SELECT due_at, {histograms.LIVE * FAMILY} + array_position(%(live)s, status::text), 1
          FROM runs_execution
         WHERE finished_at IS NULL AND environment_id = ANY(%(environments)s::uuid[])
           AND (%(job_environments)s::uuid[] IS NULL OR job_environment_id = ANY(%(job_environments)s::uuid[]))
    )
    SELECT floor(extract(epoch FROM due_at - %(since)s) / %(width)s)::int, code, sum(amount)::bigint
      FROM entry WHERE due_at >= %(since)s AND due_at < %(until)s AND code < %(below)s
     GROUP BY 1, 2
"""  # noqa: S608 - our own text
_UPCOMING = """
    SELECT job.slug, job.id, job.name, environment.slug, next.next_fire_at
      FROM unnest(%(environments)s::uuid[]) AS listed (id)
     CROSS JOIN LATERAL (
         SELECT job_id, next_fire_at FROM jobs_jobenvironment
          WHERE environment_id = listed.id AND next_fire_at IS NOT NULL AND enabled
            AND (%(job_environments)s::uuid[] IS NULL OR id = ANY(%(job_environments)s::uuid[]))
          ORDER BY next_fire_at LIMIT %(count)s
     ) AS next
      JOIN accounts_environment AS environment ON environment.id = listed.id
      JOIN jobs_job AS job ON job.id = next.job_id
     ORDER BY next.next_fire_at, job.id LIMIT %(count)s
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What statistics are of: some environments, or a job in them, given by its job-environments."""

    environment_ids: tuple[uuid.UUID, ...]
    job_environment_ids: tuple[uuid.UUID, ...] | None = None

    @classmethod
    def of(cls, workspace: Workspace, environment_ids: Iterable[uuid.UUID] | None, job: Job | None = None) -> "Subject":
        """A workspace, narrowed to some of its environments and to a job."""
        if job is None:
            environments = workspace.environments.all()
            if environment_ids is not None:
                environments = environments.filter(pk__in=environment_ids)
            return cls(tuple(environments.values_list("pk", flat=True)))
        job_environments = JobEnvironment.objects.filter(workspace=workspace, job=job)
        if environment_ids is not None:
            job_environments = job_environments.filter(environment__in=environment_ids)
        rows = list(job_environments.values_list("environment_id", "pk"))
        return cls(tuple(environment_id for environment_id, _ in rows), tuple(pk for _, pk in rows))


@dataclass(frozen=True)
class Figures:
    """What was counted in a period or a bucket. `by_code` counts each code (`runs.stats.histograms`)."""

    by_code: Mapping[int, int]

    @cached_property
    def counts(self) -> dict[str, int]:
        """By status, in the order of the states."""
        live = {status: histograms.LIVE * FAMILY + index for index, status in enumerate(LIVE, start=1)}
        ended = {status: histograms.OUTCOMES * FAMILY + index for index, status in enumerate(OUTCOMES)}
        return {status.value: self.by_code.get({**live, **ended}[status], 0) for status in ExecutionStatus}

    @property
    def success_rate(self) -> float | None:
        """Successes as a share of successes and failures. None without either."""
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
    """Which codes to read: the `first` ones of a rollup, whose codes are in order, and those `below` a number."""

    first: int
    below: int


_ALL = _Codes(first=2**31 - 1, below=MINUTE)
#: Of a rollup that is not detailed.
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
    """Count all that was due in a period, as of this moment."""
    buckets: list[dict[int, int]] = [{} for _ in range(period.count)]
    total: collections.Counter[int] = collections.Counter()
    for index, code, amount in _counts(subject, period, _ALL):
        buckets[index][code] = amount
        total[code] += amount
    return Statistics(period, Figures(total), [Figures(by_code) for by_code in buckets])


def outcomes(subject: Subject, period: Period) -> list[Figures]:
    """Count only how executions ended, in each bucket of a period: hours, or wider.

    These are the first codes of each rollup, so months of them are read in the time that days of `statistics` take.
    """
    assert not period.bucket.is_detailed
    buckets: list[dict[int, int]] = [{} for _ in range(period.count)]
    for index, code, amount in _counts(subject, period, _OUTCOMES):
        buckets[index][code] = amount
    return [Figures(by_code) for by_code in buckets]


def upcoming(subject: Subject, *, count: int = UPCOMING) -> list[Upcoming]:
    """The next firings of all job-environments, soonest first: one for each."""
    with connection.cursor() as cursor:
        cursor.execute(_UPCOMING, {**_subject_parameters(subject), "count": count})
        return [Upcoming(*row) for row in cursor.fetchall()]


def _counts(subject: Subject, period: Period, codes: _Codes) -> list[tuple[int, int, int]]:
    """Count each code in each bucket: (index of the bucket, code, amount)."""
    narrowed = _subject_parameters(subject)
    parameters = {
        **narrowed,
        "subjects": narrowed["environments"] if subject.job_environment_ids is None else narrowed["job_environments"],
        "detailed": period.bucket.is_detailed,
        "since": period.since,
        "until": period.until,
        "width": period.bucket.width.total_seconds(),
        "live": [status.value for status in LIVE],
        "first": codes.first,
        "below": codes.below,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, parameters)
        rows: list[tuple[int, int, int]] = cursor.fetchall()
    return rows


def _subject_parameters(subject: Subject) -> dict[str, Any]:
    ids = subject.job_environment_ids
    return {"environments": list(subject.environment_ids), "job_environments": None if ids is None else list(ids)}
