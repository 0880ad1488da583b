"""A page of history, whatever it is filtered by, from ranges of indexes: its cost does not grow with the history.

A filter means ranges of an index, each in the order of pages: one for each environment and facet, for each job, or for
each failure reason. Of a range no more is read than could be on the page, and what comes first of all is the page.
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

#: How many failures of each reason a search for an error's text looks through, from where its page begins.
SEARCHED = 1000
_REASONS = [reason.value for reason in FailureReason]
_TABLE = Execution._meta.db_table
#: Of how many executions, the latest that are wanted, the longest or shortest are looked for.
MEASURED = 10_000
#: How many jobs it takes to fill a page with as few rows of each as are looked at beforehand.
_FEW = 12
_TOOK = "coalesce((extract(epoch FROM finished_at - started_at) * 1000000)::bigint, %s)"


@dataclass(frozen=True, slots=True)
class PageRange:
    """Which of the rows: `count` of them, `first` skipped, that come after a `position` (an instant and an id).

    `columns` are what is read of each.
    """

    descending: bool
    count: int
    first: int = 0
    position: tuple[datetime.datetime, uuid.UUID] | None = None
    columns: tuple[str, ...] = ("id", "due_at")

    @property
    def reach(self) -> int:
        """How many rows of each range can matter."""
        return self.first + self.count

    @property
    def order(self) -> str:
        return "due_at DESC, id DESC" if self.descending else "due_at, id"

    def after(self, table: str) -> Sql:
        """The condition for rows after the position: one row comparison, which an index can answer."""
        if self.position is None:
            return "TRUE", ()
        return f"ROW({table}.due_at, {table}.id) {'<' if self.descending else '>'} ROW(%s, %s)", self.position

    def head(self, rows: Any, count: int | None = None) -> Sql:
        """The first rows of a range, as far as they can matter, or so many."""
        return sql_of(rows.values(*self.columns)[: count or self.reach])

    def of(self, rows: Any) -> Any:
        """What comes after the position, in order."""
        if self.position is not None:
            sql, params = self.after(f'"{_TABLE}"')
            rows = rows.filter(RawSQL(sql, params, output_field=BooleanField()))
        return rows.order_by(*(("-due_at", "-id") if self.descending else ("due_at", "id")))


#: What is wanted of one workspace, or of each of several.
Wanted = HistoryFilter | Sequence[HistoryFilter]


def executions_of(wanted: Wanted, stretch: PageRange) -> ExecutionQuerySet:
    """The executions of a stretch of what is wanted, by when they were due, else made."""
    ranges = _ranges_of_each(wanted, stretch)
    if not ranges:
        return Execution.objects.none()
    # Their ids first, also of a single range: whatever is joined to a page, no more than the page is joined.
    ids = RawSQL(*_merged(ranges, stretch, overlapping=_searches(wanted)))
    return PageRange(stretch.descending, stretch.count).of(Execution.objects.filter(pk__in=ids))


def executions_by_duration(
    wanted: Wanted, *, descending: bool, never: int, first: int, count: int, position: tuple[int, Any] | None
) -> ExecutionQuerySet:
    """Of the latest so many executions that are wanted, those that took longest (or shortest), as `took`.

    `took` is in microseconds, and `never` for those that did not run.
    """
    latest = PageRange(descending=True, count=MEASURED, columns=("id", "due_at", "started_at", "finished_at"))
    ranges = _ranges_of_each(wanted, latest)
    if not ranges:
        return Execution.objects.none()
    rows, params = _merged(ranges, latest, overlapping=_searches(wanted), shown="*")
    sign, direction = ("<", "DESC") if descending else (">", "ASC")
    after, values = ("TRUE", ()) if position is None else (f"ROW(took, id) {sign} ROW(%s, %s)", position)
    found = f"""
        SELECT id FROM (SELECT id, {_TOOK} AS took FROM ({rows}) AS latest) AS measured
         WHERE {after} ORDER BY took {direction}, id {direction} LIMIT %s OFFSET %s
    """
    page = Execution.objects.filter(pk__in=RawSQL(found, (never, *params, *values, count, first)))
    took = RawSQL(_TOOK, (never,), output_field=BigIntegerField())
    return page.annotate(took=took).order_by(*(("-took", "-id") if descending else ("took", "id")))


def _ranges_of_each(wanted: Wanted, stretch: PageRange) -> list[Sql]:
    several = [wanted] if isinstance(wanted, HistoryFilter) else wanted
    return [found for one in several for found in _ranges(one, stretch)]


def _searches(wanted: Wanted) -> bool:
    several = [wanted] if isinstance(wanted, HistoryFilter) else wanted
    return any(one.search is not None for one in several)


def _merged(ranges: list[Sql], stretch: PageRange, *, overlapping: bool, shown: str = "id") -> Sql:
    """A stretch of what several ranges hold: the ids, or other columns. `overlapping` ones may hold the same row."""
    union = (" UNION " if overlapping else " UNION ALL ").join(f"({sql})" for sql, _ in ranges)
    params = [value for _, values in ranges for value in values]
    page = f"SELECT {shown} FROM ({union}) AS page ORDER BY {stretch.order} LIMIT %s OFFSET %s"
    return page, (*params, stretch.count, stretch.first)


def _ranges(wanted: HistoryFilter, stretch: PageRange) -> list[Sql]:
    """The ranges that hold what is wanted."""
    if wanted.environment_ids == ():
        return []
    if wanted.last_only:
        return [_latest(wanted, stretch)]
    if wanted.search is not None:
        return [*_failures(wanted, stretch), _by_job(wanted, wanted.jobs_called(), stretch)]
    # What these conditions mean is one range of an index as they stand.
    whole = [stretch.head(stretch.of(wanted.executions()))]
    if wanted.job_id is not None:
        return whole
    if wanted.hides_jobs():
        # Job by job there is nothing of the others to be passed over, of which there may be a million.
        return [_by_job(wanted, wanted.jobs(), stretch)]
    if wanted.failure_reason is not None:
        return whole
    may_succeed = wanted.statuses is None or "succeeded" in wanted.statuses
    if wanted.names_jobs and may_succeed:
        return [_by_job(wanted, wanted.jobs(), stretch)]
    if wanted.environment_ids is wanted.statuses is wanted.triggers is None:
        return whole
    return [*_ended(wanted, stretch), *_live(wanted, stretch)]


def _ended(wanted: HistoryFilter, stretch: PageRange) -> list[Sql]:
    """Ended executions: a range for each environment and facet."""
    meant = list(facets(statuses=wanted.statuses, triggers=wanted.triggers))
    if not meant:
        return []
    places = wanted.environment_ids
    if places is None:
        places = tuple(wanted.workspace.environments.values_list("pk", flat=True))
    pairs = [(place, facet) for place in places for facet in meant]
    sources = "SELECT * FROM unnest(%s::uuid[], %s::smallint[]) AS pair (environment_id, facet)"
    columns = ([place for place, _ in pairs], [facet for _, facet in pairs])
    rows = Execution.objects.filter(environment_id=source("environment_id"), facet=source("facet"))
    return [each((sources, columns), stretch.head(stretch.of(wanted.of_jobs(wanted.in_sight(rows)))))]


def _live(wanted: HistoryFilter, stretch: PageRange) -> list[Sql]:
    """What has not ended: all of it is looked at, for its index is in the order of its next attempts."""
    if wanted.statuses is not None and not set(wanted.statuses) & set(LIVE):
        return []
    rows = wanted.narrowed(Execution.objects.filter(workspace=wanted.workspace, finished_at__isnull=True))
    sql, params = sql_of(stretch.of(wanted.of_jobs(rows)).order_by().values(*stretch.columns))
    # OFFSET 0 keeps the planner from walking through history for them.
    return [(f"SELECT * FROM ({sql} OFFSET 0) AS live ORDER BY {stretch.order} LIMIT %s", (*params, stretch.reach))]


def _by_job(wanted: HistoryFilter, jobs: JobQuerySet, stretch: PageRange) -> Sql:
    """A range for each job. Only the jobs whose own first rows come first can have a row on the page.

    And only rows that come no later than the last of as many others: so a few of each job are looked at beforehand,
    and then no more than about a page of all of them.
    """
    rows = stretch.of(wanted.narrowed(Execution.objects.filter(job_id=source("id"))))
    firsts, of_jobs = each(
        sql_of(jobs.order_by().values("id")), stretch.head(rows, 1), shown="source.id, candidate.due_at"
    )
    leading: Sql = ("SELECT id FROM in_front", ())
    few, of_few = each(
        leading, stretch.head(rows, max(1, stretch.reach // _FEW)), shown="candidate.due_at, candidate.id"
    )
    compare, unbounded = (">=", "-infinity") if stretch.descending else ("<=", "infinity")
    last = RawSQL(
        f"due_at {compare} coalesce((SELECT due_at FROM last), %s)", (unbounded,), output_field=BooleanField()
    )
    found, of_found = each(leading, stretch.head(rows.filter(last)))
    sql = f"""
        WITH in_front AS MATERIALIZED (SELECT id FROM ({firsts}) AS job ORDER BY {stretch.order} LIMIT %s),
             last AS MATERIALIZED (SELECT due_at FROM ({few}) AS few ORDER BY {stretch.order} LIMIT 1 OFFSET %s)
        {found}
    """
    return sql, (*of_jobs, stretch.reach, *of_few, stretch.reach - 1, *of_found)


def _failures(wanted: HistoryFilter, stretch: PageRange) -> list[Sql]:
    """Failed executions whose error holds what is searched for, among the first so many of each failure reason."""
    if wanted.statuses is not None and "failed" not in wanted.statuses:
        return []
    rows = Execution.objects.filter(~Q(failure_reason=""), workspace=wanted.workspace, failure_reason=source("reason"))
    rows = stretch.of(wanted.of_jobs(wanted.narrowed(rows)))
    sql, params = sql_of(rows.values(*stretch.columns, "error")[:SEARCHED])
    columns = ", ".join(stretch.columns)
    found = f"SELECT {columns} FROM ({sql}) AS failed WHERE error ILIKE %s ORDER BY {stretch.order} LIMIT %s"
    reasons = _REASONS if wanted.failure_reason is None else [wanted.failure_reason]
    sources = ("SELECT * FROM unnest(%s::text[]) AS one (reason)", (reasons,))
    return [each(sources, (found, (*params, _pattern(str(wanted.search)), stretch.reach)))]


def _latest(wanted: HistoryFilter, stretch: PageRange) -> Sql:
    """The latest ended execution of each job in each environment, of those that are wanted."""
    states = JobEnvironment.objects.filter(workspace=wanted.workspace, job__purged_at__isnull=True)
    if wanted.environment_ids is not None:
        states = states.filter(environment_id__in=wanted.environment_ids)
    if wanted.names_jobs or wanted.job_id is not None:
        states = states.filter(job_id__in=wanted.jobs().values("id"))
    rows = Execution.objects.filter(job_id=source("job_id"), environment_id=source("environment_id"))
    rows = wanted.searched(wanted.narrowed(rows.filter(facet__isnull=False))).order_by("-due_at", "-id")
    sql, params = each(sql_of(states.order_by().values("job_id", "environment_id")), stretch.head(rows, 1))
    after, position = stretch.after("latest")
    return f"SELECT * FROM ({sql}) AS latest WHERE {after}", (*params, *position)


def _pattern(text: str) -> str:
    """Text as ILIKE finds it anywhere."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
