"""The timetables of job versions, cached: versions never change."""

import datetime
import json
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from django.db import connection

from jobs.definition.contract import Timetable
from jobs.definition.overrides import SECTIONS, PerEnvironment
from jobs.definition.reading import per_environment, timetable_of
from runs.postgres_text import array

_MAX_CACHED = 50_000
_CONFIGS = f"""
    SELECT id::text, (CASE WHEN jsonb_typeof(config) = 'object'
                          THEN config || '{json.dumps({section: {} for section in SECTIONS})}' ELSE config END)::text
      FROM jobs_jobversion WHERE id = ANY(%s::uuid[])
"""  # noqa: S608 - our own text
_cached: dict[str, PerEnvironment[Timetable]] = {}


def timetables_of(versions: Mapping[str, datetime.datetime]) -> dict[str, PerEnvironment[Timetable]]:
    """The timetables of versions, by their ids. Each is given with its job's creation, where intervals count from.

    One that this release can't read says so, and is not cached: the version may be mended, or the host's time zones
    updated.
    """
    timetables = {key: timetable for key in versions if (timetable := _cached.get(key))}
    missing = versions.keys() - timetables.keys()
    if missing:
        for key, config in _configs(missing):
            read = per_environment(config, partial(timetable_of, anchor=versions[key]), Timetable.unread)
            timetables[key] = read
            if not any(timetable.unreadable for timetable in read.all):
                _cached[key] = read
        while len(_cached) > _MAX_CACHED:
            _cached.pop(next(iter(_cached)))
    return timetables


def _configs(version_ids: Collection[str]) -> Iterable[tuple[str, Any]]:
    """The definitions of versions, with empty sections: the clock reads none of them."""
    with connection.cursor() as cursor:
        cursor.execute(_CONFIGS, [array(list(version_ids))])
        return [(key, json.loads(config)) for key, config in cursor.fetchall()]
