"""A plan for people."""

from collections.abc import Iterator
from typing import Any

from hourhand.output import cell, instant, printable
from hourhand.planning import CREATED, FAILED, REMOVED, UNCHANGED, UPDATED, Plan, PlannedJob

_SIGNS = {CREATED: "+", UPDATED: "~", FAILED: "!"}
_MAX_CHARACTERS = 200


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield what would be created, changed, removed and refused, and the counts."""
    for job in plan.jobs:
        if job.result != UNCHANGED:
            yield from _job_lines(job)
    for surplus in plan.removed:
        yield f"- {surplus['slug']} (managed by {plan.settings.owner}, in no file)"
    if plan.surplus and not plan.settings.prunes:
        names = ", ".join(job["slug"] for job in plan.surplus)
        yield f"Managed by {plan.settings.owner} and in no file, so --prune would remove: {names}."
    yield counts(plan)


def counts(plan: Plan) -> str:
    words = (
        f"{plan.count(CREATED)} to create",
        f"{plan.count(UPDATED)} to change",
        f"{plan.count(REMOVED)} to remove",
        f"{plan.count(UNCHANGED)} unchanged",
    )
    failed = plan.count(FAILED)
    return ", ".join(words) + (f", {failed} refused." if failed else ".")


def _job_lines(job: PlannedJob) -> Iterator[str]:
    line = f", line {job.item['line']}" if "line" in job.item else ""
    yield printable(f"{_SIGNS[job.result]} {job.name} ({job.file.name}{line})")
    for error in job.item["errors"]:
        yield printable(f"    {error['field']}: {error['detail']}" if error["field"] else f"    {error['detail']}")
    for change in job.item["changes"]:
        yield f"    {printable(change['field'])}: {_value(change['old'])} -> {_value(change['new'])}"
        if change["field"] == "managed_by" and change["old"] is not None:
            yield printable(f"    Note: {change['old']} applies this job from a file too.")
    for environment, firings in job.item["firings"].items():
        yield from _firing_lines(environment, firings)
    for note in job.item["notes"]:
        yield printable(f"    Note: {note}")


def _firing_lines(environment: str, firings: Any) -> Iterator[str]:
    before, after = _instants(firings["before"]), _instants(firings["after"])
    if before == after:
        yield f"    next in {environment}, as before: {after}"
    else:
        yield f"    next in {environment}, before: {before}"
        yield f"    next in {environment}, after:  {after}"


def _instants(firings: list[str]) -> str:
    return "  ".join(instant(at) or "" for at in firings) or "none"


def _value(value: Any) -> str:
    text = cell(value) if isinstance(value, (dict, list, bool)) or value is None else repr(value)
    shown = printable(text)
    return shown if len(shown) <= _MAX_CHARACTERS else f"{shown[:_MAX_CHARACTERS]}..."
