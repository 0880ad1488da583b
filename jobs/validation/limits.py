"""Judges definitions by the plan of their workspace, and names each field that goes beyond it."""

import datetime
from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ErrorDetail

from accounts.models import Plan
from core.words import duration_words
from jobs.definition.contract import schedule_of
from jobs.services.limits import PlanLimitError
from jobs.services.save import TIMING

Config = dict[str, Any]


def beyond_plan(
    config: Config, *, plan: Plan | None, before: Config | None, anchor: datetime.datetime, timed: bool = True
) -> dict[str, Any]:
    """What a definition says that its workspace's plan does not allow, as the detail of a ValidationError.

    `before` is the definition so far, of a job that goes on: what it said already is not judged again, so that a job
    made under another plan can be changed in its other parts. A schedule that is wrong (not `timed`) is not judged.
    """
    errors: dict[str, Any] = {}
    if plan is None:
        return errors
    for section, field, told in _beyond(config, plan, before, anchor if timed else None):
        detail = [ErrorDetail(told, code=PlanLimitError.code)]
        if field is None:
            errors[section] = detail
        else:
            errors.setdefault(section, {})[field] = detail
    return errors


def timeout_beyond_plan(request: Config, plan: Plan | None, *, before: Config | None) -> str | None:
    """What is wrong with the timeout of a request, `before` being the one so far."""
    most = plan.max_timeout_seconds if plan else None
    wanted = request["timeout_seconds"]
    if most is None or wanted <= most or (before is not None and before["timeout_seconds"] == wanted):
        return None
    return f"The workspace's plan allows at most {most} seconds."


def _beyond(
    config: Config, plan: Plan, before: Config | None, anchor: datetime.datetime | None
) -> Iterator[tuple[str, str | None, str]]:
    """The section, the field within it, and what is wrong."""
    retimed = before is None or any(before[field] != config[field] for field in TIMING)
    if retimed and plan.min_interval_seconds is not None and anchor is not None:
        schedule = schedule_of(config, anchor=anchor)
        if schedule is not None and schedule.closer_than(plan.min_interval_seconds):
            least = duration_words(plan.min_interval_seconds * 1000)
            yield (
                "schedule",
                None,
                f"The workspace's plan allows one firing every {least}; this comes more often.",
            )
    if told := timeout_beyond_plan(config["request"], plan, before=before["request"] if before else None):
        yield "request", "timeout_seconds", told
    kept, kept_before = config["retention"], before["retention"] if before else {}
    for field in ("keep_last", "keep_days"):
        most, wanted = getattr(plan, field), kept[field]
        if most is not None and wanted is not None and wanted > most and wanted != kept_before.get(field):
            what = "executions" if field == "keep_last" else "days"
            yield "retention", field, f"The workspace's plan keeps at most {most:,} {what}."
