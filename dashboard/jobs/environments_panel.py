"""A job in its environments: its state in each, its overrides there, and its next firings."""

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
from dashboard.jobs.differences import VersionChange, override_changes
from dashboard.jobs.words import is_paused, schedule_words, state_appearance, state_words
from jobs.definition.contradictions import contradictions
from jobs.definition.overrides import effective
from jobs.definition.reading import problem_of
from jobs.models import Job, JobEnvironment
from jobs.schedule import parse_timezone
from jobs.services.save import TIMING
from jobs.validation.representation import represent_overrides
from jobs.validation.timing import TimingPreview, preview_timing

_FIRINGS = 10


@dataclass(frozen=True, slots=True)
class EnvironmentPanel:
    """A job's state in one environment. `zone` is the time zone of its schedule there."""

    job_environment: JobEnvironment
    chip: SafeString
    words: str
    is_paused: bool
    overrides: tuple[VersionChange, ...]
    zone: str

    @classmethod
    def of(cls, job_environment: JobEnvironment, config: dict[str, Any], now: datetime.datetime) -> "EnvironmentPanel":
        return cls(
            job_environment,
            chips.chip(state_appearance(job_environment, now)),
            state_words(job_environment, now),
            is_paused(job_environment, now),
            override_changes(represent_overrides(config, job_environment.environment_id)),
            effective(config, str(job_environment.environment_id))["timezone"],
        )

    @property
    def slug(self) -> str:
        return self.job_environment.environment.slug

    @property
    def fires(self) -> bool:
        return self.job_environment.enabled and not self.is_paused

    def effective(self, config: dict[str, Any]) -> dict[str, Any]:
        """The definition `config` with this environment's overrides."""
        return effective(config, str(self.job_environment.environment_id))


@dataclass(frozen=True, slots=True)
class OccurrencePreview:
    """The next firings in the environments that share a timing. `silent` are those where it is paused or disabled."""

    environments: tuple[str, ...]
    silent: tuple[str, ...]
    words: str
    zone: zoneinfo.ZoneInfo
    starts_at: datetime.datetime | None
    ends_at: datetime.datetime | None
    firings: tuple[datetime.datetime, ...]
    warnings: tuple[str, ...]


def occurrence_previews(
    job: Job, config: dict[str, Any], panels: Sequence[EnvironmentPanel], now: datetime.datetime
) -> list[OccurrencePreview]:
    """One preview for each timing: environments that don't override it share one."""
    groups: dict[str, tuple[dict[str, Any], list[EnvironmentPanel]]] = {}
    for panel in panels:
        timing = _timing(panel.effective(config))
        groups.setdefault(json.dumps(timing), (timing, []))[1].append(panel)
    return [_preview(job, config, timing, shared, now) for timing, shared in groups.values() or [(_timing(config), [])]]


def _timing(config: dict[str, Any]) -> dict[str, Any]:
    return {field: config[field] for field in TIMING}


def _preview(
    job: Job, config: dict[str, Any], timing: dict[str, Any], panels: Sequence[EnvironmentPanel], now: datetime.datetime
) -> OccurrencePreview:
    try:
        preview, zone = preview_timing(timing, since=now, count=_FIRINGS, anchor=job.created_at), timing["timezone"]
    except ValidationError as error:  # valid for another release of Hourhand, or of the time zone database
        preview, zone = (
            TimingPreview(None, warnings=tuple(each["detail"] for each in field_errors(error.detail))),
            "UTC",
        )
    warnings = preview.warnings if preview.firings or preview.schedule is None else ()
    configs = [panel.effective(config) for panel in panels]
    # The page has an alert of its own for a version that can't be read.
    readable = [each for each in configs if problem_of(each, anchor=job.created_at) is None]
    conflicts = [contradictions(preview.schedule, each) for each in readable]
    return OccurrencePreview(
        environments=tuple(panel.slug for panel in panels),
        silent=tuple(panel.slug for panel in panels if not panel.fires),
        words=schedule_words(timing["schedule"], timing["timezone"], anchor=job.created_at),
        zone=parse_timezone(zone),
        starts_at=_instant(timing["starts_at"]),
        ends_at=_instant(timing["ends_at"]),
        firings=preview.firings,
        warnings=tuple(dict.fromkeys([*warnings, *itertools.chain(*conflicts)])),
    )


def _instant(text: str | None) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None  # the page says why the version can't be read
