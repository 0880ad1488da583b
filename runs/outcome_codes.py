"""How an execution or a run ended and why it was made, as one small number: what an index of history begins with."""

from collections.abc import Collection, Iterator

from runs.states import TERMINAL, ExecutionStatus, RunStatus, Trigger

#: The numbers are in the database: append to these, never reorder them.
OUTCOMES = (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELED, ExecutionStatus.SKIPPED)
TRIGGERS = (Trigger.SCHEDULE, Trigger.MANUAL, Trigger.WEBHOOK, Trigger.REPLAY, Trigger.RETRY)
RUN_STATUSES = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED, RunStatus.RUNNING)
#: Room for outcomes yet to come.
WIDTH = 10

assert set(OUTCOMES) == set(TERMINAL)
assert set(RUN_STATUSES) == set(RunStatus)
assert set(TRIGGERS) == set(Trigger)


def facets(*, statuses: Collection[str] | None, triggers: Collection[str] | None) -> Iterator[int]:
    """The facets of ended executions with one of these statuses and one of these triggers; None allows all."""
    for number, trigger in enumerate(TRIGGERS):
        for place, outcome in enumerate(OUTCOMES):
            if (statuses is None or outcome in statuses) and (triggers is None or trigger in triggers):
                yield number * WIDTH + place


def run_facets(*, statuses: Collection[str] | None, triggers: Collection[str] | None) -> Iterator[int]:
    """The facets of runs with one of these statuses and one of these triggers, as they are shown: `retry` is that of
    every attempt but the first. None allows all.
    """
    for number, trigger in enumerate(TRIGGERS):
        for place, status in enumerate(RUN_STATUSES):
            if (statuses is None or status in statuses) and (triggers is None or trigger in triggers):
                yield number * WIDTH + place
