"""System check of the data directory: the keys in it are private."""

import os
import stat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name

from ops.checks.tag import TAG

_PRIVATE = ("secret-key", "encryption-key", "first-run.json")


@register(TAG, Tags.files)
def data_directory(**_: Any) -> list[CheckMessage]:
    directory: Path = settings.DATA_DIR
    if not directory.is_dir():
        return []
    exposed = [file for file in _PRIVATE if _is_exposed(directory / file)]
    if exposed:
        return [
            Error(
                f"Other accounts can read {', '.join(exposed)} in {directory}.",
                hint=f"chmod 600 {' '.join(str(directory / file) for file in exposed)}",
                id="hourhand.data_directory",
            )
        ]
    if not os.access(directory, os.W_OK | os.X_OK):
        return [
            Warning(
                f"This account cannot write to {directory}.",
                hint="Run as the directory's owner, or change its owner to this account.",
                id="hourhand.data_directory",
            )
        ]
    return []


def _is_exposed(file: Path) -> bool:
    return file.exists() and bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
