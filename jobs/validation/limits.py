"""Check definitions against their workspace's plan."""

import datetime
from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ErrorDetail

from accounts.models import Plan
from core.words import duration_words
from jobs.definition.calls import calls_of
from jobs.definition.contract import schedule_of
from jobs.services.limits import PlanLimitError
from jobs.services.save import TIMING

Config = dict[str, Any]


def beyond_plan(
    config: Config, *, plan: Plan | None, before: Config | None, anchor: datetime.datetime, timed: bool = True
) -> dict[str, Any]:
    """Return what the workspace's plan does not allow, as the detail of a ValidationError.

    `before` is the definition so far, of a job that is enabled already: unchanged values are not checked again, so that
    a job created under another plan can be changed elsewhere. An invalid schedule (not `timed`) is not checked.
    """
    errors: dict[str, Any] = {}
    if plan is None:
        return errors
    for (*sections, field), problem in _beyond(config, plan, before, anchor if timed else None):
        inner: dict[Any, Any] = errors
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[field] = [ErrorDetail(problem, code=PlanLimitError.code)]
    return errors


def timeout_beyond_plan(request: Config, plan: Plan | None, *, before: Config | None) -> str | None:
    """Return the problem of a request's timeout, if it changed; `before` is the request so far."""
    most = plan.max_timeout_seconds if plan else None
    timeout_seconds = request["timeout_seconds"]
    if most is None or timeout_seconds <= most or (before and before["timeout_seconds"] == timeout_seconds):
        return None
    return f"The workspace's plan allows at most {most} seconds."


def _beyond(
    config: Config, plan: Plan, before: Config | None, anchor: datetime.datetime | None
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the path of each field, and the problem."""
    retimed = before is None or any(before[field] != config[field] for field in TIMING)
    if retimed and plan.min_interval_seconds is not None and anchor is not None:
        schedule = schedule_of(config, anchor=anchor)
        if schedule is not None and schedule.closer_than(plan.min_interval_seconds):
            least = duration_words(plan.min_interval_seconds * 1000)
            yield (
                ("schedule",),
                f"The workspace's plan allows one firing every {least}; this schedule fires more often.",
            )
    requests_before = {call.step: call.sections["request"] for call in calls_of(before)} if before else {}
    for call in calls_of(config):
        request = call.sections["request"]
        if problem := timeout_beyond_plan(request, plan, before=requests_before.get(call.step)):
            yield (*call.path, "request", "timeout_seconds"), problem
    retention, retention_before = config["retention"], before["retention"] if before else {}
    for field in ("keep_last", "keep_days"):
        most, value = getattr(plan, field), retention[field]
        if most is not None and value is not None and value > most and value != retention_before.get(field):
            unit = "executions" if field == "keep_last" else "days"
            yield ("retention", field), f"The workspace's plan keeps at most {most:,} {unit}."
