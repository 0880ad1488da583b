"""The durations of an execution. Pure: takes `now`."""

import datetime
from dataclasses import dataclass

from runs.models import Execution


def milliseconds(start: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    return None if start is None or end is None else (end - start) / datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class ExecutionTimings:
    """Pending, run, total and lateness, as in the API; unfinished ones are measured up to now."""

    pending_ms: float | None
    run_ms: float | None
    total_ms: float | None
    lateness_ms: float | None

    @classmethod
    def of(cls, execution: Execution, now: datetime.datetime) -> "ExecutionTimings":
        skipped = execution.status == "skipped"
        end, ready = execution.finished_at or now, ready_at(execution)
        return cls(
            pending_ms=_not_negative(milliseconds(ready, execution.started_at or (None if skipped else end))),
            run_ms=milliseconds(execution.started_at, end),
            total_ms=None if skipped else _not_negative(milliseconds(ready, end)),
            lateness_ms=_not_negative(milliseconds(execution.planned_start, execution.started_at)),
        )


def ready_at(execution: Execution) -> datetime.datetime:
    """The instant from which it could start: the later of its due time and its creation."""
    due_at = execution.planned_start
    return max(execution.created_at, due_at) if due_at else execution.created_at


def _not_negative(duration: float | None) -> float | None:
    return None if duration is None else max(0.0, duration)
