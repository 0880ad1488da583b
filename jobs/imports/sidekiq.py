"""Read sidekiq-cron's schedule. Its jobs are classes, so each item says what it needs to become a call."""

from collections.abc import Mapping
from typing import Any

from jobs.imports.foreign import mapping, text
from jobs.imports.items import Item, ReadError


def read_sidekiq(documents: list[Any]) -> list[Item]:
    """Return a refused item for each job, with a suggestion. Raises ReadError for another file."""
    if len(documents) != 1 or not isinstance(documents[0], Mapping | list):
        raise ReadError("Should be one object of jobs by their names, or a list of them.")
    jobs = documents[0]
    named_jobs = jobs.items() if isinstance(jobs, Mapping) else [(None, job) for job in jobs]
    return [Item(None, _problem(name, job)) for name, job in named_jobs]


def _problem(name: Any, value: Any) -> str:
    try:
        job = mapping(value, "A job")
        job_name = text(name or job.get("name"), "name")[:80]
        worker, cron = text(job.get("class") or job.get("klass"), "class")[:80], text(job.get("cron"), "cron")[:80]
    except ReadError as error:
        return str(error)
    return (
        f"{job_name} runs the class {worker}, which is not an HTTP call: add a route for it to your application, and "
        f"create a job that calls the route, with the schedule {cron!r}."
    )
