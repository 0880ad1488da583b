"""A page of executions by any filter, read from ranges of indexes: its cost does not grow with the history.

A filter selects ranges of an index, each in the order of pages: one for each environment and facet, for each job, or
for each failure reason. Of each range no more is read than could be on the page; the first of all these rows are it.
"""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, BooleanField, Q
from django.db.models.expressions import RawSQL

from jobs.models import JobEnvironment
from jobs.querysets import JobQuerySet
from runs.failures import FailureReason
from runs.history.filters import HistoryFilter
from runs.history.index_ranges import Sql, each, source, sql_of
from runs.models import Execution
from runs.outcome_codes import facets
from runs.querysets import ExecutionQuerySet
from runs.states import LIVE

#: How many failures of each reason a search for an error's text reads, from the start of its page.
SEARCHED = 1000
_REASONS = [reason.value for reason in FailureReason]
_TABLE = Execution._meta.db_table
#: Pages by duration order this many of the latest matching executions.
MEASURED = 10_000
#: Read beforehand of each job: this fraction of a page.
_FEW = 12
_TOOK = "coalesce((extract(epoch FROM finished_at - started_at) * 1000000)::bigint, %s)"


@dataclass(frozen=True, slots=True)
class PageRange:
    """The rows of a page: `count` of them, after skipping `first`, past a `position` (an instant and an id).

    `columns` are read of each.
    """

    descending: bool
    count: int
    first: int = 0
    position: tuple[datetime.datetime, uuid.UUID] | None = None
    columns: tuple[str, ...] = ("id", "due_at")

    @property
    def reach(self) -> int:
        """The most rows of one range that can be on the page."""
        return self.first + self.count

    @property
    def order(self) -> str:
        return "due_at DESC, id DESC" if self.descending else "due_at, id"

    def after(self, table: str) -> Sql:
        """The condition for rows past the position: one row comparison, which an index can serve."""
        if self.position is None:
            return "TRUE", ()
        return f"ROW({table}.due_at, {table}.id) {'<' if self.descending else '>'} ROW(%s, %s)", self.position

    def head(self, rows: Any, count: int | None = None) -> Sql:
        """The first `count` rows of a range, by default all that can be on the page."""
        return sql_of(rows.values(*self.columns)[: count or self.reach])

    def of(self, rows: Any) -> Any:
        """The rows past the position, in order."""
        if self.position is not None:
            sql, params = self.after(f'"{_TABLE}"')
            rows = rows.filter(RawSQL(sql, params, output_field=BooleanField()))
        return rows.order_by(*(("-due_at", "-id") if self.descending else ("due_at", "id")))


#: A filter of one workspace, or one for each of several.
Criteria = HistoryFilter | Sequence[HistoryFilter]


def executions_of(criteria: Criteria, page_range: PageRange) -> ExecutionQuerySet:
    """The matching executions in a page range, by when they were due, or else created."""
    ranges = _ranges_of_each(criteria, page_range)
    if not ranges:
        return Execution.objects.none()
    # Ids first, even of a single range: so a join reads the rows of the page only.
    ids = RawSQL(*_merged(ranges, page_range, overlapping=_searches(criteria)))
    return PageRange(page_range.descending, page_range.count).of(Execution.objects.filter(pk__in=ids))


def executions_by_duration(
    criteria: Criteria, *, descending: bool, never: int, first: int, count: int, position: tuple[int, Any] | None
) -> ExecutionQuerySet:
    """The longest (or shortest) of the latest matching executions, annotated with `took`.

    `took` is in microseconds, and `never` for those that did not run.
    """
    latest = PageRange(descending=True, count=MEASURED, columns=("id", "due_at", "started_at", "finished_at"))
    ranges = _ranges_of_each(criteria, latest)
    if not ranges:
        return Execution.objects.none()
    rows, params = _merged(ranges, latest, overlapping=_searches(criteria), columns="*")
    sign, direction = ("<", "DESC") if descending else (">", "ASC")
    after, values = ("TRUE", ()) if position is None else (f"ROW(took, id) {sign} ROW(%s, %s)", position)
    ids = f"""
        SELECT id FROM (SELECT id, {_TOOK} AS took FROM ({rows}) AS latest) AS measured
         WHERE {after} ORDER BY took {direction}, id {direction} LIMIT %s OFFSET %s
    """
    page = Execution.objects.filter(pk__in=RawSQL(ids, (never, *params, *values, count, first)))
    took = RawSQL(_TOOK, (never,), output_field=BigIntegerField())
    return page.annotate(took=took).order_by(*(("-took", "-id") if descending else ("took", "id")))


