"""How jobs are shown."""

from typing import Any

from hourhand.output import Column, cell, column, instant


def enabled_in(job: Any) -> str:
    """Return where a job is enabled, such as `production, staging (paused)`."""
    return ", ".join(
        f"{name} (paused)" if state["paused"] else name
        for name, state in job["environments"].items()
        if state["enabled"]
    )


def next_firing(job: Any) -> str | None:
    return instant(min((state["next_fire_at"] or "" for state in _states(job) if state["next_fire_at"]), default=None))


def last_status(job: Any) -> str:
    """Return the worst last status of a job's environments."""
    return min((state["last_status"] for state in _states(job) if state["last_status"]), default="")


def _states(job: Any) -> list[Any]:
    return list(job["environments"].values())


def _call(job: Any) -> str:
    request = job["request"]
    return f"{request['method']} {request['url']}" if request else job["kind"]


LISTED = (
    column("Slug"),
    column("Schedule", "schedule_description"),
    Column("Enabled in", enabled_in),
    Column("Next", next_firing),
    Column("Last", last_status),
)
SHOWN = (
    column("Slug"),
    column("Name"),
    column("Description"),
    column("Tags"),
    Column("Call", _call),
    column("Schedule", "schedule_description"),
    column("Time zone", "timezone"),
    Column("Enabled in", enabled_in),
    Column("Next", next_firing),
    Column("Last", last_status),
    column("Managed by", "managed_by"),
    column("Version"),
    Column("Updated", lambda job: instant(job["updated_at"])),
    column("Unreadable"),
)
VERSIONS = (
    column("Version", "number"),
    Column("Created", lambda version: instant(version["created_at"])),
    Column("By", lambda version: version["created_by"] or "API key"),
    column("Name", "definition.name"),
    Column("Schedule", lambda version: cell(version["definition"]["schedule"])),
)
CHANGES = (column("Field"), column("Old"), column("New"))


def slug(job: Any) -> str:
    return str(job["slug"])
