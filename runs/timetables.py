"""The timetables of job versions. Versions never change, so they are remembered."""

import datetime
from collections.abc import Mapping
from functools import partial

from jobs.definition import Timetable
from jobs.models import JobVersion
from jobs.overrides import PerEnvironment

_REMEMBER = 50_000
_remembered: dict[str, PerEnvironment[Timetable]] = {}


def timetables_of(versions: Mapping[str, datetime.datetime]) -> dict[str, PerEnvironment[Timetable]]:
    """The timetables of each version, by its id; given with when its job was made, where intervals count from."""
    found = {key: timetable for key in versions if (timetable := _remembered.get(key))}
    missing = versions.keys() - found.keys()
    if missing:
        for version_id, config in JobVersion.objects.filter(pk__in=missing).values_list("pk", "config"):
            key = str(version_id)
            made = PerEnvironment.made(config, partial(Timetable.of, anchor=versions[key]))
            found[key] = _remembered[key] = made
        while len(_remembered) > _REMEMBER:
            _remembered.pop(next(iter(_remembered)))
    return found
