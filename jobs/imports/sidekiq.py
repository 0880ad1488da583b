"""Reads sidekiq-cron's schedule, whose jobs are classes of an application: each is told what it needs to be a call."""

from collections.abc import Mapping
from typing import Any

from jobs.imports.foreign import mapping, text
from jobs.imports.items import Item, ReadError


def read_sidekiq(documents: list[Any]) -> list[Item]:
    """A refused item for each job, with what would make it one. Raises ReadError for a file that is no schedule."""
    if len(documents) != 1 or not isinstance(documents[0], Mapping | list):
        raise ReadError("Should be one object of jobs by their names, or a list of them.")
    jobs = documents[0]
    named = jobs.items() if isinstance(jobs, Mapping) else [(None, job) for job in jobs]
    return [Item(None, _told(name, job)) for name, job in named]


def _told(name: Any, value: Any) -> str:
    try:
        job = mapping(value, "A job")
        called = text(name or job.get("name"), "name")[:80]
        worker, cron = text(job.get("class") or job.get("klass"), "class")[:80], text(job.get("cron"), "cron")[:80]
    except ReadError as error:
        return str(error)
    return (
        f"{called} runs the class {worker}, which is no HTTP call: give it a route in your application, and create a "
        f"job that calls it, with the schedule {cron!r}."
    )