def _ranges_of_each(criteria: Criteria, page_range: PageRange) -> list[Sql]:
    several = [criteria] if isinstance(criteria, HistoryFilter) else criteria
    return [rows for single in several for rows in _ranges(single, page_range)]


def _searches(criteria: Criteria) -> bool:
    several = [criteria] if isinstance(criteria, HistoryFilter) else criteria
    return any(single.search is not None for single in several)


def _merged(ranges: list[Sql], page_range: PageRange, *, overlapping: bool, columns: str = "id") -> Sql:
    """The page of several ranges: the ids, or other columns. `overlapping` ranges may have the same row."""
    union = (" UNION " if overlapping else " UNION ALL ").join(f"({sql})" for sql, _ in ranges)
    params = [value for _, values in ranges for value in values]
    page = f"SELECT {columns} FROM ({union}) AS page ORDER BY {page_range.order} LIMIT %s OFFSET %s"
    return page, (*params, page_range.count, page_range.first)


def _ranges(criteria: HistoryFilter, page_range: PageRange) -> list[Sql]:
    """The ranges that contain the matching executions."""
    if criteria.environment_ids == ():
        return []
    if criteria.last_only:
        return [_latest(criteria, page_range)]
    if criteria.search is not None:
        return [*_failures(criteria, page_range), _by_job(criteria, criteria.jobs_by_url(), page_range)]
    # These conditions are one range of an index as they are.
    whole = [page_range.head(page_range.of(criteria.executions()))]
    if criteria.job_id is not None:
        return whole
    if criteria.hides_jobs():
        # Read job by job: a scan of the workspace would step over the purged jobs' rows, possibly a million.
        return [_by_job(criteria, criteria.jobs(), page_range)]
    if criteria.failure_reason is not None:
        return whole
    may_succeed = criteria.statuses is None or "succeeded" in criteria.statuses
    if criteria.names_jobs and may_succeed:
        return [_by_job(criteria, criteria.jobs(), page_range)]
    if criteria.environment_ids is criteria.statuses is criteria.triggers is None:
        return whole
    return [*_ended(criteria, page_range), *_live(criteria, page_range)]


def _ended(criteria: HistoryFilter, page_range: PageRange) -> list[Sql]:
    """Ended executions: a range for each environment and facet."""
    matching_facets = list(facets(statuses=criteria.statuses, triggers=criteria.triggers))
    if not matching_facets:
        return []
    environment_ids = criteria.environment_ids
    if environment_ids is None:
        environment_ids = tuple(criteria.workspace.environments.values_list("pk", flat=True))
    pairs = [(environment_id, facet) for environment_id in environment_ids for facet in matching_facets]
    sources = "SELECT * FROM unnest(%s::uuid[], %s::smallint[]) AS pair (environment_id, facet)"
    columns = ([environment_id for environment_id, _ in pairs], [facet for _, facet in pairs])
    rows = Execution.objects.filter(environment_id=source("environment_id"), facet=source("facet"))
    return [each((sources, columns), page_range.head(page_range.of(criteria.of_jobs(criteria.in_sight(rows)))))]


def _live(criteria: HistoryFilter, page_range: PageRange) -> list[Sql]:
    """Executions that have not ended: all of them are read, since their index is in the order of next attempts."""
    if criteria.statuses is not None and not set(criteria.statuses) & set(LIVE):
        return []
    rows = criteria.narrowed(Execution.objects.filter(workspace=criteria.workspace, finished_at__isnull=True))
    sql, params = sql_of(page_range.of(criteria.of_jobs(rows)).order_by().values(*page_range.columns))
    # OFFSET 0 keeps the planner from scanning history for them.
    return [
        (f"SELECT * FROM ({sql} OFFSET 0) AS live ORDER BY {page_range.order} LIMIT %s", (*params, page_range.reach))
    ]


