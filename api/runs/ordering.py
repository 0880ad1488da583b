"""The orders of lists of executions and runs. `rows` takes a filter instead of a queryset."""

from typing import Any

from api.base.pagination import Keyset
from runs.history.executions import Criteria, PageRange, executions_by_duration, executions_of
from runs.history.filters import HistoryFilter
from runs.history.rows import executions_for_list, runs_for_list
from runs.history.runs import RunCriteria, runs_of
from runs.models import Execution
from runs.querysets import ExecutionQuerySet, RunQuerySet

#: How many rows of `last_only` orders other than `scheduled_for` read: the latest, one per job and environment.
_LATEST = 10_000


class ExecutionKeyset(Keyset):
    """An order of executions. `listed` adds the columns that a list shows."""

    def listed(self, executions: ExecutionQuerySet) -> ExecutionQuerySet:
        return executions_for_list(executions)


class ByDueTime(ExecutionKeyset):
    """By due time, or creation time if there is none."""

    def rows(self, matching: Criteria, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        after = None if position is None else (position[0], position[1])
        page_range = PageRange(self.descending != backward, count, first, after)
        return self.listed(executions_of(matching, page_range))


class ByCreation(ExecutionKeyset):
    """By creation time, which is the order of ids."""

    def rows(
        self, matching: HistoryFilter, position: list[Any] | None, *, backward: bool, first: int, count: int
    ) -> Any:
        rows = _latest(matching) if matching.last_only else matching.executions()
        return super().rows(self.listed(rows), position, backward=backward, first=first, count=count)


class ByDuration(ExecutionKeyset):
    """By duration, of the latest matches. Executions that did not run come last in both directions."""

    def rows(self, matching: Criteria, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        rows = executions_by_duration(
            matching,
            descending=self.descending != backward,
            never=-1 if self.descending else 2**62,
            first=first,
            count=count,
            position=None if position is None else (position[0], position[1]),
        )
        return self.listed(rows)


class RunKeyset(Keyset):
    """Runs by start, which is the order of ids. `listed` adds the columns that a list shows."""

    def listed(self, runs: RunQuerySet) -> RunQuerySet:
        return runs_for_list(runs)

    def rows(self, matching: RunCriteria, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        after = None if position is None else position[0]
        descending = self.descending != backward
        return self.listed(runs_of(matching, descending=descending, count=count, first=first, after=after))


def _latest(matching: HistoryFilter) -> Any:
    latest = executions_of(matching, PageRange(descending=True, count=_LATEST))
    return Execution.objects.filter(pk__in=latest.values("id"))


#: Class and columns of each order, by name.
KEYSETS: dict[str, tuple[type[ExecutionKeyset], tuple[str, ...]]] = {
    "scheduled_for": (ByDueTime, ("due_at", "id")),
    "created_at": (ByCreation, ("id",)),
    "duration": (ByDuration, ("took", "id")),
}


def keyset_of(query: dict[str, Any]) -> Keyset:
    """The keyset for a query."""
    kind, columns = KEYSETS[query["sort"]]
    return kind(columns, descending=query["order"] == "desc")
