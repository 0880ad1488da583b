"""A job in its environments: its state in each, what differs there, and when it fires next."""

import datetime
import itertools
import json
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from rest_framework.exceptions import ValidationError

from api.base.problems import field_errors
from dashboard.base import chips
from dashboard.jobs.differences import VersionChange, told_overrides
from dashboard.jobs.words import is_paused, place_look, place_words, schedule_words
from jobs.definition.contradictions import contradictions
from jobs.definition.overrides import effective
from jobs.definition.reading import problem_of
from jobs.models import Job, JobEnvironment
from jobs.schedule import parse_timezone
from jobs.services.save import TIMING
from jobs.validation.representation import shown_overrides
from jobs.validation.timing import Previewed, previewed

_FIRINGS = 10


@dataclass(frozen=True, slots=True)
class EnvironmentPanel:
    """A job's state in one environment, as the page shows it. `zone` is the one that its schedule is read in there."""

    row: JobEnvironment
    chip: SafeString
    words: str
    is_paused: bool
    overrides: tuple[VersionChange, ...]
    zone: str

    @classmethod
    def of(cls, row: JobEnvironment, config: dict[str, Any], now: datetime.datetime) -> "EnvironmentPanel":
        return cls(
            row,
            chips.chip(place_look(row, now)),
            place_words(row, now),
            is_paused(row, now),
            told_overrides(shown_overrides(config, row.environment_id)),
            effective(config, str(row.environment_id))["timezone"],
        )

    @property
    def fires(self) -> bool:
        return self.row.enabled and not self.is_paused


@dataclass(frozen=True, slots=True)
class OccurrencePreview:
    """When a job fires next in the environments whose timing is the same. `silent` are those that are paused or off."""

    environments: tuple[str, ...]
    silent: tuple[str, ...]
    words: str
    zone: zoneinfo.ZoneInfo
    starts_at: datetime.datetime | None
    ends_at: datetime.datetime | None
    firings: tuple[datetime.datetime, ...]
    warnings: tuple[str, ...]


def plans_of(
    job: Job, config: dict[str, Any], places: Sequence[EnvironmentPanel], now: datetime.datetime
) -> list[OccurrencePreview]:
    """One plan for all environments, but for those that override when they fire."""
    groups: dict[str, tuple[dict[str, Any], list[EnvironmentPanel]]] = {}
    for place in places:
        timing = _timing(effective(config, str(place.row.environment_id)))
        groups.setdefault(json.dumps(timing), (timing, []))[1].append(place)
    return [_plan(job, config, timing, shared, now) for timing, shared in groups.values() or [(_timing(config), [])]]


def _timing(config: dict[str, Any]) -> dict[str, Any]:
    return {field: config[field] for field in TIMING}


def _plan(
    job: Job, config: dict[str, Any], timing: dict[str, Any], places: Sequence[EnvironmentPanel], now: datetime.datetime
) -> OccurrencePreview:
    try:
        found, zone = previewed(timing, since=now, count=_FIRINGS, anchor=job.created_at), timing["timezone"]
    except ValidationError as error:  # another release of Hourhand, or of the time zones, does not understand it
        found, zone = Previewed(None, warnings=tuple(one["detail"] for one in field_errors(error.detail))), "UTC"
    warnings = found.warnings if found.firings or found.schedule is None else ()
    configs = [effective(config, str(place.row.environment_id)) for place in places]
    # Of a version that can't be read, the page says that instead.
    readable = [one for one in configs if problem_of(one, anchor=job.created_at) is None]
    told = [contradictions(found.schedule, one) for one in readable]
    return OccurrencePreview(
        environments=tuple(place.row.environment.slug for place in places),
        silent=tuple(place.row.environment.slug for place in places if not place.fires),
        words=schedule_words(timing["schedule"], timing["timezone"], anchor=job.created_at),
        zone=parse_timezone(zone),
        starts_at=_instant(timing["starts_at"]),
        ends_at=_instant(timing["ends_at"]),
        firings=found.firings,
        warnings=tuple(dict.fromkeys([*warnings, *itertools.chain(*told)])),
    )


def _instant(text: str | None) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None  # The page says why the version can't be read.
