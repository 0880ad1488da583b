"""The orders that lists of executions come in."""

from typing import Any

from api.base.pagination import Keyset
from api.runs.querysets import executions_for_list, runs_for_list
from runs.history.executions import Criteria, PageRange, executions_by_duration, executions_of
from runs.history.filters import HistoryFilter
from runs.history.runs import RunCriteria, runs_of
from runs.models import Execution
from runs.querysets import ExecutionQuerySet, RunQuerySet

#: How many rows of `last_only` other orders look at: one for each job and environment, the latest of them.
_LATEST = 10_000


class ExecutionKeyset(Keyset):
    """An order of executions. `listed` adds what is shown of a page."""

    def listed(self, executions: ExecutionQuerySet) -> ExecutionQuerySet:
        return executions_for_list(executions)


class ByDueTime(ExecutionKeyset):
    """By when they were due, else made."""

    def rows(self, wanted: Criteria, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        after = None if position is None else (position[0], position[1])
        stretch = PageRange(self.descending != backward, count, first, after)
        return self.listed(executions_of(wanted, stretch))


class ByCreation(ExecutionKeyset):
    """By when they were made, which their ids tell."""

    def rows(self, wanted: HistoryFilter, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        rows = _latest(wanted) if wanted.last_only else wanted.executions()
        return super().rows(self.listed(rows), position, backward=backward, first=first, count=count)


class ByDuration(ExecutionKeyset):
    """By how long they ran, of the latest so many that are wanted. Those that did not run come last either way."""

    def rows(self, wanted: Criteria, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        rows = executions_by_duration(
            wanted,
            descending=self.descending != backward,
            never=-1 if self.descending else 2**62,
            first=first,
            count=count,
            position=None if position is None else (position[0], position[1]),
        )
        return self.listed(rows)


class RunKeyset(Keyset):
    """Runs by when their attempts began, which their ids tell. `listed` adds what is shown of a page."""

    def listed(self, runs: RunQuerySet) -> RunQuerySet:
        return runs_for_list(runs)

    def rows(self, wanted: RunCriteria, position: list[Any] | None, *, backward: bool, first: int, count: int) -> Any:
        after = None if position is None else position[0]
        descending = self.descending != backward
        return self.listed(runs_of(wanted, descending=descending, count=count, first=first, after=after))


def _latest(wanted: HistoryFilter) -> Any:
    latest = executions_of(wanted, PageRange(descending=True, count=_LATEST))
    return Execution.objects.filter(pk__in=latest.values("id"))


#: By the name of each order, its columns and how its pages are read.
KEYSETS: dict[str, tuple[type[ExecutionKeyset], tuple[str, ...]]] = {
    "scheduled_for": (ByDueTime, ("due_at", "id")),
    "created_at": (ByCreation, ("id",)),
    "duration": (ByDuration, ("took", "id")),
}


def keyset_of(query: dict[str, Any]) -> Keyset:
    """The order that a query asks for."""
    kind, columns = KEYSETS[query["sort"]]
    return kind(columns, descending=query["order"] == "desc")
