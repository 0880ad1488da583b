"""The timetables of job versions. Versions never change, so they are remembered."""

import datetime
import json
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from django.db import connection

from jobs.definition import Timetable
from jobs.overrides import SECTIONS, PerEnvironment
from jobs.schedule import ScheduleError
from runs.texts import array

log = structlog.get_logger(__name__)

_REMEMBER = 50_000
_CONFIGS = f"""
    SELECT id::text, (config || '{json.dumps({section: {} for section in SECTIONS})}')::text
      FROM jobs_jobversion WHERE id = ANY(%s::uuid[])
"""  # noqa: S608 - our own text
_remembered: dict[str, PerEnvironment[Timetable]] = {}


def timetables_of(versions: Mapping[str, datetime.datetime]) -> dict[str, PerEnvironment[Timetable]]:
    """The timetables of each version, by its id; given with when its job was made, where intervals count from."""
    found = {key: timetable for key in versions if (timetable := _remembered.get(key))}
    missing = versions.keys() - found.keys()
    if missing:
        for key, config in _configs(missing):
            found[key] = _remembered[key] = PerEnvironment.made(config, partial(_read, key, anchor=versions[key]))
        while len(_remembered) > _REMEMBER:
            _remembered.pop(next(iter(_remembered)))
    return found


def _configs(version_ids: Collection[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The definitions of versions, their sections empty: the clock reads none of them."""
    with connection.cursor() as cursor:
        cursor.execute(_CONFIGS, [array(list(version_ids))])
        return [(key, json.loads(config)) for key, config in cursor.fetchall()]


def _read(version_id: str, config: dict[str, Any], anchor: datetime.datetime) -> Timetable:
    """A version's timetable. One that can't be read any more plans nothing, and holds up nobody else's.

    That a saved schedule is not understood takes another release of Hourhand, or of the time zones.
    """
    try:
        return Timetable.of(config, anchor=anchor)
    except ScheduleError as error:
        log.error("schedule_unreadable", job_version_id=version_id, error=str(error))
        return Timetable.with_schedule(None, config)