def _by_job(criteria: HistoryFilter, jobs: JobQuerySet, page_range: PageRange) -> Sql:
    """A range for each job. Only the jobs with the first first rows can have a row on the page.

    A few rows of each of these jobs bound the page: the last of the first `reach` of them. Then about a page of rows
    within that bound is read of all jobs.
    """
    rows = page_range.of(criteria.narrowed(Execution.objects.filter(job_id=source("id"))))
    firsts, of_jobs = each(
        sql_of(jobs.order_by().values("id")), page_range.head(rows, 1), columns="source.id, candidate.due_at"
    )
    leading: Sql = ("SELECT id FROM in_front", ())
    few, of_few = each(
        leading, page_range.head(rows, max(1, page_range.reach // _FEW)), columns="candidate.due_at, candidate.id"
    )
    compare, unbounded = (">=", "-infinity") if page_range.descending else ("<=", "infinity")
    last = RawSQL(
        f"due_at {compare} coalesce((SELECT due_at FROM last), %s)", (unbounded,), output_field=BooleanField()
    )
    bounded, of_bounded = each(leading, page_range.head(rows.filter(last)))
    sql = f"""
        WITH in_front AS MATERIALIZED (SELECT id FROM ({firsts}) AS job ORDER BY {page_range.order} LIMIT %s),
             last AS MATERIALIZED (SELECT due_at FROM ({few}) AS few ORDER BY {page_range.order} LIMIT 1 OFFSET %s)
        {bounded}
    """
    return sql, (*of_jobs, page_range.reach, *of_few, page_range.reach - 1, *of_bounded)


def _failures(criteria: HistoryFilter, page_range: PageRange) -> list[Sql]:
    """Failed executions whose error contains the searched text, among the first of each failure reason."""
    if criteria.statuses is not None and "failed" not in criteria.statuses:
        return []
    rows = Execution.objects.filter(
        ~Q(failure_reason=""), workspace=criteria.workspace, failure_reason=source("reason")
    )
    rows = page_range.of(criteria.of_jobs(criteria.narrowed(rows)))
    sql, params = sql_of(rows.values(*page_range.columns, "error")[:SEARCHED])
    columns = ", ".join(page_range.columns)
    matching = f"SELECT {columns} FROM ({sql}) AS failed WHERE error ILIKE %s ORDER BY {page_range.order} LIMIT %s"
    reasons = _REASONS if criteria.failure_reason is None else [criteria.failure_reason]
    sources = ("SELECT * FROM unnest(%s::text[]) AS listed (reason)", (reasons,))
    return [each(sources, (matching, (*params, _pattern(str(criteria.search)), page_range.reach)))]


def _latest(criteria: HistoryFilter, page_range: PageRange) -> Sql:
    """The latest matching execution that has ended, of each job in each environment."""
    job_environments = JobEnvironment.objects.filter(workspace=criteria.workspace, job__purged_at__isnull=True)
    if criteria.environment_ids is not None:
        job_environments = job_environments.filter(environment_id__in=criteria.environment_ids)
    if criteria.names_jobs or criteria.job_id is not None:
        job_environments = job_environments.filter(job_id__in=criteria.jobs().values("id"))
    rows = Execution.objects.filter(job_id=source("job_id"), environment_id=source("environment_id"))
    rows = criteria.searched(criteria.narrowed(rows.filter(facet__isnull=False))).order_by("-due_at", "-id")
    sql, params = each(sql_of(job_environments.order_by().values("job_id", "environment_id")), page_range.head(rows, 1))
    after, position = page_range.after("latest")
    return f"SELECT * FROM ({sql}) AS latest WHERE {after}", (*params, *position)


def _pattern(text: str) -> str:
    """The pattern with which ILIKE finds a text anywhere."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
