"""Which jobs are there already that the lines of a file mean: the same call at the same times, by whatever name."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.accounts.access import Access
from api.jobs.lookups import reachable_jobs
from jobs.imports import Item
from jobs.models import Job
from jobs.schedule import ScheduleError, parse_schedule

_REQUEST: dict[str, Any] = {
    "method": "POST",
    "headers": {},
    "body": None,
    "timeout_seconds": 30,
    "tls_verify": True,
    "ca_cert": None,
    "client_cert": None,
}
_CALL = ("url", "method", "headers", "body")
_NAMING = frozenset({"name", "slug", "schedule", "timezone", "request"})


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The job that an item means. `same`: it is as the item says, but for its name."""

    job: Job
    same: bool


class Duplicates:
    """The jobs with the URLs of these items, by what they call and when."""

    def __init__(self, access: Access, items: Iterable[Item], *, now: Any) -> None:
        self._now = now
        urls = {url for item in items if (url := _url(item))}
        self._by_call: dict[str, list[Job]] = defaultdict(list)
        for job in reachable_jobs(access).filter(url__in=urls).order_by("pk") if urls else ():
            if job.current_version is not None:
                self._by_call[self._key(job.current_version.config)].append(job)

    def like(self, item: Item) -> Sequence[Job]:
        """The jobs that call the same at the same times."""
        return self._by_call.get(self._key(item.definition), ()) if item.definition and _url(item) else ()

    def found(self, items: Sequence[Item], slugs: Sequence[str | None]) -> dict[int, Duplicate]:
        """The job of each item that says only when to call what: that of its name if it is the same, or another."""
        found: dict[int, Duplicate] = {}
        claimed: set[Any] = set()
        for by_slug in (True, False):
            for index, (item, slug) in enumerate(zip(items, slugs, strict=True)):
                if index in found or item.whole or item.definition is None or "slug" in item.definition:
                    continue
                like = [job for job in self.like(item) if job.pk not in claimed and (job.slug == slug or not by_slug)]
                if like:
                    found[index] = Duplicate(like[0], _same(item.definition, like[0]))
                    claimed.add(like[0].pk)
        return found

    def _key(self, definition: Any) -> str:
        schedule, timezone = definition.get("schedule"), definition.get("timezone", "UTC")
        try:
            planned = parse_schedule(schedule, timezone=timezone, now=self._now, anchor=self._now)
            schedule = planned.normalized if planned else None
        except (ScheduleError, TypeError, AttributeError):
            pass
        request = {**_REQUEST, **definition["request"]}
        return json.dumps([schedule, timezone, *(request[name] for name in _CALL)], sort_keys=True, default=str)


def _url(item: Item) -> str | None:
    request = item.definition.get("request") if item.definition else None
    url = request.get("url") if isinstance(request, Mapping) else None
    return url if isinstance(url, str) else None


def _same(definition: Mapping[str, Any], job: Job) -> bool:
    config = job.current_version.config if job.current_version else {}
    wanted = {**_REQUEST, **definition["request"]}
    if any(config["request"].get(name) != value for name, value in wanted.items()):
        return False
    others = {name: value for name, value in definition.items() if name not in _NAMING}
    return all(
        value.items() <= config[name].items() if isinstance(value, Mapping) else value == config[name]
        for name, value in others.items()
    )
