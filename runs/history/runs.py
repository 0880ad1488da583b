"""A page of runs by any filter, read from ranges of indexes in the order of ids, which is that of pages.

A run's id contains when its attempt was claimed, so a period of time is a range of ids as well.
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

#: A claimed request may wait for its host before it starts, but never for this long.
_MAX_WAIT = datetime.timedelta(minutes=10)
_ONE_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Conditions on runs of a workspace; a field that is None narrows nothing.

    `environment_ids` are requested ones within the caller's reach. `triggers` are those of the API: `retry` from the
    second attempt on. `since` is inclusive, `until` is not; both compare when a run started. `last_only` leaves the
    latest one of each job in each environment, of those that match.
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
        """All matching runs, ignoring `last_only`, as conditions on the whole history."""
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
            early = first_uuid7_at(_moved(self.since, -_MAX_WAIT))
            rows = rows.filter(started_at__gte=self.since, id__gte=early)
        if self.until is not None:
            late = first_uuid7_at(_moved(self.until, _ONE_MILLISECOND))
            rows = rows.filter(started_at__lt=self.until, id__lt=late)
        return rows

    def facets(self) -> list[int]:
        return list(run_facets(statuses=self.statuses, triggers=self.triggers))


#: A filter of one workspace, or one for each of several.
RunCriteria = RunFilter | Sequence[RunFilter]


def runs_of(
    criteria: RunCriteria, *, descending: bool, count: int, first: int = 0, after: uuid.UUID | None = None
) -> RunQuerySet:
    """`count` of the matching runs, after skipping `first`, past the id `after`."""
    order, direction = ("-id", "DESC") if descending else ("id", "ASC")
    several = [criteria] if isinstance(criteria, RunFilter) else criteria
    ranges = [
        _ranges(single, descending=descending, after=after, reach=first + count)
        for single in several
        if single.environment_ids != ()
    ]
    if not ranges:
        return Run.objects.none()
    union = " UNION ALL ".join(f"({sql})" for sql, _ in ranges)
    params = [value for _, values in ranges for value in values]
    page = f"SELECT id FROM ({union}) AS page ORDER BY id {direction} LIMIT %s OFFSET %s"
    # Ids first: so a join reads the rows of the page only.
    return Run.objects.filter(pk__in=RawSQL(page, (*params, count, first))).order_by(order)


def _ranges(criteria: RunFilter, *, descending: bool, after: uuid.UUID | None, reach: int) -> Sql:
    """The ids of matching runs of a workspace: of each range, those that can be on the page."""
    order = "-id" if descending else "id"

    def of(rows: RunQuerySet) -> RunQuerySet:
        if after is not None:
            rows = rows.filter(**{"id__lt" if descending else "id__gt": after})
        return rows.order_by(order)

    if criteria.last_only:
        return sql_of(of(criteria.runs().latest_of_each(criteria.workspace)).values("id")[:reach])
    if criteria.job_id or criteria.execution_id or criteria.failure_reason:
        # Each of these is one range of an index as it is.
        return sql_of(of(criteria.runs()).values("id")[:reach])
    # The facet as a range, and in the order: else the planner scans all ids, which are in order too.
    pair = {"environment_id": source("environment_id"), "facet__gte": source("facet"), "facet__lte": source("facet")}
    rows = of(criteria.in_time(Run.objects.of(criteria.workspace).filter(**pair)))
    rows = rows.order_by("facet" if descending else "-facet", order)
    return each(_pairs(criteria), sql_of(rows.values("id")[:reach]))


def _moved(at: datetime.datetime, by: datetime.timedelta) -> datetime.datetime:
    """Move an instant, unless that leaves the calendar."""
    try:
        return at + by
    except OverflowError:
        return at


def _pairs(criteria: RunFilter) -> Sql:
    """The pairs of environment and facet that match, each of which is a range."""
    environment_ids = criteria.environment_ids
    if environment_ids is None:
        environment_ids = tuple(criteria.workspace.environments.values_list("pk", flat=True))
    pairs = [(environment_id, facet) for environment_id in environment_ids for facet in criteria.facets()]
    sources = "SELECT * FROM unnest(%s::uuid[], %s::smallint[]) AS pair (environment_id, facet)"
    return sources, ([environment_id for environment_id, _ in pairs], [facet for _, facet in pairs])
