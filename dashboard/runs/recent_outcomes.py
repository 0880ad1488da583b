"""The last executions of a job as its page shows them: outcomes in a row, how long they took, how late they were."""

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.safestring import SafeString

from core.words import (
    SKIP_REASONS,
    STATUSES,
    appearance,
    duration_words,
    instant_words,
)
from dashboard.base.charts import Column, Mark, columns, strip
from jobs.models import Job
from runs.models import Execution
from runs.states import ExecutionStatus

LOOKED_AT = 50
_LISTED = 10
_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RecentOutcomes:
    """What the card of a job's page shows; `executions` are the newest, the others go back LOOKED_AT executions."""

    executions: Sequence[Execution]
    strip: SafeString
    summary: str
    charts: tuple[SafeString, ...]

    @classmethod
    def of(cls, job: Job, now: datetime.datetime) -> "RecentOutcomes":
        """One read of the job's own index, however long its history is."""
        newest: list[Execution] = list(latest_of(job))
        oldest_first = newest[::-1]
        ran = [execution for execution in oldest_first if execution.started_at]
        took = _columns("Duration", [(execution, _took(execution, now)) for execution in ran])
        late = _columns("Lateness", [(execution, _late(execution)) for execution in ran if execution.meant_at])
        return cls(newest[:_LISTED], _strip(oldest_first, now), _summary(newest), (took, late) if ran else ())


def latest_of(job: Job) -> Any:
    """The newest executions, with what the card shows of each."""
    rows = job.executions.light().select_related("environment")
    return rows.order_by("-due_at", "-pk")[:LOOKED_AT]


def _took(execution: Execution, now: datetime.datetime) -> float | None:
    """Milliseconds from its start to its end; of one that goes on, so far."""
    return _milliseconds(execution.started_at, execution.finished_at or now)


def _late(execution: Execution) -> float | None:
    """Milliseconds from when it was meant to start; only what was meant for an instant can be late."""
    return _milliseconds(execution.meant_at, execution.started_at)


def _milliseconds(start: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    return None if start is None or end is None else max((end - start) / _MILLISECOND, 0.0)


def _strip(oldest_first: Sequence[Execution], now: datetime.datetime) -> SafeString:
    marks = [
        Mark(
            execution.status,
            _words(execution, now),
            reverse("admin:runs_execution_change", args=[execution.pk]),
        )
        for execution in oldest_first
    ]
    return strip(f"The latest {len(marks)} executions, oldest first", marks)


def _words(execution: Execution, now: datetime.datetime) -> str:
    """An outcome in a line: how it ended, when it was due, where, how long it took, and why it did not succeed."""
    look, took = appearance(execution.status, STATUSES), _took(execution, now)
    why = execution.error or SKIP_REASONS.get(execution.skip_reason, execution.skip_reason)
    told = [
        f"{look.label} · {instant_words(execution.due_at)} UTC",
        execution.environment.slug,
        f"took {duration_words(took)}" if took is not None else "",
        f"{execution.occurrences} occurrences" if execution.occurrences > 1 else "",
        why,
    ]
    return " · ".join(part for part in told if part)


def _summary(executions: Sequence[Execution]) -> str:
    """How many of those that ended did so well."""
    succeeded, failed = (
        sum(execution.status == status for execution in executions)
        for status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED)
    )
    ended = succeeded + failed
    return f"{succeeded} of {ended} succeeded ({succeeded / ended:.0%})" if ended else ""


def _columns(title: str, measured: Sequence[tuple[Execution, float | None]]) -> SafeString:
    things = [
        Column(
            f"{instant_words(execution.due_at)} UTC, {execution.environment.slug}, {execution.status}",
            value,
            "bad" if execution.status == ExecutionStatus.FAILED else "busy",
        )
        for execution, value in measured
    ]
    known = sorted(one.value for one in things if one.value is not None)
    notes = [("median", duration_words(_at(known, 0.5))), ("p95", duration_words(_at(known, 0.95)))] if known else []
    return columns(title, things, words=duration_words, notes=notes)


def _at(ordered: Sequence[float], share: float) -> float:
    """The value that so great a share of the others does not exceed (the nearest rank)."""
    return ordered[math.ceil(len(ordered) * share) - 1]
