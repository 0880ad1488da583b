"""The timetables of job versions. Versions never change, so they are remembered."""

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

_REMEMBER = 50_000
_CONFIGS = f"""
    SELECT id::text, (CASE WHEN jsonb_typeof(config) = 'object'
                          THEN config || '{json.dumps({section: {} for section in SECTIONS})}' ELSE config END)::text
      FROM jobs_jobversion WHERE id = ANY(%s::uuid[])
"""  # noqa: S608 - our own text
_remembered: dict[str, PerEnvironment[Timetable]] = {}


def timetables_of(versions: Mapping[str, datetime.datetime]) -> dict[str, PerEnvironment[Timetable]]:
    """The timetables of each version, by its id; given with when its job was made, where intervals count from.

    One that this release can't read says so, and is read again whenever somebody asks: it may be mended, or a host's
    time zones updated.
    """
    found = {key: timetable for key in versions if (timetable := _remembered.get(key))}
    missing = versions.keys() - found.keys()
    if missing:
        for key, config in _configs(missing):
            read = per_environment(config, partial(timetable_of, anchor=versions[key]), Timetable.unread)
            found[key] = read
            if not any(timetable.unreadable for timetable in read.all):
                _remembered[key] = read
        while len(_remembered) > _REMEMBER:
            _remembered.pop(next(iter(_remembered)))
    return found


def _configs(version_ids: Collection[str]) -> Iterable[tuple[str, Any]]:
    """The definitions of versions, their sections empty: the clock reads none of them."""
    with connection.cursor() as cursor:
        cursor.execute(_CONFIGS, [array(list(version_ids))])
        return [(key, json.loads(config)) for key, config in cursor.fetchall()]
