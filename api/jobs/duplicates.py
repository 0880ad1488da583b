"""Existing jobs that imported items duplicate: the same call at the same times, whatever their names."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.accounts.access import Access
from api.jobs.lookups import reachable_jobs
from jobs.imports import Item
from jobs.models import Job, Kind
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
    """The job that an item duplicates. `identical`: it differs at most in its name."""

    job: Job
    identical: bool


class Duplicates:
    """The jobs with the URLs of these items, by call and schedule."""

    def __init__(self, access: Access, items: Iterable[Item], *, now: Any) -> None:
        self._now = now
        urls = {url for item in items if (url := _url(item))}
        self._by_call: dict[str, list[Job]] = defaultdict(list)
        for job in reachable_jobs(access).filter(kind=Kind.HTTP, url__in=urls).order_by("pk") if urls else ():
            if job.current_version is not None:
                self._by_call[self._key(job.current_version.config)].append(job)

    def of_call(self, item: Item) -> Sequence[Job]:
        """The jobs that make the same call at the same times."""
        return self._by_call.get(self._key(item.definition), ()) if item.definition and _url(item) else ()

    def of_items(self, items: Sequence[Item], slugs: Sequence[str | None]) -> dict[int, Duplicate]:
        """By index of items with only a schedule and a request: the duplicate of the same slug, else another."""
        duplicates: dict[int, Duplicate] = {}
        claimed: set[Any] = set()
        for by_slug in (True, False):
            for index, (item, slug) in enumerate(zip(items, slugs, strict=True)):
                if index in duplicates or item.whole or item.definition is None or "slug" in item.definition:
                    continue
                jobs = [
                    job for job in self.of_call(item) if job.pk not in claimed and (job.slug == slug or not by_slug)
                ]
                if jobs:
                    duplicates[index] = Duplicate(jobs[0], _is_identical(item.definition, jobs[0]))
                    claimed.add(jobs[0].pk)
        return duplicates

    def _key(self, definition: Any) -> str:
        schedule, timezone = definition.get("schedule"), definition.get("timezone", "UTC")
        try:
            parsed = parse_schedule(schedule, timezone=timezone, now=self._now, anchor=self._now)
            schedule = parsed.normalized if parsed else None
        except (ScheduleError, TypeError, AttributeError):
            pass
        request = {**_REQUEST, **definition["request"]}
        return json.dumps([schedule, timezone, *(request[name] for name in _CALL)], sort_keys=True, default=str)


def _url(item: Item) -> str | None:
    request = item.definition.get("request") if item.definition else None
    url = request.get("url") if isinstance(request, Mapping) else None
    return url if isinstance(url, str) else None


def _is_identical(definition: Mapping[str, Any], job: Job) -> bool:
    config = job.current_version.config if job.current_version else {}
    request = {**_REQUEST, **definition["request"]}
    if any(config["request"].get(name) != value for name, value in request.items()):
        return False
    others = {name: value for name, value in definition.items() if name not in _NAMING}
    return all(
        value.items() <= config[name].items() if isinstance(value, Mapping) else value == config[name]
        for name, value in others.items()
    )
