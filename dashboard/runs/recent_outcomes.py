"""The latest executions of a job: outcomes, durations and lateness, for the card on its page."""

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

MOST = 50
_LISTED = 10
_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RecentOutcomes:
    """The card. It lists the newest `executions`; the strip and charts cover the latest MOST."""

    executions: Sequence[Execution]
    strip: SafeString
    summary: str
    charts: tuple[SafeString, ...]

    @classmethod
    def of(cls, job: Job, now: datetime.datetime) -> "RecentOutcomes":
        """Read a range of the job's index, at the same cost for any length of its history."""
        newest: list[Execution] = list(latest_of(job))
        oldest_first = newest[::-1]
        ran = [execution for execution in oldest_first if execution.started_at]
        took = _columns("Duration", [(execution, _took(execution, now)) for execution in ran])
        late = _columns("Lateness", [(execution, _late(execution)) for execution in ran if execution.planned_start])
        return cls(newest[:_LISTED], _strip(oldest_first, now), _summary(newest), (took, late) if ran else ())


def latest_of(job: Job) -> Any:
    """The newest executions with their environments."""
    rows = job.executions.light().select_related("environment")
    return rows.order_by("-due_at", "-pk")[:MOST]


def _took(execution: Execution, now: datetime.datetime) -> float | None:
    """Milliseconds from its start to its end, or to now."""
    return _milliseconds(execution.started_at, execution.finished_at or now)


def _late(execution: Execution) -> float | None:
    """Milliseconds from when it should have started; None if no instant was given."""
    return _milliseconds(execution.planned_start, execution.started_at)


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
    """One line: status, due time, environment, duration, and the reason if it did not succeed."""
    look, took = appearance(execution.status, STATUSES), _took(execution, now)
    why = execution.error or SKIP_REASONS.get(execution.skip_reason, execution.skip_reason)
    parts = [
        f"{look.label} · {instant_words(execution.due_at)} UTC",
        execution.environment.slug,
        f"took {duration_words(took)}" if took is not None else "",
        f"{execution.occurrences} occurrences" if execution.occurrences > 1 else "",
        why,
    ]
    return " · ".join(part for part in parts if part)


def _summary(executions: Sequence[Execution]) -> str:
    """The share of finished executions that succeeded."""
    succeeded, failed = (
        sum(execution.status == status for execution in executions)
        for status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED)
    )
    finished = succeeded + failed
    return f"{succeeded} of {finished} succeeded ({succeeded / finished:.0%})" if finished else ""


def _columns(title: str, measured: Sequence[tuple[Execution, float | None]]) -> SafeString:
    bars = [
        Column(
            f"{instant_words(execution.due_at)} UTC, {execution.environment.slug}, {execution.status}",
            value,
            "bad" if execution.status == ExecutionStatus.FAILED else "busy",
        )
        for execution, value in measured
    ]
    values = sorted(bar.value for bar in bars if bar.value is not None)
    percentiles = (("p50", 0.5), ("p95", 0.95)) if values else ()
    notes = [(name, duration_words(_percentile(values, share))) for name, share in percentiles]
    return columns(title, bars, words=duration_words, notes=notes)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of values in ascending order."""
    return ordered[math.ceil(len(ordered) * share) - 1]
