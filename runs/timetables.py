"""The timetables of job versions. Versions never change, so they are remembered."""

import datetime
from collections.abc import Mapping

from jobs.definition import Timetable
from jobs.models import JobVersion

_REMEMBER = 50_000
_remembered: dict[str, Timetable] = {}


def timetables_of(versions: Mapping[str, datetime.datetime]) -> dict[str, Timetable]:
    """The timetable of each version, by its id; given with when its job was made, where intervals count from."""
    found = {key: timetable for key in versions if (timetable := _remembered.get(key))}
    missing = versions.keys() - found.keys()
    if missing:
        for version_id, config in JobVersion.objects.filter(pk__in=missing).values_list("pk", "config"):
            key = str(version_id)
            found[key] = _remembered[key] = Timetable.of(config, anchor=versions[key])
        while len(_remembered) > _REMEMBER:
            _remembered.pop(next(iter(_remembered)))
    return found
