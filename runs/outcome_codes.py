"""The facet: an execution's or run's outcome and trigger as one small number, the first column of history's indexes."""

from collections.abc import Collection, Iterator

from runs.states import TERMINAL, ExecutionStatus, RunStatus, Trigger

#: The database stores their positions: append to these, never reorder them.
OUTCOMES = (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELED, ExecutionStatus.SKIPPED)
TRIGGERS = (Trigger.SCHEDULE, Trigger.MANUAL, Trigger.WEBHOOK, Trigger.REPLAY, Trigger.RETRY)
RUN_STATUSES = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED, RunStatus.RUNNING)
#: Room for further outcomes.
WIDTH = 10

assert set(OUTCOMES) == set(TERMINAL)
assert set(RUN_STATUSES) == set(RunStatus)
assert set(TRIGGERS) == set(Trigger)


def facets(*, statuses: Collection[str] | None, triggers: Collection[str] | None) -> Iterator[int]:
    """The facets of ended executions with one of these statuses and one of these triggers. None allows all."""
    for number, trigger in enumerate(TRIGGERS):
        for index, outcome in enumerate(OUTCOMES):
            if (statuses is None or outcome in statuses) and (triggers is None or trigger in triggers):
                yield number * WIDTH + index


def run_facets(*, statuses: Collection[str] | None, triggers: Collection[str] | None) -> Iterator[int]:
    """The facets of runs with one of these statuses and one of these triggers. None allows all.

    The trigger `retry` is that of every attempt but the first.
    """
    for number, trigger in enumerate(TRIGGERS):
        for index, status in enumerate(RUN_STATUSES):
            if (statuses is None or status in statuses) and (triggers is None or trigger in triggers):
                yield number * WIDTH + index
