"""Read scheduled GitHub Actions workflows that only make one HTTP call."""

import re
from typing import Any

from jobs.imports.commands import read_command
from jobs.imports.foreign import items_of, mapping, refuse_others, single, text
from jobs.imports.items import Item, ReadError
from jobs.imports.names import name_in_comment, name_of_url

_SECRET = re.compile(r"\$\{\{\s*(secrets\.[A-Z][A-Z0-9_]{0,63})\s*\}\}")
_STEPS = "Only a workflow of one job with one step, run: curl ..., can be imported: create an endpoint for its work."
_SHELLS = (None, "bash", "sh")


def read_github(documents: list[Any]) -> list[Item]:
    """Return an item for each cron of the workflow. Raises ReadError for another file."""
    workflow = single(documents, "a workflow with on: schedule")
    events = workflow.get("on")
    crons = events.get("schedule") if isinstance(events, dict) else None
    if not isinstance(crons, list):
        raise ReadError("Should be a workflow with on: schedule: [{cron: ...}].")

    def read(cron: Any) -> Item:
        entry = mapping(cron, "An entry of schedule")
        refuse_others(entry, ("cron", "timezone"), "An entry of schedule")
        call = read_command(_SECRET.sub(r"{{\1}}", _command(workflow)))
        name = name_in_comment(str(workflow.get("name") or "")) or name_of_url(call.url or "")
        job = {"name": name, "schedule": text(entry.get("cron"), "cron"), "timezone": entry.get("timezone", "UTC")}
        if call.delay_seconds:
            raise ReadError("Remove sleep, and change the schedule instead.")
        return Item({**job, **call.definition()}, notes=call.all_notes())

    return items_of(crons, read)


def _command(workflow: Any) -> str:
    jobs = mapping(workflow.get("jobs"), "jobs")
    if len(jobs) != 1:
        raise ReadError(_STEPS)
    job = mapping(next(iter(jobs.values())), "A job")
    refuse_others(job, ("name", "runs-on", "steps", "permissions", "timeout-minutes"), "The job")
    steps = job.get("steps")
    if not isinstance(steps, list) or len(steps) != 1:
        raise ReadError(_STEPS)
    step = mapping(steps[0], "A step")
    if "run" not in step or step.get("shell") not in _SHELLS:
        raise ReadError(_STEPS)
    refuse_others(step, ("name", "id", "run", "shell", "timeout-minutes"), "The step")
    if "env" in workflow or "defaults" in workflow:
        raise ReadError("env and defaults of the workflow can't be imported: write their values into the command.")
    command = text(step["run"], "run")
    if "${{" in _SECRET.sub("", command):
        raise ReadError("Of ${{ ... }} only secrets can be imported, as {{secrets.NAME}}: write out other values.")
    return command
