"""Read the crons of a vercel.json: GET requests to paths, with schedules in UTC."""

from typing import Any

from jobs.imports.foreign import address, items_of, mapping, refuse_others, request_to, text
from jobs.imports.items import Item, ReadError
from jobs.imports.names import name_of_url

_SECRET = "Vercel sends CRON_SECRET, if it is set, as a bearer token: add the header, with {{secrets.CRON_SECRET}}."  # noqa: S105 - not a secret


def read_vercel(value: Any, *, base_url: str | None) -> list[Item]:
    """Return an item for each of `crons`. Raises ReadError for another file."""
    crons = mapping(value, "The file").get("crons")
    if not isinstance(crons, list):
        raise ReadError('Should be a vercel.json with "crons": [{"path": ..., "schedule": ...}].')

    def read(cron: Any) -> Item:
        entry = mapping(cron, "A cron")
        refuse_others(entry, ("path", "schedule"), "A cron")
        request = request_to(address(base_url, text(entry.get("path"), "path")))
        name, schedule = name_of_url(request["url"]), text(entry.get("schedule"), "schedule")
        return Item({"name": name, "schedule": schedule, "timezone": "UTC", "request": request}, notes=(_SECRET,))

    return items_of(crons, read)
