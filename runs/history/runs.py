"""A page of runs, whatever they are filtered by, from ranges of indexes in the order of ids, which is that of pages.

A run's id tells when its attempt was claimed, so that a time means a range of ids as well.
"""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models.expressions import RawSQL

from accounts.models import Workspace
from core.ids import first_uuid7_at
from runs.history.index_ranges import Sql, each, source, sql_of
from runs.models import Run
from runs.outcome_codes import run_facets
from runs.querysets import RunQuerySet

#: A claimed request may wait for its host before it starts; never for so long.
_BEFORE_ITS_START = datetime.timedelta(minutes=10)
_TO_THE_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """None means that a field narrows nothing.

    `environment_ids` are those asked for among those within the caller's reach. `triggers` are as they are shown:
    `retry` from the second attempt on. `since` is inclusive, `until` is not; both look at when a run started.
    `last_only` is the latest one of each job in each environment, of those that are left.
    """

    workspace: Workspace
    environment_ids: tuple[uuid.UUID, ...] | None = None
    statuses: tuple[str, ...] | None = None
    triggers: tuple[str, ...] | None = None
    failure_reason: str | None = None
    job_id: uuid.UUID | None = None
    execution_id: uuid.UUID | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    last_only: bool = False

    def runs(self) -> RunQuerySet:
        """All that is meant, `last_only` aside, as conditions on the whole history."""
        rows = self.in_time(Run.objects.of(self.workspace))
        if self.environment_ids is not None:
            rows = rows.filter(environment_id__in=self.environment_ids)
        if self.statuses is not None or self.triggers is not None:
            rows = rows.filter(facet__in=self.facets())
        if self.failure_reason is not None:
            rows = rows.filter(failure_reason=self.failure_reason)
        if self.job_id is not None:
            rows = rows.filter(job_id=self.job_id)
        return rows if self.execution_id is None else rows.filter(execution_id=self.execution_id)

    def in_time(self, rows: RunQuerySet) -> RunQuerySet:
        if self.since is not None:
            early = first_uuid7_at(_moved(self.since, -_BEFORE_ITS_START))
            rows = rows.filter(started_at__gte=self.since, id__gte=early)
        if self.until is not None:
            late = first_uuid7_at(_moved(self.until, _TO_THE_MILLISECOND))
            rows = rows.filter(started_at__lt=self.until, id__lt=late)
        return rows

    def facets(self) -> list[int]:
        return list(run_facets(statuses=self.statuses, triggers=self.triggers))


#: What is wanted of one workspace, or of each of several.
Wanted = RunFilter | Sequence[RunFilter]


def runs_of(
    wanted: Wanted, *, descending: bool, count: int, first: int = 0, after: uuid.UUID | None = None
) -> RunQuerySet:
    """`count` of the runs that are wanted, `first` skipped, that come after a position."""
    order, direction = ("-id", "DESC") if descending else ("id", "ASC")
    several = [wanted] if isinstance(wanted, RunFilter) else wanted
    ranges = [
        _ranges(one, descending=descending, after=after, reach=first + count)
        for one in several
        if one.environment_ids != ()
    ]
    if not ranges:
        return Run.objects.none()
    union = " UNION ALL ".join(f"({sql})" for sql, _ in ranges)
    params = [value for _, values in ranges for value in values]
    page = f"SELECT id FROM ({union}) AS page ORDER BY id {direction} LIMIT %s OFFSET %s"
    # Their ids first, then what is shown of a page.
    return Run.objects.filter(pk__in=RawSQL(page, (*params, count, first))).order_by(order)


def _ranges(wanted: RunFilter, *, descending: bool, after: uuid.UUID | None, reach: int) -> Sql:
    """The ids of each range that holds what is wanted of a workspace, as far as they can matter."""
    order = "-id" if descending else "id"

    def of(rows: RunQuerySet) -> RunQuerySet:
        if after is not None:
            rows = rows.filter(**{"id__lt" if descending else "id__gt": after})
        return rows.order_by(order)

    if wanted.last_only:
        return sql_of(of(wanted.runs().latest_of_each(wanted.workspace)).values("id")[:reach])
    if wanted.job_id or wanted.execution_id or wanted.failure_reason:
        # What these mean is one range of an index as it stands.
        return sql_of(of(wanted.runs()).values("id")[:reach])
    # By its facet as a range and in its order: else the planner walks all ids, which are in order too.
    one = {"environment_id": source("environment_id"), "facet__gte": source("facet"), "facet__lte": source("facet")}
    rows = of(wanted.in_time(Run.objects.of(wanted.workspace).filter(**one)))
    rows = rows.order_by("facet" if descending else "-facet", order)
    return each(_pairs(wanted), sql_of(rows.values("id")[:reach]))


def _moved(at: datetime.datetime, by: datetime.timedelta) -> datetime.datetime:
    """An instant moved, but not out of the calendar."""
    try:
        return at + by
    except OverflowError:
        return at


def _pairs(wanted: RunFilter) -> Sql:
    """The environments and facets that are wanted, each a range."""
    places = wanted.environment_ids
    if places is None:
        places = tuple(wanted.workspace.environments.values_list("pk", flat=True))
    pairs = [(place, facet) for place in places for facet in wanted.facets()]
    sources = "SELECT * FROM unnest(%s::uuid[], %s::smallint[]) AS pair (environment_id, facet)"
    return sources, ([place for place, _ in pairs], [facet for _, facet in pairs])
