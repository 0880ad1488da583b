"""The timetables of job versions. Versions never change, so they are remembered."""

import datetime
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from jobs.definition import Timetable
from jobs.models import JobVersion
from jobs.overrides import PerEnvironment
from jobs.schedule import ScheduleError

log = structlog.get_logger(__name__)

_REMEMBER = 50_000
_remembered: dict[str, PerEnvironment[Timetable]] = {}


def timetables_of(versions: Mapping[str, datetime.datetime]) -> dict[str, PerEnvironment[Timetable]]:
    """The timetables of each version, by its id; given with when its job was made, where intervals count from."""
    found = {key: timetable for key in versions if (timetable := _remembered.get(key))}
    missing = versions.keys() - found.keys()
    if missing:
        for version_id, config in JobVersion.objects.filter(pk__in=missing).values_list("pk", "config"):
            key = str(version_id)
            found[key] = _remembered[key] = PerEnvironment.made(config, partial(_read, key, anchor=versions[key]))
        while len(_remembered) > _REMEMBER:
            _remembered.pop(next(iter(_remembered)))
    return found


def _read(version_id: str, config: dict[str, Any], anchor: datetime.datetime) -> Timetable:
    """A version's timetable. One that can't be read any more plans nothing, and holds up nobody else's.

    That a saved schedule is not understood takes another release of Hourhand, or of the time zones.
    """
    try:
        return Timetable.of(config, anchor=anchor)
    except ScheduleError as error:
        log.error("schedule_unreadable", job_version_id=version_id, error=str(error))
        return Timetable.with_schedule(None, config)
